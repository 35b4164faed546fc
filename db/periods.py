"""Months that are closed: nothing dated in one is added, taken back or decided any more.

Months are closed in order, so there is one moment from which the books are open. Whoever writes holds that
moment until commit, and whoever closes a month waits for those who write. A closed month is sealed
(db/seals.py), and each seal holds the one before: `damages` finds whatever was changed behind its back.
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, func, insert, select

from db.acting import require_role
from db.errors import ClosedPeriod, LedgerRefused
from db.models.people import User
from db.models.periods import Period, PeriodEntry
from db.models.stock import Count, StockMovement
from db.models.vocabulary import CountStatus, Role, SealedKind
from db.seals import Head, Seals, period_hash, seals_of, sign
from pipeline.words import Sentence

# As in the database's function hold_periods(): shared by who writes, taken alone by who closes.
_LOCK = 0x44454D4554455202


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed month as people see it."""

    month: dt.date
    closed_at: dt.datetime
    closed_by: str
    movements: int
    counts: int
    evidence: int
    hash: str
    signed: bool


@dataclass(frozen=True, slots=True)
class Damage:
    """What is not as it was when the month was closed."""

    month: dt.date
    what: str  # `movement 12`, `count 7`, `evidence of session 3`, `seal`
    problem: str


def hold_periods(connection: Connection) -> dt.datetime | None:
    """Since when the books are open (None: from the beginning). It stays so until the transaction ends."""
    return connection.scalar(select(func.hold_periods()))


def hold_books(connection: Connection) -> None:
    """Wait until nobody writes in the books, and keep everybody else from it until the transaction ends."""
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def require_open(connection: Connection, moment: dt.datetime) -> dt.datetime | None:
    """Raises ClosedPeriod where what happened at the moment can no longer be booked; else as hold_periods."""
    open_from = hold_periods(connection)
    if open_from is not None and moment < open_from:
        last = connection.execute(
            select(Period.month, Period.timezone).order_by(Period.month.desc()).limit(1)
        ).one()
        day = moment.astimezone(ZoneInfo(last.timezone))
        raise ClosedPeriod(
            Sentence(
                "the books are closed up to and including {month:%Y-%m}: nothing dated"
                " {day:%Y-%m-%d} can be booked or undone any more; date it in an open month, and"
                " say when it happened as its reason",
                month=last.month,
                day=day,
            )
        )
    return open_from


def open_months(connection: Connection, last: dt.date, zone: ZoneInfo) -> list[dt.date]:
    """The months still open up to `last`, in order, each by its first day."""
    month = connection.scalar(select(func.max(Period.month)))
    if month is None:
        moved = select(func.min(StockMovement.occurred_at)).scalar_subquery()
        counted = select(func.min(Count.counted_at)).scalar_subquery()
        first = connection.scalar(select(func.least(moved, counted)))
        month = min(last, first.astimezone(zone).date().replace(day=1)) if first else last
    else:
        month = _next(month)
    months = []
    while month <= last:
        months.append(month)
        month = _next(month)
    return months


def close(
    connection: Connection,
    month: dt.date,
    zone: ZoneInfo,
    user_id: int,
    key: bytes | None = None,
    *,
    undecided: bool = False,
) -> Closed:
    """Close the month that is next in order, in the caller's transaction; the first closes all before it too.

    `key` signs the seal. Raises Forbidden, and LedgerRefused where the month is not over or not next, or
    where counts of it are neither accepted nor rejected (`undecided` leaves them so for good).
    """
    require_role(connection, user_id, Role.SUPERVISOR)
    hold_books(connection)
    now = connection.scalar(select(func.now()))
    previous = connection.execute(
        select(Period.id, Period.month, Period.ends_at, Period.hash).order_by(Period.month.desc()).limit(1)
    ).one_or_none()
    ends_at = dt.datetime.combine(_next(month), dt.time.min, zone).astimezone(dt.UTC)
    if now is None or ends_at > now:
        raise LedgerRefused(Sentence("{month:%Y-%m} is not over yet", month=month))
    if previous is not None and month != _next(previous.month):
        done = Sentence("closed already") if month <= previous.month else Sentence("not next")
        raise LedgerRefused(
            Sentence(
                "{month:%Y-%m} is {done}: {next:%Y-%m} is next to be closed",
                month=month,
                done=done,
                next=_next(previous.month),
            )
        )
    span = (previous.ends_at if previous else None, ends_at)
    if not undecided:
        _require_decided(connection, span[1], month)
    head = Head(month, zone.key, span, previous.hash if previous else None, user_id, now)
    seals = seals_of(connection, span)
    _write(connection, (head, previous.id if previous else None), seals, key)
    return closed_months(connection)[-1]


