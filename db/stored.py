"""Photos that are stored and not counted: registered by `demeter ingest`, or waiting for another try."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from db.models.photos import Image, PhotoSession
from db.models.places import StorageLocation
from db.models.vocabulary import ImageStatus, LocatedBy, SessionStatus, UploadSource
from db.places import Place
from db.sessions import Stored, image_values, storable
from pipeline.types import Photo, PhotoInfo

# A session in one of these was counted, or a person has to say that it shall be tried again.
_SETTLED = [
    status.value
    for status in SessionStatus
    if status not in (SessionStatus.PENDING, SessionStatus.PROCESSING)
]


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of a photo that was to be stored. `new` is False where the same bytes were stored
    before."""

    image: uuid.UUID
    first_met: dt.datetime
    new: bool


@dataclass(frozen=True, slots=True)
class StoredPhoto:
    """A stored original and the name that its file had."""

    image: uuid.UUID
    sha256: str
    size: int
    name: str
    key: str
    place: Place | None
    located_by: str | None


def register(connection: Connection, image: uuid.UUID, photo: Photo, user: int) -> Registered:
    """Get or create the row of an image, before its file is stored. In a transaction of its own."""
    values = {
        "id": image,
        "sha256": photo.sha256,
        "original_name": storable(photo.path.name),
        "file_size_bytes": photo.size,
        "uploaded_by_user_id": user,
        "upload_source": UploadSource.FOLDER.value,
    }
    with connection.begin():
        connection.execute(insert(Image).values(values).on_conflict_do_nothing())
        row = connection.execute(select(Image.created_at, Image.storage_key).where(Image.id == image)).one()
    return Registered(image, row.created_at, row.storage_key is None)


def save_stored(
    connection: Connection,
    image: uuid.UUID,
    info: PhotoInfo,
    stored: Stored,
    place: tuple[Place, LocatedBy] | None,
) -> None:
    """The file is where `stored` says. A place that is known already stays."""
    values = image_values(info, stored)
    with connection.begin():
        connection.execute(update(Image).where(Image.id == image).values(values))
        if place is not None:
            connection.execute(
                update(Image)
                .where(Image.id == image, Image.storage_location_id.is_(None))
                .values(storage_location_id=place[0].id, located_by=place[1].value)
            )


def uncounted(connection: Connection, images: Collection[uuid.UUID] | None = None) -> list[StoredPhoto]:
    """Stored photos that no session counted, the oldest first; or these images, whatever became of them."""
    settled = (
        select(PhotoSession.id)
        .where(PhotoSession.image_id == Image.id, PhotoSession.status.in_(_SETTLED))
        .exists()
    )
    query = (
        select(
            *(Image.id, Image.sha256, Image.file_size_bytes, Image.original_name, Image.storage_key),
            *(Image.located_by, StorageLocation.id.label("place_id"), StorageLocation.code),
        )
        .outerjoin(StorageLocation, StorageLocation.id == Image.storage_location_id)
        .where(Image.storage_key.is_not(None))
        .order_by(func.coalesce(Image.captured_at, Image.created_at), Image.id)
    )
    query = query.where(~settled) if images is None else query.where(Image.id.in_(list(images)))
    return [
        StoredPhoto(
            row.id,
            row.sha256,
            row.file_size_bytes,
            row.original_name,
            row.storage_key,
            Place(row.place_id, row.code) if row.place_id else None,
            row.located_by,
        )
        for row in connection.execute(query)
    ]


def mark_lost(connection: Connection, image: uuid.UUID, why: str) -> None:
    """A stored original cannot be read."""
    values = {"status": ImageStatus.FAILED.value, "error_details": storable(why)}
    with connection.begin():
        connection.execute(update(Image).where(Image.id == image).values(values))
