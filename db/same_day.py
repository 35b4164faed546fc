"""Several photos of one place on one day: what they say together.

A photo asserts what its place holds, so by default the one taken last stands (`last`). Where a bed is too
long for one picture its photos are parts of it (`sum`); where it is photographed from several sides, the one
that shows most stands (`largest`); `review` leaves the second to a person. Under `sum` and `largest` the
photos of a day make one count, that of the photo taken last; the counts of the others are superseded by it.
Which photos those are follows from the photos alone, so that the books are the same in whatever order they
arrive.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, false, func, literal, select, update
from sqlalchemy.orm import InstrumentedAttribute

from db.models.photos import Image, PhotoSession
from db.models.reconciliations import CountDecision
from db.models.stock import Count
from db.models.vocabulary import CountStatus, DayRule, Decision, SessionStatus
from db.stock import Tally
from pipeline.words import Sentence

TOGETHER = frozenset({DayRule.SUM, DayRule.LARGEST})
_TAKEN = func.coalesce(Image.captured_at, Image.created_at)
_BOOKED = (SessionStatus.COMPLETED.value, SessionStatus.WARNING.value)


@dataclass(frozen=True, slots=True)
class SameDay:
    """The rule, and the zone in which days begin."""

    rule: DayRule = DayRule.LAST
    zone: dt.tzinfo = dt.UTC

    def day(self, moment: dt.datetime) -> dt.date:
        return moment.astimezone(self.zone).date()


@dataclass(frozen=True, slots=True)
class Part:
    """A photo of the day, with the plants that it shows by category of container."""

    counted_at: dt.datetime
    image: str  # of two at the same moment, the order that does not depend on their arrival
    session_id: int
    tallies: Mapping[str, Tally]

    @property
    def plants(self) -> int:
        return sum(tally.quantity for tally in self.tallies.values())


def carrier(parts: Iterable[Part]) -> Part:
    """The photo whose count stands for all of them: the one taken last."""
    return max(parts, key=lambda part: (part.counted_at, part.image))


def together(parts: Sequence[Part], rule: DayRule) -> dict[str, Tally]:
    """What the photos of one day say together, by category. Pure.

    Bounds of parts add up, as whatever is wrong with one photo of a bed is likely wrong with the next.
    """
    if rule is DayRule.LARGEST:
        return dict(max(parts, key=lambda part: (part.plants, part.counted_at, part.image)).tallies)
    if rule is not DayRule.SUM:
        return dict(carrier(parts).tallies)
    found: dict[str, Tally] = {}
    for part in parts:
        for category, one in part.tallies.items():
            so_far = found.get(category, Tally(0, 0, 0))
            found[category] = Tally(
                so_far.quantity + one.quantity, so_far.low + one.low, so_far.high + one.high
            )
    return found


def join(connection: Connection, session_id: int, rule: DayRule, day: dt.date) -> None:
    """Remember by which rule a session is booked, and as of which day."""
    values = {"day_rule": rule.value, "day": day}
    connection.execute(update(PhotoSession).where(PhotoSession.id == session_id).values(values))


def others(
    connection: Connection, session_id: int, place_id: int, rule: DayRule, day: dt.date
) -> list[tuple[int, dt.datetime, str]]:
    """The sessions of other photos that belong to the same day's count, with the time and name of each photo.

    A session whose count a person rejected belongs to none, nor does one that another session of the same
    photo replaced.
    """
    table, own = PhotoSession, select(PhotoSession.image_id).where(PhotoSession.id == session_id)
    newest = (
        select(table.image_id, func.max(table.id).label("id"))
        .where(table.day_rule.is_not(None))
        .group_by(table.image_id)
        .subquery()
    )
    rows = connection.execute(
        select(table.id, _TAKEN, Image.sha256)
        .join(newest, newest.c.id == table.id)
        .join(Image, Image.id == table.image_id)
        .where(
            *(table.storage_location_id == place_id, table.day_rule == rule.value, table.day == day),
            table.status.in_(_BOOKED),
            table.image_id != own.scalar_subquery(),
            ~_rejected(table.id),
        )
        .order_by(table.id)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def rejected_by_hand(connection: Connection, session_id: int) -> bool:
    """Whether a person rejected what the session counted, and did not take that back."""
    return connection.scalar(select(_rejected(literal(session_id)))) is True


def _rejected(session: ColumnElement[int] | InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """A person's last word about a session's counts is no."""
    last = (
        select(CountDecision.decision)
        .join(Count, Count.id == CountDecision.count_id)
        .where(Count.session_id == session)
        .order_by(CountDecision.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return func.coalesce(last == Decision.REJECTED.value, false())


def counted_that_day(
    connection: Connection, session_id: int, place_id: int, span: tuple[dt.datetime, dt.datetime]
) -> Sentence | None:
    """A sentence if other photos of the place count in that span of time, or wait to."""
    own = select(PhotoSession.image_id).where(PhotoSession.id == session_id).scalar_subquery()
    beside = connection.scalars(
        select(Count.session_id)
        .join(PhotoSession, PhotoSession.id == Count.session_id)
        .where(
            *(Count.location_id == place_id, Count.status != CountStatus.REJECTED.value),
            *(Count.counted_at >= span[0], Count.counted_at < span[1], PhotoSession.image_id != own),
        )
        .distinct()
        .order_by(Count.session_id)
    ).all()
    if not beside:
        return None
    numbers = ", ".join(map(str, beside))
    return Sentence("photo {numbers} counts this place on this day already", numbers=numbers)


@dataclass(frozen=True, slots=True)
class Company:
    """The other photos of a photo's place and day, and the one whose count stands in the books for the day:
    None where none does."""

    rule: DayRule
    others: tuple[int, ...] = ()
    counts_for_all: int | None = None


def company(connection: Connection, session_id: int, zone: dt.tzinfo) -> Company:
    """What else was photographed there that day, and what became of it."""
    own = connection.execute(
        select(PhotoSession.day_rule, PhotoSession.storage_location_id.label("place"), _TAKEN.label("taken"))
        .join(Image, Image.id == PhotoSession.image_id)
        .where(PhotoSession.id == session_id)
    ).one()
    rule = DayRule(own.day_rule or DayRule.LAST)
    start = dt.datetime.combine(own.taken.astimezone(zone).date(), dt.time(), zone)
    span = (start, start + dt.timedelta(days=1))
    beside = connection.scalars(
        select(PhotoSession.id)
        .join(Image, Image.id == PhotoSession.image_id)
        .where(
            *(PhotoSession.storage_location_id == own.place, PhotoSession.status.in_(_BOOKED)),
            *(span[0] <= _TAKEN, span[1] > _TAKEN, PhotoSession.id != session_id),
        )
        .order_by(_TAKEN, PhotoSession.id)
    ).all()
    stands = connection.scalar(
        select(Count.session_id)
        .where(
            *(Count.session_id.in_([session_id, *beside]), Count.status == CountStatus.ACCEPTED.value),
        )
        .order_by(Count.counted_at.desc(), Count.id.desc())
        .limit(1)
    )
    return Company(rule, tuple(beside), stands)
