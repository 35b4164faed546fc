"""Book what a photo shows of a bed, or propose it where a person has to decide."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, ScalarSelect, func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import aliased

from db.batches import Lot
from db.corrections import corrected
from db.errors import LedgerRefused
from db.models.photos import PhotoSession
from db.models.places import StorageBin
from db.models.reconciliations import CountDecision
from db.models.stock import Count, StockBatch, StockMovement
from db.models.vocabulary import CountStatus, SessionStatus
from db.plausible import Counted, Expected, Limits, doubts
from db.runs import Policy
from db.sessions import tallies
from db.stock import PhotoCount, Tally, book_photo_count, reject_counts
from pipeline.words import Sentence

Where = tuple[int, Lot, dt.datetime]  # place, what grows there, when the photo was taken


def book_session(
    connection: Connection, how: tuple[int, Policy], session: tuple[int, SessionStatus], where: Where
) -> tuple[SessionStatus, int | None]:
    """Book a session's bed; its status, and the plants posted, None where a person has to decide.

    `how` is who books, and what is accepted unseen. What the books refuse, because the photo is
    of a closed month or what was booked since needs more plants than it shows, stays counted, with a warning.
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


def _post(connection: Connection, how: tuple[int, Policy], session_id: int, where: Where) -> int | None:
    """Book the count, and take back those of an earlier session of the same photo."""
    (user, policy), (place_id, lot, counted_at) = how, where
    image = select(PhotoSession.image_id).where(PhotoSession.id == session_id).scalar_subquery()
    earlier = connection.scalars(
        select(PhotoSession.id).where(PhotoSession.image_id == image, PhotoSession.id != session_id)
    ).all()
    by_hand = any(_corrected_by_hand(connection, other) for other in earlier)
    replaced = [batch for other in earlier for batch in reject_counts(connection, other, user)]
    seen = corrected(connection, session_id, lot.product_id, tallies(connection, session_id))
    why = ["a person corrected an earlier count of this photo"] if by_hand else []
    if policy.limits is not None:
        why += _doubts(connection, session_id, seen, where, policy.limits)
    if policy.one_a_day is not None:
        why += _same_day(connection, image, where, policy.one_a_day)
    count = PhotoCount(session_id, place_id, counted_at, user, seen, tuple(why))
    return book_photo_count(connection, count, lot, replaced)


def _same_day(
    connection: Connection, image: ScalarSelect[uuid.UUID], where: Where, zone: dt.tzinfo
) -> Iterator[str]:
    """That another photo of the place counts already on this day of the site."""
    place_id, _, counted_at = where
    midnight = counted_at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    others = connection.scalars(
        select(PhotoSession.id)
        .join(Count, Count.session_id == PhotoSession.id)
        .where(
            Count.location_id == place_id,
            Count.counted_at >= midnight,
            Count.counted_at < midnight + dt.timedelta(days=1),
            Count.status != CountStatus.REJECTED.value,
            PhotoSession.image_id != image,
        )
        .order_by(PhotoSession.id)
    )
    if numbers := ", ".join(map(str, dict.fromkeys(others))):
        yield Sentence("photo {numbers} counts this place on this day already", numbers=numbers)


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
