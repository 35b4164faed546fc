"""The state of a site in a few figures: what stands there, what happened last, what waits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from db.models.periods import Period
from db.models.photos import Run
from db.models.places import StorageLocation
from db.models.stock import Count
from db.models.vocabulary import CountStatus, SessionStatus
from db.reports import stock
from db.stored import uncounted
from db.watch import by_status
from pipeline.interval import add

# What a person has to do something about.
_WAITING = (
    SessionStatus.NEEDS_LOCATION,
    SessionStatus.NEEDS_CONFIG,
    SessionStatus.NEEDS_CALIBRATION,
    SessionStatus.REFUSED,
    SessionStatus.FAILED,
)


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last call of a command that counts photos."""

    command: str
    status: str
    started_at: dt.datetime
    finished_at: dt.datetime | None
    photos: int
    failures: int


@dataclass(frozen=True, slots=True)
class Overview:
    """`low` and `high` bound the sum of all that was counted; None where a lot in stock never was.

    `waiting` counts photos by the status of their last session, `undecided` photos whose counts a supervisor
    has to accept or reject.
    """

    plants: int
    low: int | None
    high: int | None
    stocked: int  # places with plants
    places: int
    counted_at: tuple[dt.datetime, dt.datetime] | None  # of the stock: its oldest and its newest count
    last_run: LastRun | None
    waiting: Mapping[str, int]
    stored: int  # photos that are stored and not counted yet
    undecided: int
    closed: dt.date | None  # first day of the last closed month


def overview(connection: Connection) -> Overview:
    rows = stock(connection)
    bounded = all(row.low is not None for row in rows)
    bounds = add((row.plants, row.low or 0, row.high or 0) for row in rows) if rows and bounded else None
    counted = [row.counted_at for row in rows if row.counted_at is not None]
    return Overview(
        plants=sum(row.plants for row in rows),
        low=bounds and bounds[0],
        high=bounds and bounds[1],
        stocked=len({row.place for row in rows}),
        places=connection.scalar(select(func.count()).where(StorageLocation.active)) or 0,
        counted_at=(min(counted), max(counted)) if counted else None,
        last_run=_last_run(connection),
        waiting=_waiting(connection),
        stored=len(uncounted(connection)),
        undecided=connection.scalar(
            select(func.count(Count.session_id.distinct())).where(Count.status == CountStatus.PROPOSED.value)
        )
        or 0,
        closed=connection.scalar(select(func.max(Period.month))),
    )


def _last_run(connection: Connection) -> LastRun | None:
    names = ("command", "status", "started_at", "finished_at", "photos", "failures")
    query = select(*(getattr(Run, name) for name in names)).order_by(Run.started_at.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else LastRun(*row)


def _waiting(connection: Connection) -> dict[str, int]:
    """By the status of each photo's last session."""
    found = by_status(connection)
    return {status.value: found[status.value][0] for status in _WAITING if status.value in found}
