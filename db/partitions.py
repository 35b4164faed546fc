"""Daily partitions of the two large tables: made ahead, dropped whole.

There is no default partition. Rows that fell into one would escape the retention, and would make every
later ATTACH scan and lock it. Instead `demeter db upgrade` and every run of `demeter process` make the next
days' partitions, so that a night never outlives them. Days are UTC days.

Names follow pg_partman's (`detections_p20261122`), so that it can take over where a server has it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection, text

PARTITIONED = ("detections", "estimations")
DAYS_AHEAD = 7

_LOCK = 0x0DE3E7E5  # pg_advisory_xact_lock: two programs must not make the same partition
_BOUNDS = r"FROM \('([^']+)'\) TO \('([^']+)'\)"
_LIST = text(
    """
    SELECT parent.relname, child.relname, bounds[1]::timestamptz, bounds[2]::timestamptz
    FROM pg_inherits
    JOIN pg_class AS parent ON parent.oid = inhparent
    JOIN pg_class AS child ON child.oid = inhrelid
    CROSS JOIN regexp_match(pg_get_expr(child.relpartbound, child.oid), :bounds) AS bounds
    WHERE parent.oid = ANY (CAST(:parents AS regclass[])) AND bounds IS NOT NULL
    ORDER BY 1, 3
    """
)


@dataclass(frozen=True, slots=True)
class Partition:
    """Holds the rows of `table` with start <= created_at < stop."""

    table: str
    name: str
    start: dt.datetime
    stop: dt.datetime


def list_partitions(connection: Connection) -> list[Partition]:
    rows = connection.execute(_LIST, {"bounds": _BOUNDS, "parents": list(PARTITIONED)})
    return [Partition(*row) for row in rows]


def ensure_partitions(connection: Connection, first: dt.date, days: int) -> list[str]:
    """Make what is missing for `days` days from `first`, and return the names.

    Runs in the caller's transaction; commit soon. When nothing is missing, it only reads the catalogue. A new
    partition is attached, which lets reading and writing of the table go on, and holds up writers of the
    tables that it refers to until the commit.
    """
    if not missing_partitions(connection, first, days):
        return []
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    missing = missing_partitions(connection, first, days)
    for partition in missing:
        _attach(connection, partition)
    return [partition.name for partition in missing]


def drop_partition(connection: Connection, partition: Partition) -> None:
    """Drop a day of one table with its rows. Runs in the caller's transaction; commit soon, for nobody reads
    or writes the table until then.

    The function of the owner's refuses a day of this week, and one with a session that has no evidence. That
    the evidence file is there is for the caller to see to (db/retention.py).
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    connection.execute(
        text("SELECT drop_partition(CAST(:parent AS regclass), :day)"),
        {"parent": partition.table, "day": partition.start.date()},
    )


def missing_partitions(connection: Connection, first: dt.date, days: int) -> list[Partition]:
    """What `ensure_partitions` would make."""
    existing = list_partitions(connection)
    return [
        wanted
        for wanted in _wanted(first, days)
        if not any(
            one.table == wanted.table and one.start < wanted.stop and wanted.start < one.stop
            for one in existing
        )
    ]


def _wanted(first: dt.date, days: int) -> list[Partition]:
    dates = [first + dt.timedelta(days=offset) for offset in range(days)]
    return [
        Partition(table, f"{table}_p{day:%Y%m%d}", midnight(day), midnight(day + dt.timedelta(days=1)))
        for table in PARTITIONED
        for day in dates
    ]


def _attach(connection: Connection, partition: Partition) -> None:
    """By a function of the owner's, since whoever processes photos does not own the tables."""
    connection.execute(
        text("SELECT make_partition(CAST(:parent AS regclass), :day)"),
        {"parent": partition.table, "day": partition.start.date()},
    )


def midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)
