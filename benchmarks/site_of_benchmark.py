"""A database of a benchmark's own: the embedded server in a temporary folder, durable as in use."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from db import migrate
from db.embedded import embedded_server
from db.engine import connect
from db.seeds import load_seeds
from demeter_cli.settings import shipped


@contextmanager
def new_site(folder: Path | None = None) -> Iterator[tuple[Connection, str]]:
    """A connection to a new database with the demo nursery, and its address; kept in `folder` if given."""
    with tempfile.TemporaryDirectory(prefix="demeter-benchmark-", dir="/var/tmp") as temporary:
        Path(temporary).chmod(0o755)  # the server may run as a user of its own
        with embedded_server(folder or Path(temporary) / "data", notify=told) as server:
            migrate.upgrade(server.url)
            with connect(server.url) as connection:
                for seeds in ("seeds", "seeds/demo"):
                    load_seeds(connection, shipped(seeds))
                connection.commit()
                yield connection, server.url


def told(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
