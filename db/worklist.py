"""What waits for a person: photos without a place, without a crop, failed, refused; and what settles each."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, update

from db.errors import NotFound, Refused
from db.ingest import Claim, Saved, Verdict, book_within
from db.models.photos import Image, PhotoSession
from db.models.places import StorageLocation
from db.models.stock import Count
from db.models.vocabulary import CountStatus, LocatedBy, SessionStatus
from db.places import Place
from db.runs import Policy, RunInfo
from db.sessions import storable
from pipeline.words import Sentence

WAITING = (
    SessionStatus.NEEDS_LOCATION,
    SessionStatus.NEEDS_CONFIG,
    SessionStatus.NEEDS_CALIBRATION,
    SessionStatus.REFUSED,
    SessionStatus.FAILED,
)


@dataclass(frozen=True, slots=True)
class WaitingPhoto:
    """A session that is not in the books, and why."""

    session: int
    photo: str
    place: str | None
    taken_at: dt.datetime
    plants: int | None
    low: int | None
    high: int | None
    status: str
    why: str | None
    overlay_key: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """What is needed to decide about one."""

    id: int
    image: uuid.UUID
    name: str
    status: SessionStatus
    place: Place | None
    taken_at: dt.datetime
    created_at: dt.datetime


def waiting_photos(
    connection: Connection, statuses: Sequence[SessionStatus] = WAITING, limit: int | None = None
) -> list[WaitingPhoto]:
    """Sessions in these states, the newest photo first. Of a photo that was tried under several models only
    the last counts."""
    table = PhotoSession
    last = select(func.max(table.id)).group_by(table.image_id).scalar_subquery()
    total = table.main_seen + table.main_hidden
    reason = func.coalesce(
        table.discard_reason, table.error_message, table.warnings[-1].astext, type_=table.model.type
    )
    taken = func.coalesce(Image.captured_at, Image.created_at)
    query = (
        select(
            *(table.id, Image.original_name, StorageLocation.code, taken, total),
            *(table.main_low, table.main_high, table.status, reason, table.overlay_key),
        )
        .join(Image, Image.id == table.image_id)
        .outerjoin(StorageLocation, StorageLocation.id == table.storage_location_id)
        .where(table.status.in_([status.value for status in statuses]), table.id.in_(last))
        .order_by(taken.desc(), table.id.desc())
        .limit(limit)
    )
    rows = connection.execute(query)
    return [
        WaitingPhoto(row[0], row[1], row[2], row[3], *_figures(row[4:7]), row[7], row[8], row[9])
        for row in rows
    ]


def _figures(figures: Sequence[Any]) -> tuple[int | None, int | None, int | None]:
    """Plants and bounds; none of a photo that was not counted."""
    plants, low, high = figures
    return (None, None, None) if low is None else (plants, low, high)


def find_session(connection: Connection, number: int, *, lock: bool = False) -> Session:
    """Raises NotFound."""
    table = PhotoSession
    query = (
        select(
            *(table.id, table.image_id, Image.original_name, table.status, Image.created_at),
            *(StorageLocation.id.label("place_id"), StorageLocation.code),
            func.coalesce(Image.captured_at, Image.created_at).label("taken"),
        )
        .join(Image, Image.id == table.image_id)
        .outerjoin(StorageLocation, StorageLocation.id == table.storage_location_id)
        .where(table.id == number)
    )
    row = connection.execute(query.with_for_update(of=table) if lock else query).one_or_none()
    if row is None:
        raise NotFound(
            Sentence("there is no photo {number}; `demeter photos list --all` shows them", number=number)
        )
    place = Place(row.place_id, row.code) if row.place_id else None
    status = SessionStatus(row.status)
    return Session(row.id, row.image_id, row.original_name, status, place, row.taken, row.created_at)


def assign(
    connection: Connection, number: int, place: Place, by: LocatedBy, how: tuple[int, Policy]
) -> Saved:
    """Say which place a photo shows, and book it if it was counted. `how` is who says so, and the policy.

    In the caller's transaction. Raises NotFound, and Refused for what is booked already.
    """
    session = find_session(connection, number, lock=True)
    _require_unbooked(connection, session)
    values = {"storage_location_id": place.id, "located_by": by.value}
    connection.execute(update(Image).where(Image.id == session.image).values(values))
    if session.status in (SessionStatus.NEEDS_LOCATION, SessionStatus.NEEDS_CONFIG):
        # The place that it waits with may be another.
        unlocated = {"storage_location_id": None, "status": SessionStatus.NEEDS_LOCATION.value}
        connection.execute(update(PhotoSession).where(PhotoSession.id == number).values(unlocated))
        return _book(connection, session, place, by, how)
    connection.execute(update(PhotoSession).where(PhotoSession.id == number).values(values))
    return Saved(number, session.status, None)


def book_waiting(connection: Connection, places: Sequence[int], how: tuple[int, Policy]) -> list[Saved]:
    """Book what waited for a crop at these places. In the caller's transaction."""
    table = PhotoSession
    numbers = connection.scalars(
        select(table.id)
        .where(table.status == SessionStatus.NEEDS_CONFIG.value, table.storage_location_id.in_(list(places)))
        .order_by(table.id)
    ).all()
    booked = []
    for number in numbers:
        session = find_session(connection, number, lock=True)
        booked.append(_book(connection, session, session.place, None, how))
    return booked


