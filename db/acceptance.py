"""Book what a photo shows of a bed, or propose it where a person has to decide."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import aliased

from db.batches import Lot
from db.corrections import corrected
from db.errors import LedgerRefused
from db.models.photos import Image, PhotoSession
from db.models.places import StorageBin
from db.models.reconciliations import CountDecision
from db.models.stock import Count, StockBatch, StockMovement
from db.models.vocabulary import CountStatus, DayRule, SessionStatus
from db.plausible import Counted, Expected, Limits, doubts
from db.same_day import (
    TOGETHER,
    Part,
    SameDay,
    carrier,
    counted_that_day,
    join,
    others,
    rejected_by_hand,
    together,
)  # fmt: skip
from db.sessions import tallies
from db.stock import PhotoCount, Tally, book_photo_count, lot_at, reject_counts, settle_all
from pipeline.words import Sentence

# Who books, what is accepted unseen (None: all), and the rule of days.
How = tuple[int, Limits | None, SameDay]
Where = tuple[int, Lot, dt.datetime]  # place, what grows there, when the photo was taken


def book_session(
    connection: Connection, how: How, session: tuple[int, SessionStatus], where: Where
) -> tuple[SessionStatus, int | None]:
    """Book a session's bed; its status, and the plants posted, None where a person has to decide.

    What the books refuse, because the photo is of a closed month or what was booked since needs more plants
    than it shows, stays counted, with a warning.
    """
    session_id, status = session
    try:
        with connection.begin_nested():
            return status, _post(connection, how, session_id, where)
    except LedgerRefused as refusal:
        sentence = Sentence("counted, but not booked: {refusal}", refusal=refusal)
        connection.execute(
            update(PhotoSession)
            .where(PhotoSession.id == session_id)
            .values(
                status=SessionStatus.WARNING.value,
                warnings=PhotoSession.warnings.concat(literal([sentence], JSONB)),
            )
        )
        return SessionStatus.WARNING, None


def _post(connection: Connection, how: How, session_id: int, where: Where) -> int | None:
    """Book the count, and take back those of an earlier session of the same photo."""
    (user, limits, same_day), (place_id, lot, counted_at) = how, where
    image = select(PhotoSession.image_id).where(PhotoSession.id == session_id).scalar_subquery()
    earlier = connection.scalars(
        select(PhotoSession.id).where(PhotoSession.image_id == image, PhotoSession.id != session_id)
    ).all()
    by_hand = any(_corrected_by_hand(connection, other) for other in earlier)
    why = ["a person corrected an earlier count of this photo"] if by_hand else []
    replaced = [batch for other in earlier for batch in reject_counts(connection, other, user)]
    day = same_day.day(counted_at)
    if same_day.rule in TOGETHER:
        join(connection, session_id, same_day.rule, day)
        return book_day(connection, (user, limits), session_id, (place_id, lot, replaced, why))
    if same_day.rule is DayRule.REVIEW:
        start = dt.datetime.combine(day, dt.time(), same_day.zone)
        twice = counted_that_day(connection, session_id, place_id, (start, start + dt.timedelta(days=1)))
        why += [twice] if twice else []
    seen = corrected(connection, session_id, lot.product_id, tallies(connection, session_id))
    if limits is not None:
        why += _doubts(connection, session_id, seen, where, limits)
    count = PhotoCount(session_id, place_id, counted_at, user, seen, tuple(why))
    return book_photo_count(connection, count, lot, replaced)


def book_day(
    connection: Connection,
    how: tuple[int, Limits | None],
    session_id: int,
    what: tuple[int, Lot, list[int], list[str]],
    *,
    decided: bool = False,
) -> int | None:
    """Book what a place's photos of the session's day say together, in place of what they said before.

    `what` is the place, what grows there, the batches of counts that were taken back, and reasons to doubt.
    With doubts, what was booked stands until a person decides; with `decided` one just did.
    """
    (user, limits), (place_id, lot, replaced, why) = how, what
    parts = _parts(connection, session_id, (place_id, lot))
    if not parts:
        return settle_all(connection, replaced, user)
    last = carrier(parts)
    rule = DayRule(
        connection.scalars(select(PhotoSession.day_rule).where(PhotoSession.id == session_id)).one() or ""
    )
    seen = corrected(connection, last.session_id, lot.product_id, together(parts, rule))
    if not decided and any(_corrected_by_hand(connection, part.session_id) for part in parts):
        why = [*why, Sentence("a person corrected a count of this place and day")]
    with connection.begin_nested() as attempt:  # what the parts said before is no reason to doubt their sum
        superseded = _taken_back(connection, parts, user)
        if limits is not None:
            where = (place_id, lot, last.counted_at)
            why = [*why, *_doubts(connection, last.session_id, seen, where, limits)]
        if why:
            attempt.rollback()
            superseded = []
    if why:
        _withdraw_proposals(connection, parts, user)
    count = PhotoCount(last.session_id, place_id, last.counted_at, user, seen, tuple(why))
    return book_photo_count(connection, count, lot, [*replaced, *superseded])


def _parts(connection: Connection, session_id: int, where: tuple[int, Lot]) -> list[Part]:
    """The photos that make the session's day, itself among them unless a person rejected it."""
    place_id, lot = where
    own = connection.execute(
        select(
            PhotoSession.day_rule, PhotoSession.day,
            func.coalesce(Image.captured_at, Image.created_at).label("taken"), Image.sha256,
        )
        .join(Image, Image.id == PhotoSession.image_id)
        .where(PhotoSession.id == session_id)
    ).one()  # fmt: skip
    members = others(connection, session_id, place_id, DayRule(own.day_rule), own.day)
    if not rejected_by_hand(connection, session_id):
        members.append((session_id, own.taken, own.sha256))
    now = dt.datetime.now(dt.UTC)
    return [
        Part(min(taken, now), sha256, number, tallies(connection, number))
        for number, taken, sha256 in members
        if lot_at(connection, place_id, min(taken, now)) == lot
    ]


