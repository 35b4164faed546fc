"""The sessions whose figures stand: of each photo the one that was counted last."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from db.errors import NotFound
from db.models.photos import Image, PhotoSession
from db.models.places import StorageLocation
from db.spacings import spacings_of
from db.stock import lot_at
from pipeline.types import Photo, Spacing
from pipeline.words import Sentence


@dataclass(frozen=True, slots=True)
class Choice:
    """Which sessions are meant; what is empty or None leaves all. Places are codes, of a bay or bed too."""

    sessions: tuple[str, ...] = ()  # numbers or UUIDs
    places: tuple[str, ...] = ()
    since: dt.datetime | None = None
    until: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A counted photo. `evidence` is the key and the sha256 of what it can be estimated from again; the path
    of `photo` is the name that its file had."""

    id: int
    photo: Photo
    place: str | None
    place_id: int | None
    model: str
    taken_at: dt.datetime
    evidence: tuple[str, str] | None


def standing_sessions(connection: Connection, choice: Choice) -> list[Standing]:
    """In the order of the photos' times. Raises NotFound for a session or place that does not exist, and for
    a session that does not stand, with the reason."""
    for code in choice.places:
        _require_place(connection, code)
    wanted = [_require_session(connection, name) for name in dict.fromkeys(choice.sessions)]
    last = _last().subquery()
    query = (
        select(
            PhotoSession.id,
            PhotoSession.model,
            PhotoSession.storage_location_id,
            PhotoSession.evidence_key,
            PhotoSession.evidence_sha256,
            StorageLocation.code,
            Image.original_name,
            Image.sha256,
            Image.file_size_bytes,
            _taken().label("taken_at"),
        )
        .join(last, last.c.id == PhotoSession.id)
        .join(Image, Image.id == PhotoSession.image_id)
        .outerjoin(StorageLocation, StorageLocation.id == PhotoSession.storage_location_id)
        .where(*_conditions(choice, wanted))
        .order_by(_taken(), PhotoSession.id)
    )
    return [
        Standing(
            id=row.id,
            photo=Photo(Path(row.original_name), row.sha256, row.file_size_bytes),
            place=row.code,
            place_id=row.storage_location_id,
            model=row.model,
            taken_at=row.taken_at,
            evidence=(row.evidence_key, row.evidence_sha256) if row.evidence_key else None,
        )
        for row in connection.execute(query)
    ]


def spacings_at(connection: Connection, place_id: int | None, moment: dt.datetime) -> tuple[Spacing, ...]:
    """How much room plants take at a place, by what was configured to grow there at that moment."""
    lot = lot_at(connection, place_id, moment) if place_id is not None else None
    return spacings_of(connection, lot) if lot is not None else ()


def _last() -> Select[int, uuid.UUID]:
    """Per image, the session that was counted last. One that failed has no bounds."""
    return (
        select(PhotoSession.id, PhotoSession.image_id)
        .where(PhotoSession.low.is_not(None))
        .ext(distinct_on(PhotoSession.image_id))
        .order_by(PhotoSession.image_id, PhotoSession.finished_at.desc().nulls_last(), PhotoSession.id.desc())
    )


def _taken() -> ColumnElement[dt.datetime]:
    return func.coalesce(Image.captured_at, Image.created_at)


def _conditions(choice: Choice, sessions: Collection[int]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if sessions:
        conditions.append(PhotoSession.id.in_(sessions))
    if choice.places:
        conditions.append(or_(*(_inside(code) for code in choice.places)))
    if choice.since is not None:
        conditions.append(_taken() >= choice.since)
    if choice.until is not None:
        conditions.append(_taken() <= choice.until)
    return conditions


def _inside(code: str) -> ColumnElement[bool]:
    upper = code.upper()
    return or_(StorageLocation.code == upper, StorageLocation.code.startswith(f"{upper}-", autoescape=True))


def _require_place(connection: Connection, code: str) -> None:
    if connection.scalar(select(StorageLocation.id).where(_inside(code)).limit(1)) is None:
        raise NotFound(
            Sentence(
                "there is no place, bed or bay {code!r}; `demeter report stock` lists places in use",
                code=code,
            )
        )


def _require_session(connection: Connection, name: str) -> int:
    """The number of a session that stands."""
    row = connection.execute(
        select(PhotoSession.id, PhotoSession.status, PhotoSession.low, PhotoSession.image_id).where(
            _named(name)
        )
    ).one_or_none()
    if row is None:
        raise NotFound(
            Sentence("there is no session {name!r}; `demeter estimate --dry-run` lists them", name=name)
        )
    if row.low is None:
        raise NotFound(
            Sentence(
                "the photo of session {name} was not counted ({status}); count it first",
                name=name,
                status=row.status,
            )
        )
    last = _last().subquery()
    standing = connection.scalar(
        select(last.c.id).where(and_(last.c.image_id == row.image_id, last.c.id != row.id))
    )
    if standing is not None:
        raise NotFound(
            Sentence(
                "session {name} was replaced: its photo was counted anew in session {standing}",
                name=name,
                standing=standing,
            )
        )
    return int(row.id)


def _named(name: str) -> ColumnElement[bool]:
    """Raises NotFound for what is neither a number nor a UUID."""
    if name.isdecimal() and len(name) < 19:
        return PhotoSession.id == int(name)
    try:
        return PhotoSession.session_id == uuid.UUID(name)
    except ValueError:
        raise NotFound(
            Sentence("{name!r} is no number of a session; `demeter estimate --dry-run` lists them", name=name)
        ) from None
