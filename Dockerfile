# syntax=docker/dockerfile:1
# Demeter without torch, as an ordinary user. Data (PostgreSQL's and the photos) live in the volume /data.
#
#   docker build -t demeter .
#   docker run --rm demeter count --help
#   docker run --rm -v demeter:/data -v "$PWD/photos:/photos:ro" demeter process /photos

FROM python:3.13-slim-trixie AS build
RUN python -m venv /opt/demeter
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY seeds seeds
COPY pipeline pipeline
COPY db db
COPY demeter_cli demeter_cli
RUN /opt/demeter/bin/pip install .

FROM python:3.13-slim-trixie
# What OpenCV needs and a slim image lacks.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0t64 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home demeter \
    && install -d -o demeter -g demeter -m 0700 /data
COPY --from=build /opt/demeter /opt/demeter
ENV PATH=/opt/demeter/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DEMETER_DATA_DIR=/data \
    XDG_CACHE_HOME=/data/cache
USER demeter
WORKDIR /data
VOLUME /data
ENTRYPOINT ["demeter"]
CMD ["--help"]