def _withdraw_proposals(connection: Connection, parts: list[Part], user: int) -> None:
    """Of a day there is one proposal, the last."""
    connection.execute(
        update(Count)
        .where(
            Count.session_id.in_([part.session_id for part in parts]),
            Count.status == CountStatus.PROPOSED.value,
        )
        .values(status=CountStatus.REJECTED.value, decided_by_user_id=user, decided_at=func.now())
    )


def _taken_back(connection: Connection, parts: list[Part], user: int) -> list[int]:
    return [batch for part in parts for batch in reject_counts(connection, part.session_id, user)]


def _corrected_by_hand(connection: Connection, session_id: int) -> bool:
    """Whether the books hold a hand correction of what a session counted."""
    original, replacement = aliased(Count), aliased(Count)
    found = (
        select(CountDecision.id)
        .join(original, original.id == CountDecision.count_id)
        .join(replacement, replacement.id == CountDecision.replacement_count_id)
        .where(original.session_id == session_id, replacement.status == CountStatus.ACCEPTED.value)
    )
    return connection.scalar(select(found.exists())) is True


def _doubts(
    connection: Connection, session_id: int, seen: Mapping[str, Tally], where: Where, limits: Limits
) -> Iterator[str]:
    warnings = connection.scalar(select(PhotoSession.warnings).where(PhotoSession.id == session_id))
    counted = Counted(
        sum(tally.quantity for tally in seen.values()),
        sum(tally.low for tally in seen.values()),
        sum(tally.high for tally in seen.values()),
        bool(warnings),
    )
    return doubts(counted, _expected(connection, where), limits)


def _expected(connection: Connection, where: Where) -> Expected | None:
    """What the books have of the lot's product and pot at the place; None where they never had any.

    What a rejected count had posted is left out: of one that is being replaced it is still there.
    """
    place_id, lot, moment = where
    here = (
        select(StockBatch.id)
        .join(StorageBin, StorageBin.id == StockBatch.current_storage_bin_id)
        .where(
            StorageBin.storage_location_id == place_id,
            StockBatch.product_id == lot.product_id,
            StockBatch.packaging_catalog_id.is_not_distinct_from(lot.packaging_id),
        )
        .scalar_subquery()
    )
    plants, first = connection.execute(
        select(func.sum(StockMovement.quantity), func.min(StockMovement.occurred_at))
        .outerjoin(Count, Count.id == StockMovement.count_id)
        .where(
            StockMovement.batch_id.in_(here),
            StockMovement.occurred_at <= moment,
            Count.status.is_distinct_from(CountStatus.REJECTED.value),
        )
    ).one()
    if plants is None:
        return None
    last = connection.scalar(
        select(func.max(Count.counted_at)).where(
            Count.batch_id.in_(here), Count.status == CountStatus.ACCEPTED.value, Count.counted_at <= moment
        )
    )
    return Expected(int(plants), (moment - (last or first)).total_seconds() / 86_400)