def closed_months(connection: Connection) -> list[Closed]:
    """In order."""
    rows = connection.execute(
        select(Period, User.email)
        .with_only_columns(*Period.__table__.columns, User.email)
        .join(User, User.id == Period.closed_by_user_id)
        .order_by(Period.month)
    )
    return [
        Closed(
            row.month,
            row.closed_at,
            row.email,
            *(row.movements, row.counts, row.evidence),
            row.hash.hex(),
            row.signature is not None,
        )
        for row in rows
    ]


def damages(connection: Connection, key: bytes | None = None) -> Iterator[Damage]:
    """Whatever in closed months reads otherwise than when they were closed."""
    previous: bytes | None = None
    for row in connection.execute(select(*Period.__table__.columns).order_by(Period.month)).all():
        yield from _seal_damages(connection, row, previous, key)
        stored, found = _stored(connection, row.id), seals_of(connection, (row.starts_at, row.ends_at))
        for kind, number in sorted(stored.keys() | found.keys()):
            was, now = stored.get((kind, number)), found.get((kind, number))
            if was != now:
                yield Damage(row.month, _named(kind, number), _told(was, now))
        previous = row.hash


def _seal_damages(
    connection: Connection, row: Row[Any], previous: bytes | None, key: bytes | None
) -> Iterator[Damage]:
    head = Head(
        *(row.month, row.timezone, (row.starts_at, row.ends_at), row.previous_hash),
        *(row.closed_by_user_id, row.closed_at),
    )
    if row.previous_hash != previous:
        yield Damage(row.month, "seal", "does not follow from the month before: one of the two was replaced")
    if period_hash(head, _stored(connection, row.id)) != row.hash:
        yield Damage(row.month, "seal", "does not fit what it seals: the period or its list was changed")
    if key is not None and row.signature is None:
        yield Damage(row.month, "seal", "is not signed")
    elif key is not None and not hmac.compare_digest(sign(key, row.hash), row.signature):
        yield Damage(row.month, "seal", "is not signed with this key")


def _stored(connection: Connection, period_id: int) -> dict[tuple[str, int], bytes]:
    table = PeriodEntry
    rows = connection.execute(
        select(table.kind, table.row_id, table.sha256).where(table.period_id == period_id)
    )
    return {(row.kind, row.row_id): bytes(row.sha256) for row in rows}


def _named(kind: str, number: int) -> str:
    return f"evidence of session {number}" if kind == SealedKind.EVIDENCE else f"{kind} {number}"


def _told(was: bytes | None, now: bytes | None) -> str:
    if now is None:
        return "is gone, or was dated into another month"
    return "was added after the month was closed" if was is None else "was changed"


def _require_decided(connection: Connection, ends_at: dt.datetime, month: dt.date) -> None:
    waiting = connection.scalar(
        select(func.count())
        .select_from(Count)
        .where(Count.status == CountStatus.PROPOSED.value, Count.counted_at < ends_at)
    )
    if waiting:
        raise LedgerRefused(
            Sentence(
                "{waiting} counts up to {month:%Y-%m} are neither accepted nor rejected, and"
                " could not be any more: decide them first, or say --force",
                waiting=waiting,
                month=month,
            )
        )


def _write(connection: Connection, what: tuple[Head, int | None], seals: Seals, key: bytes | None) -> None:
    head, previous_id = what
    sealed = period_hash(head, seals)
    kinds: Sequence[str] = [kind for kind, _ in seals]
    period = connection.execute(
        insert(Period)
        .values(
            month=head.month,
            timezone=head.timezone,
            starts_at=head.span[0],
            ends_at=head.span[1],
            previous_id=previous_id,
            previous_hash=head.previous_hash,
            hash=sealed,
            signature=None if key is None else sign(key, sealed),
            movements=kinds.count(SealedKind.MOVEMENT),
            counts=kinds.count(SealedKind.COUNT),
            evidence=kinds.count(SealedKind.EVIDENCE),
            closed_by_user_id=head.closed_by_user_id,
            closed_at=head.closed_at,
        )
        .returning(Period.id)
    ).scalar_one()
    rows = [
        {"period_id": period, "kind": kind, "row_id": number, "sha256": sha256}
        for (kind, number), sha256 in sorted(seals.items())
    ]
    if rows:
        connection.execute(insert(PeriodEntry), rows)


def _next(month: dt.date) -> dt.date:
    return (month.replace(day=28) + dt.timedelta(days=4)).replace(day=1)