def forgive(connection: Connection, number: int) -> uuid.UUID:
    """Let a failed photo be tried again, from its beginning. Returns its image.

    Raises NotFound, and Refused for one that did not fail.
    """
    session = find_session(connection, number, lock=True)
    if session.status not in (SessionStatus.FAILED, SessionStatus.PENDING):
        raise Refused(
            Sentence(
                "photo {number} did not fail: it is {status}", number=number, status=session.status.value
            )
        )
    values = {"status": SessionStatus.PENDING.value, "attempts": 0}
    connection.execute(update(PhotoSession).where(PhotoSession.id == number).values(values))
    return session.image


def discard(connection: Connection, number: int, reason: str) -> None:
    """Take a photo off the list, and keep it. Raises NotFound, and Refused for what is in the books."""
    session = find_session(connection, number, lock=True)
    if session.status is SessionStatus.DISCARDED:
        return
    _require_unbooked(connection, session)
    values = {
        "discarded_from": session.status.value,
        "discard_reason": storable(reason),
        "status": SessionStatus.DISCARDED.value,
    }
    connection.execute(update(PhotoSession).where(PhotoSession.id == number).values(values))


def restore(connection: Connection, number: int, how: tuple[int, Policy]) -> Saved:
    """Undo `discard`, and book the photo if nothing is missing by now. Raises NotFound and Refused."""
    session = find_session(connection, number, lock=True)
    if session.status is not SessionStatus.DISCARDED:
        raise Refused(
            Sentence(
                "photo {number} was not discarded: it is {status}", number=number, status=session.status.value
            )
        )
    table = PhotoSession
    values = {"status": table.discarded_from, "discarded_from": None, "discard_reason": None}
    connection.execute(update(table).where(table.id == number).values(values))
    restored = find_session(connection, number)
    return _book(connection, restored, restored.place, None, how)


def _book(
    connection: Connection,
    session: Session,
    place: Place | None,
    by: LocatedBy | None,
    how: tuple[int, Policy],
) -> Saved:
    user, policy = how
    run = RunInfo(0, "", "", "", user, policy)  # of a run only who acts and the policy matter here
    held = Claim(Verdict.DONE, session.id, session.image, session.created_at, place, located_by=by)
    return book_within(connection, run, held)


def _require_unbooked(connection: Connection, session: Session) -> None:
    """Raises Refused if the books rest on the session."""
    standing = (CountStatus.ACCEPTED.value, CountStatus.PROPOSED.value)
    held = select(Count.id).where(Count.session_id == session.id, Count.status.in_(standing)).exists()
    if connection.scalar(select(held)):
        raise Refused(
            Sentence(
                "photo {number} is in the books at {place}; take it back first with"
                " `demeter photos reject {number}`",
                number=session.id,
                place=session.place.code if session.place else "?",
            )
        )


def details(connection: Connection, number: int) -> dict[str, Any]:
    """Everything that is kept of one photo, for people. Raises NotFound."""
    session = find_session(connection, number)
    table = PhotoSession
    row = connection.execute(
        select(
            *(Image.original_name, Image.sha256, Image.file_size_bytes, Image.width_px, Image.height_px),
            *(Image.camera, Image.captured_at, Image.lat, Image.lon, Image.h_error, Image.storage_key),
            *(Image.thumbnail_key, Image.error_details, table.status, table.located_by, table.attempts),
            *(table.model, table.warnings, table.error_message, table.seconds, table.discard_reason),
            *(table.overlay_key, table.evidence_key, table.main_seen, table.main_hidden),
            *(table.main_low, table.main_high, table.started_at, table.finished_at),
        )
        .join(Image, Image.id == table.image_id)
        .where(table.id == number)
    ).one()
    counts = connection.execute(
        select(Count.status, Count.quantity, Count.low, Count.high, Count.counted_at, Count.notes)
        .where(Count.session_id == number)
        .order_by(Count.id)
    )
    return {
        "session": number,
        "place": session.place.code if session.place else None,
        **row._asdict(),
        "counts": [one._asdict() for one in counts],
    }
