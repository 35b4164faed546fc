"""Last month's picture again: photos of other bytes that look the same."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import Connection, cast, func, or_, select
from sqlalchemy.dialects.postgresql import BIT
from sqlalchemy.orm import aliased

from db.models.photos import Image, PhotoSession
from db.models.places import StorageLocation
from db.models.vocabulary import SessionStatus
from pipeline.types import Check, Finding, Severity
from pipeline.words import Sentence

# Bits of 64. A rendered photo that is sent on, shrunk, re-encoded, blurred or brightened by a third keeps all
# but 8 of its bits; two different ones differ in 32 ± 4, and none of 308,000 pairs of crops of 79 photos in
# fewer than 11. With a twentieth of the picture cut off 16 may change: such a copy can pass unnoticed.
MOST_BITS = 8

# A photo that was refused is no count; taking it again from the same spot is what was asked for.
_COUNTED = (
    SessionStatus.COMPLETED,
    SessionStatus.WARNING,
    SessionStatus.NEEDS_LOCATION,
    SessionStatus.NEEDS_CONFIG,
    SessionStatus.NEEDS_CALIBRATION,
)


def find_repeat(
    connection: Connection, image_id: uuid.UUID, place_id: int | None, phash: int, severity: Severity
) -> Finding | None:
    """The counted photo that this one looks like most; of equals, one of the same place, then the first.

    To be asked before the image's own hash is stored: a photo is compared with all others when it is first
    counted, and when counted again only with those that came before it. Likeness is no order that an index
    could keep, so every hash is read: 30 ms for 100,000 photos.
    """
    own = aliased(Image)
    bits = func.bit_count(cast(Image.phash.bitwise_xor(phash), BIT(64)))
    like = connection.execute(
        select(
            Image.original_name,
            Image.captured_at_local,
            Image.created_at,
            StorageLocation.code.label("place"),
            bits.label("bits"),
        )
        .select_from(Image)
        .join(own, own.id == image_id)
        .join(PhotoSession, PhotoSession.image_id == Image.id)
        .outerjoin(StorageLocation, StorageLocation.id == PhotoSession.storage_location_id)
        .where(
            Image.phash.is_not(None),
            Image.id != image_id,
            or_(own.phash.is_(None), Image.created_at < own.created_at),
            PhotoSession.status.in_([status.value for status in _COUNTED]),
            bits <= MOST_BITS,
        )
        .order_by(
            bits,
            PhotoSession.storage_location_id.is_not_distinct_from(place_id).desc(),
            Image.created_at,
            PhotoSession.id,
        )
        .limit(1)
    ).one_or_none()
    if like is None:
        return None
    return Finding(Check.REPEAT, severity, _sentence(like), float(like.bits))


def _sentence(like: Any) -> str:
    taken = like.captured_at_local
    where = Sentence(" of {place}", place=like.place) if like.place else ""
    when = (
        Sentence("taken on {day:%Y-%m-%d}", day=taken)
        if taken
        else Sentence("received on {day:%Y-%m-%d}", day=like.created_at)
    )
    return Sentence(
        "looks like photo {photo}{where}, {when}; if it is that picture sent again, take a new one",
        photo=like.original_name,
        where=where,
        when=when,
    )
