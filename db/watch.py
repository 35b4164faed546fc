"""What one watching from outside wants to know: the backlog, the runs, who we are, what time it is."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Row, Text, cast, func, select, text
from sqlalchemy.dialects.postgresql import distinct_on

from db.errors import NotFound
from db.models.photos import Image, PhotoSession, Run
from db.models.vocabulary import ImageStatus, RunStatus, SessionStatus
from db.runs import RUN_LOCK

# A photo in one of these waits for somebody or something. It may stand in several sessions: the newest tells.
WAITING = (
    SessionStatus.PENDING,
    SessionStatus.PROCESSING,
    SessionStatus.NEEDS_LOCATION,
    SessionStatus.NEEDS_CONFIG,
    SessionStatus.NEEDS_CALIBRATION,
    SessionStatus.REFUSED,
    SessionStatus.FAILED,
)


@dataclass(frozen=True, slots=True)
class Figures:
    """`waiting` has every status of WAITING, also those at 0."""

    waiting: Mapping[str, int]  # photos by the status of their newest count
    uncounted: int  # photos that are stored and were never counted
    oldest_waiting: dt.datetime | None
    database_bytes: int
    last_success: dt.datetime | None  # of a run with exit code 0


@dataclass(frozen=True, slots=True)
class RunRow:
    """One call of a command, as `demeter runs` prints it. What older versions did not keep is None."""

    id: int
    key: uuid.UUID | None
    command: str
    status: str
    exit_code: int | None
    started_at: dt.datetime
    finished_at: dt.datetime | None
    seconds: float | None
    photos: int
    failures: int
    plants: int | None
    retries: int | None
    peak_memory_bytes: int | None
    statuses: Mapping[str, int]
    stages: Mapping[str, float]
    problem: str | None
    model: str
    config_hash: str
    version: str | None
    host: str | None
    pid: int | None


def by_status(connection: Connection) -> dict[str, tuple[int, dt.datetime]]:
    """Photos by the status of their last session: how many, and since when the oldest has it."""
    newest = (
        select(PhotoSession.status, PhotoSession.created_at)
        .ext(distinct_on(PhotoSession.image_id))
        .order_by(PhotoSession.image_id, PhotoSession.id.desc())
        .subquery()
    )
    of_status = select(newest.c.status, func.count(), func.min(newest.c.created_at)).group_by(newest.c.status)
    return {row[0]: (row[1], row[2]) for row in connection.execute(of_status)}


def figures(connection: Connection) -> Figures:
    found = by_status(connection)
    uncounted = connection.execute(
        select(func.count(), func.min(Image.created_at)).where(
            Image.status == ImageStatus.UPLOADED.value,
            ~select(PhotoSession.id).where(PhotoSession.image_id == Image.id).exists(),
        )
    ).one()
    oldest = [uncounted[1], *(found[status][1] for status in WAITING if status in found)]
    return Figures(
        waiting={status.value: found.get(status, (0, None))[0] for status in WAITING},
        uncounted=uncounted[0],
        oldest_waiting=min((one for one in oldest if one is not None), default=None),
        database_bytes=connection.scalar(text("SELECT pg_database_size(current_database())")) or 0,
        last_success=connection.scalar(
            select(func.max(Run.finished_at)).where(
                Run.status == RunStatus.FINISHED.value, func.coalesce(Run.exit_code, Run.failures) == 0
            )
        ),
    )


def recent_runs(connection: Connection, limit: int) -> list[RunRow]:
    """The newest first."""
    return [_run(row) for row in connection.execute(_RUNS.order_by(Run.id.desc()).limit(limit))]


def find_run(connection: Connection, name: str) -> RunRow:
    """By its number, or by its key or the beginning of it. Raises NotFound."""
    chosen = _RUNS.where(func.starts_with(cast(Run.key, Text), name.lower()))
    found = connection.execute(chosen.limit(2)).all() if len(name) >= LEAST_OF_KEY else []
    if not found and name.isdecimal() and len(name) < MOST_DIGITS:
        found = connection.execute(_RUNS.where(Run.id == int(name))).all()
    if len(found) != 1:
        what = "several runs" if found else "no run"
        raise NotFound(f"{name!r} names {what}: give a number or a key of `demeter runs list`")
    return _run(found[0])


def last_run(connection: Connection) -> RunRow | None:
    return next(iter(recent_runs(connection, 1)), None)


def unfinished_claims(connection: Connection) -> int:
    """Photos that a run took and never gave back, while no run is at work; the next run counts them."""
    held = select(PhotoSession.id).where(PhotoSession.status == SessionStatus.PROCESSING.value)
    if connection.scalar(_LOCKED, {"high": RUN_LOCK >> 32, "low": RUN_LOCK & 0xFFFFFFFF}):
        return 0
    return connection.scalar(select(func.count()).select_from(held.subquery())) or 0


def server_clock(connection: Connection) -> dt.datetime:
    """The time at the server, now and not when the transaction began."""
    now: dt.datetime = connection.scalars(text("SELECT clock_timestamp()")).one()
    return now


@dataclass(frozen=True, slots=True)
class Login:
    """Whom the server takes us for."""

    name: str
    superuser: bool
    owner: bool  # of the tables: may do everything to them
    roles: tuple[str, ...]  # of ours, that it is a member of


def login(connection: Connection, roles: Sequence[str]) -> Login:
    row = connection.execute(_LOGIN, {"roles": list(roles)}).one()
    return Login(row[0], bool(row[1]), bool(row[2]), tuple(row[3]))


def _run(row: Row[*tuple[Any, ...]]) -> RunRow:
    values = row._asdict()
    seconds = values.pop("seconds")
    return RunRow(
        **values | {"statuses": values["statuses"] or {}, "stages": values["stages"] or {}},
        seconds=None if seconds is None else float(seconds),
    )


LEAST_OF_KEY = 4  # characters of a key that must be given
MOST_DIGITS = 19  # of a number that fits the column
_RUNS = select(
    *(getattr(Run, one.name) for one in fields(RunRow) if one.name != "seconds"),
    func.extract("epoch", Run.finished_at - Run.started_at).label("seconds"),
)
_LOCKED = text(
    """
    SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND classid::bigint = :high AND objid::bigint = :low
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    """
)
_LOGIN = text(
    """
    SELECT current_user, rolsuper,
        coalesce((SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class
            WHERE oid = to_regclass('runs')), false),
        ARRAY(SELECT rolname::text FROM pg_roles AS ours
            WHERE ours.rolname = ANY (:roles) AND NOT mine.rolsuper
                AND pg_has_role(current_user, ours.oid, 'USAGE') ORDER BY 1)
    FROM pg_roles AS mine WHERE rolname = current_user
    """
)
