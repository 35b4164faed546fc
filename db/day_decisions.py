"""Decisions about a photo that is counted together with others of its place and day (db/same_day.py).

A person says of one photo that it belongs to the day, or does not; what the others say together is then
booked anew.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from db.acceptance import book_day
from db.errors import AlreadyDecided
from db.models.photos import Image, PhotoSession
from db.models.reconciliations import CountDecision
from db.models.stock import Count
from db.models.vocabulary import CountSource, CountStatus, DayRule, Decision
from db.same_day import TOGETHER, others, rejected_by_hand
from db.sessions import tallies
from db.stock import lot_at, reject_counts
from pipeline.words import Sentence


def decide_in_day(
    connection: Connection, session: int, who: tuple[int, str | None], decision: Decision
) -> int | None:
    """Accept or reject a photo of a day's count. Returns the plants by which the books changed; None, with
    nothing done, for a photo that is not counted together with others.

    Raises AlreadyDecided and what the books refuse.
    """
    row = _session(connection, session)
    if row.day_rule is None or DayRule(row.day_rule) not in TOGETHER:
        return None
    user, reason = who
    out = rejected_by_hand(connection, session)
    waits = CountStatus.PROPOSED.value in _statuses(connection, session)
    if out == (decision is Decision.REJECTED) and not waits:
        word = "rejected" if out else "accepted"
        raise AlreadyDecided(
            Sentence("the count of photo {session} was {word} already", session=session, word=word)
        )
    lot = lot_at(connection, row.place, row.taken)
    if lot is None:
        return None
    about = _count(connection, session, row, user)
    taken_back = reject_counts(connection, session, user) if decision is Decision.REJECTED else []
    values = {"count_id": about, "decision": decision.value, "user_id": user, "reason": reason}
    connection.execute(insert(CountDecision).values(values))
    booked = book_day(connection, (user, None), session, (row.place, lot, taken_back, []), decided=True)
    return booked or 0


def _session(connection: Connection, session: int) -> Row[Any]:
    taken = func.least(func.coalesce(Image.captured_at, Image.created_at), func.now()).label("taken")
    return connection.execute(
        select(
            PhotoSession.day_rule, PhotoSession.day, PhotoSession.storage_location_id.label("place"), taken
        )
        .join(Image, Image.id == PhotoSession.image_id)
        .where(PhotoSession.id == session)
        .with_for_update(of=PhotoSession)
    ).one()


def _statuses(connection: Connection, session: int) -> set[str]:
    return set(connection.scalars(select(Count.status).where(Count.session_id == session)))


def _count(connection: Connection, session: int, row: Row[Any], user: int) -> int:
    """The count that a decision is about. A photo that never carried the day's count gets one of its own
    part, rejected: the decision is on record, and nothing is booked by it."""
    found = connection.scalar(select(func.max(Count.id)).where(Count.session_id == session))
    if found is not None:
        return found
    peers = [one[0] for one in others(connection, session, row.place, DayRule(row.day_rule), row.day)]
    batch = connection.scalars(
        select(Count.batch_id).where(Count.session_id.in_(peers)).order_by(Count.id.desc()).limit(1)
    ).one()
    plants = sum(one.quantity for one in tallies(connection, session).values())
    values = {
        "location_id": row.place,
        "batch_id": batch,
        "session_id": session,
        "source": CountSource.FOTO.value,
        "status": CountStatus.REJECTED.value,
        "counted_at": row.taken,
        "quantity": plants,
        "user_id": user,
        "decided_by_user_id": user,
        "decided_at": func.now(),
    }
    return connection.execute(insert(Count).values(values).returning(Count.id)).scalar_one()
