"""Reports, reconciliation and a photo's plants after five years: 1,290 places, 10 million movements, 100
million plants seen in photos.

    python benchmarks/at_scale.py [--scale 0.01] [--plants 0.01] [--keep FOLDER] [--plans]

`--scale` multiplies movements and plants; places, photos and counts stay. Making it all takes a while at
full scale, so `--keep` leaves the database in a folder and uses the one that is there. Latencies are those
of the functions behind the commands, in a process that has run them once; `--plans` prints the query plan of
a photo's plants, which shows how many of the daily partitions are read.
"""

from __future__ import annotations

import argparse
import datetime as dt
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import show
from site_of_benchmark import new_site
from sqlalchemy import Connection, select, text
from years import Size, fill

from db import reports
from db.evidence import AsOf, explain
from db.models.photos import Detection
from db.reconcile import reconcile_period
from db.reconciling import Period


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scale", type=float, default=0.01)
    parser.add_argument("--plants", type=float, help="scale of the plants seen (default: the other one)")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--plans", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with new_site(arguments.keep) as (connection, _):
        if not connection.scalar(text("SELECT count(*) FROM warehouses WHERE code ~ '^Y'")):
            started = time.perf_counter()
            size = Size.scaled(arguments.scale, arguments.plants or arguments.scale)
            fill(connection, size, dt.datetime.now(dt.UTC).date())
            sys.stderr.write(f"made in {time.perf_counter() - started:.0f} s\n")
        connection.rollback()
        rows = [timed(connection, name, ask, arguments.rounds) for name, ask in questions(connection).items()]
        sizes = dict(connection.execute(text(_SIZES)).one()._mapping)
        plans = plan_of_photo(connection) if arguments.plans else []
    show(f"After five years, {arguments.rounds} rounds each", rows, arguments.json, **sizes)
    print(*plans, sep="\n")


def timed(connection: Connection, name: str, ask: Callable[[], Any], rounds: int) -> dict[str, Any]:
    ask()
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        answer = ask()
        taken.append((time.perf_counter() - started) * 1e3)
        connection.rollback()
    taken.sort()
    return {
        "question": name,
        "rows": len(answer),
        "median ms": statistics.median(taken),
        "p95 ms": taken[min(len(taken) - 1, int(0.95 * len(taken)))],
    }


def questions(connection: Connection) -> dict[str, Callable[[], Any]]:
    now = dt.datetime.now(dt.UTC)
    end = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    month = Period((end - dt.timedelta(days=1)).replace(day=1), end)
    session = connection.execute(text("SELECT max(id) FROM photo_sessions")).scalar_one()
    place = connection.execute(text("SELECT min(code) FROM storage_locations WHERE code ~ '^Y'")).scalar_one()
    connection.rollback()
    return {
        "stock": lambda: reports.stock(connection),
        "stock a year ago": lambda: reports.stock(connection, now - dt.timedelta(days=365)),
        "stock of a place": lambda: reports.stock(connection, None, place),
        "reconcile last month": lambda: reconcile_period(connection, month),
        "reconcile one place": lambda: reconcile_period(connection, month, [place]),
        "a photo's plants": lambda: plants_of(connection, session),
        "explain a place": lambda: explain(connection, place, AsOf()),
    }


def plants_of(connection: Connection, session: int) -> list[Any]:
    """What an overlay is drawn from."""
    return list(connection.execute(_plants(connection, session)))


def _plants(connection: Connection, session: int) -> Any:
    day = connection.execute(
        text("SELECT date_trunc('day', finished_at) FROM photo_sessions WHERE id = :id"), {"id": session}
    ).scalar_one()
    table = Detection
    return select(table.center_x_px, table.center_y_px, table.width_px, table.height_px, table.score).where(
        table.session_id == session, table.created_at >= day, table.created_at < day + dt.timedelta(days=1)
    )


def plan_of_photo(connection: Connection) -> list[str]:
    session = connection.execute(text("SELECT max(id) FROM photo_sessions")).scalar_one()
    query = _plants(connection, session).compile(
        compile_kwargs={"literal_binds": True}, dialect=connection.dialect
    )
    lines = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, COSTS OFF) {query}").scalars()
    return ["", "Query plan of a photo's plants:", *lines]


_SIZES = """
    SELECT (SELECT count(*) FROM stock_movements) AS movements, (SELECT count(*) FROM counts) AS counts,
        (SELECT sum(greatest(reltuples, 0))::bigint FROM pg_class WHERE relname ~ '^detections_p[0-9]+$')
            AS detections,
        (SELECT count(*) FROM pg_class WHERE relname ~ '^detections_p[0-9]+$') AS partitions,
        pg_size_pretty(pg_database_size(current_database())) AS size
"""


if __name__ == "__main__":
    main()
