"""Rows a second into the real table of detections: our COPY from arrays against the customary ways.

    python benchmarks/loading.py [--rows 5000] [--rounds 5] [--json]

The table is the partitioned one with its indexes, checks and foreign keys, the server writes durably (fsync
on), and each way loads the rows of one photo in a transaction of its own, commit included. `bare` is the same
COPY into a table without keys, indexes or checks: what of the time the rules take.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import in_turn, show
from numpy.typing import NDArray
from site_of_benchmark import new_site
from sqlalchemy import Connection, insert, text
from sqlalchemy.orm import Session

from db.copy import Column, copy_columns
from db.ingest import claim
from db.models.photos import Detection
from db.runs import Policy, start_run
from pipeline.storage import image_id
from pipeline.types import Photo as File

OURS = "demeter, COPY from arrays"
NAMES = ("center_x_px", "center_y_px", "width_px", "height_px", "score")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000, help="plants of a photo")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with new_site() as (connection, _):
        photo = Photo.make(connection, arguments.rows)
        timings = in_turn(
            {name: lambda way=way: way(connection, photo) for name, way in WAYS.items()}, arguments.rounds
        )
    rows = [
        {
            "way": name,
            "rows a second": round(arguments.rows / timings.median(name)),
            "times ours": timings.ratio(name, OURS),
        }
        for name in WAYS
    ]
    show(f"{arguments.rows} rows a transaction, medians of {arguments.rounds} rounds", rows, arguments.json)


class Photo:
    """A session with ten containers, and plants in them."""

    def __init__(self, session: int, containers: NDArray[np.int64], plants: NDArray[np.float32]) -> None:
        self.session, self.containers, self.plants = session, containers, plants
        self.now = dt.datetime.now(dt.UTC)

    @staticmethod
    def make(connection: Connection, plants: int) -> Photo:
        user = connection.execute(text("SELECT min(id) FROM users")).scalar_one()
        connection.rollback()
        run = start_run(connection, "benchmark", ("benchmark", "0" * 64), "0" * 16, user, Policy())
        file = File(Path("benchmark.jpg"), "0" * 64, 1)
        session = claim(connection, run, (image_id(file.sha256), file), None).session_id
        ids = list(connection.scalars(text(_CONTAINERS), {"session": session}))
        connection.execute(text("CREATE TABLE bare AS SELECT * FROM detections WITH NO DATA"))
        connection.commit()
        random = np.random.default_rng(0)
        figures = random.uniform(0.1, 0.9, (plants, len(NAMES))).astype(np.float32)
        figures[:, :4] *= 3000
        return Photo(session, np.array(ids, np.int64)[random.integers(0, len(ids), plants)], figures)

    def columns(self) -> dict[str, Column]:
        measured = {name: np.ascontiguousarray(self.plants[:, i]) for i, name in enumerate(NAMES)}
        return {
            "session_id": self.session,
            "session_container_id": self.containers,
            **measured,
            "created_at": self.now,
        }

    def dictionaries(self) -> list[dict[str, Any]]:
        return [
            {
                "session_id": self.session,
                "session_container_id": container,
                "created_at": self.now,
                **dict(zip(NAMES, row, strict=True)),
            }
            for container, row in zip(self.containers.tolist(), self.plants.tolist(), strict=True)
        ]


def ours(connection: Connection, photo: Photo) -> None:
    with connection.begin():
        copy_columns(connection, "detections", photo.columns(), len(photo.plants))


def bare(connection: Connection, photo: Photo) -> None:
    with connection.begin():
        copy_columns(connection, "bare", photo.columns(), len(photo.plants))


def by_orm(connection: Connection, photo: Photo) -> None:
    with Session(bind=connection, expire_on_commit=False) as session:
        session.add_all([Detection(**row) for row in photo.dictionaries()])
        session.commit()


def by_core(connection: Connection, photo: Photo) -> None:
    connection.execute(insert(Detection), photo.dictionaries())
    connection.commit()


def by_psycopg(connection: Connection, photo: Photo) -> None:
    rows = [tuple(row.values()) for row in photo.dictionaries()]
    names = list(photo.dictionaries()[0])
    statement = f"INSERT INTO detections ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        cursor.executemany(statement, rows)
    driver.commit()


def by_text_copy(connection: Connection, photo: Photo) -> None:
    rows = photo.dictionaries()
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY detections ({', '.join(rows[0])}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(tuple(row.values()))
    driver.commit()


Way = Callable[[Connection, Photo], None]
WAYS: dict[str, Way] = {
    OURS: ours,
    "the same, bare table": bare,
    "psycopg COPY, row by row": by_text_copy,
    "psycopg executemany": by_psycopg,
    "SQLAlchemy Core executemany": by_core,
    "SQLAlchemy ORM add_all": by_orm,
}

_CONTAINERS = """
    INSERT INTO session_containers (session_id, ordinal, kind, polygon, score, seen, hidden, low, high)
    SELECT :session, n, 'segment', '[[0, 0], [9, 0], [9, 9]]', 0.9, 0, 0, 0, 0 FROM generate_series(0, 9) AS n
    RETURNING id
"""


if __name__ == "__main__":
    main()
