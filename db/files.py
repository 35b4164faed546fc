"""The files that rows name: for a check of the store, and to let rows forget what is gone."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, select, update

from db.models.photos import Image, PhotoSession
from db.models.vocabulary import ImageStatus


class FileKind(StrEnum):
    ORIGINAL = "original"
    THUMBNAIL = "thumbnail"
    OVERLAY = "overlay"
    EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that a row says is there. `sha256` and `size` are None where no row knows them; `session` is the
    number of the photo that people know, None for a file of the image."""

    kind: FileKind
    key: str
    image: uuid.UUID
    session: int | None = None
    sha256: str | None = None
    size: int | None = None


def named_files(connection: Connection) -> Iterator[NamedFile]:
    """All of them. In the caller's transaction, page by page, so that memory stays flat."""
    images = select(
        Image.id, Image.sha256, Image.file_size_bytes, Image.storage_key, Image.thumbnail_key
    ).order_by(Image.id)
    for row in connection.execute(images, execution_options={"yield_per": 5000}):
        if row.storage_key:
            yield NamedFile(FileKind.ORIGINAL, row.storage_key, row.id, None, row.sha256, row.file_size_bytes)
        if row.thumbnail_key:
            yield NamedFile(FileKind.THUMBNAIL, row.thumbnail_key, row.id)
    table = PhotoSession
    sessions = select(
        table.id, table.image_id, table.overlay_key, table.evidence_key, table.evidence_sha256
    ).order_by(table.id)
    for one in connection.execute(sessions, execution_options={"yield_per": 5000}):
        if one.overlay_key:
            yield NamedFile(FileKind.OVERLAY, one.overlay_key, one.image_id, one.id)
        if one.evidence_key:
            yield NamedFile(FileKind.EVIDENCE, one.evidence_key, one.image_id, one.id, one.evidence_sha256)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """What is needed to make an image's other files again. `day` is the one in its keys."""

    id: uuid.UUID
    sha256: str
    original_key: str | None
    day: dt.date


def stored_image(connection: Connection, image: uuid.UUID) -> StoredImage | None:
    row = connection.execute(
        select(Image.id, Image.sha256, Image.storage_key, Image.created_at).where(Image.id == image)
    ).one_or_none()
    return row and StoredImage(row.id, row.sha256, row.storage_key, row.created_at.date())


def images_without_original(connection: Connection) -> dict[uuid.UUID, str]:
    """The sha256 of each image whose original is not stored, or was lost."""
    rows = connection.execute(select(Image.id, Image.sha256).where(Image.storage_key.is_(None)))
    return {row.id: row.sha256 for row in rows}


def forget_file(connection: Connection, file: NamedFile) -> None:
    """The row names the file no more; of a lost original it says so."""
    of_image = update(Image).where(Image.id == file.image)
    of_session = update(PhotoSession).where(PhotoSession.id == file.session)
    match file.kind:
        case FileKind.ORIGINAL:
            lost = {
                "storage_key": None,
                "status": ImageStatus.FAILED.value,
                "error_details": "its file was lost",
            }
            connection.execute(of_image.values(lost))
        case FileKind.THUMBNAIL:
            connection.execute(of_image.values(thumbnail_key=None))
        case FileKind.OVERLAY:
            connection.execute(of_session.values(overlay_key=None))
        case FileKind.EVIDENCE:
            connection.execute(of_session.values(evidence_key=None, evidence_sha256=None))


def found_again(connection: Connection, image: uuid.UUID, key: str) -> None:
    """The original of an image stands at `key` after all."""
    connection.execute(
        update(Image)
        .where(Image.id == image)
        .values(storage_key=key, status=ImageStatus.READY.value, error_details=None)
    )
