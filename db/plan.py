"""What a run would do with a photo, without doing it."""

from __future__ import annotations

import datetime as dt
import uuid

from sqlalchemy import Connection, select

from db.ingest import Verdict, verdict_of, waits
from db.models.photos import PhotoSession
from db.models.vocabulary import SessionStatus
from db.places import Place
from db.stock import lot_at
from pipeline.words import Sentence


def look_up(
    connection: Connection,
    image: uuid.UUID,
    key: tuple[str, str],
    place: Place | None,
    *,
    retry: bool = False,
    accept: bool = False,
) -> str:
    """What `claim` would find, in words. `key` is the models' sha256 and the config hash."""
    found = PhotoSession
    row = connection.execute(
        select(found.status, found.attempts, found.low, found.storage_location_id).where(
            found.image_id == image, found.model_sha256 == key[0], found.config_hash == key[1]
        )
    ).one_or_none()
    if row is None:
        return _plan_count(place is not None)
    verdict = verdict_of(row.status, 0 if retry else row.attempts, accept and row.low is None)
    place_id = place.id if place else row.storage_location_id
    if verdict is Verdict.COUNT:
        return _plan_count(place_id is not None)
    if verdict is Verdict.SET_ASIDE:
        return Sentence("nothing: it failed {n} times (--retry tries again)", n=row.attempts)
    if waits(row.status, accept) and place_id and lot_at(connection, place_id, dt.datetime.now(dt.UTC)):
        return Sentence("book the count that waits")
    if row.status == SessionStatus.REFUSED and not accept:
        return Sentence("nothing: it was refused (--accept-doubtful books it)")
    return Sentence("nothing: counted before ({status})", status=row.status)


def _plan_count(located: bool) -> str:
    return Sentence("count and book") if located else Sentence("count; no place is known, so not book")
