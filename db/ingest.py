"""Photos into the database: claim one before it is counted, save what was seen. A transaction each."""

from __future__ import annotations

import datetime as dt
import os
import platform
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from db.corrections import corrected
from db.errors import Busy
from db.models.photos import Image, PhotoSession, Run
from db.models.vocabulary import ImageStatus, RunStatus, SessionStatus
from db.partitions import ensure_partitions
from db.places import Place
from db.sessions import (
    Stored,
    classify,
    copy_detections,
    copy_estimations,
    save_containers,
    save_evidence,
    save_image,
    save_totals,
    storable,
    tallies,
)
from db.stock import Lot, PhotoCount, book_photo_count, lot_at, take_back_counts
from pipeline.types import Photo, PhotoFailure, PhotoResult, PhotoStatus

# A photo that ended this many attempts without a result is left alone.
MOST_ATTEMPTS = 3
PARTITION_DAYS_AHEAD = 7
RUN_LOCK = 0x44454D4554455201  # "DEMETER" and a number: one counting run per database


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One call of `demeter process`. A photo counted under the same sha256 and hash needs no second look."""

    id: int
    model: str
    model_sha256: str
    config_hash: str
    user_id: int


class Verdict(Enum):
    """What a claim found."""

    COUNT = auto()  # it is ours to count
    DONE = auto()  # counted before, under the same model and configuration
    SET_ASIDE = auto()  # it failed or ended its worker too often


@dataclass(frozen=True, slots=True)
class Claim:
    """A photo's session. `error` is the sentence of the last failure, for a photo set aside."""

    verdict: Verdict
    session_id: int
    image_id: uuid.UUID
    first_met: dt.datetime
    place: Place | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """How a photo stands after saving: its status, and the plants that it added to the books, if booked."""

    session_id: int
    status: SessionStatus
    posted: int | None


@contextmanager
def run_lock(connection: Connection) -> Iterator[None]:
    """Only one run counts into a database at a time. Raises Busy. A killed run loses the lock by itself."""
    if not connection.scalar(select(func.pg_try_advisory_lock(RUN_LOCK))):
        raise Busy("another run is counting into this database; try again when it has finished")
    connection.commit()
    try:
        yield
    finally:
        if not connection.invalidated and not connection.closed:
            connection.rollback()
            connection.execute(select(func.pg_advisory_unlock(RUN_LOCK)))
            connection.commit()


def start_run(
    connection: Connection, command: str, model: tuple[str, str], config_hash: str, user: int
) -> RunInfo:
    """Record the run, and make the partitions of the days it may last. `model` is its name and sha256.

    Whoever holds the run lock is alone, so runs still marked as running died without a word.
    """
    with connection.begin():
        connection.execute(
            update(Run)
            .where(Run.status == RunStatus.RUNNING.value)
            .values(status=RunStatus.INTERRUPTED.value, finished_at=func.now())
        )
        values = {
            "command": command,
            "model": model[0],
            "config_hash": config_hash,
            "host": platform.node(),
            "pid": os.getpid(),
        }
        run_id = connection.execute(insert(Run).values(values).returning(Run.id)).scalar_one()
    with connection.begin():
        ensure_partitions(connection, dt.datetime.now(dt.UTC).date(), PARTITION_DAYS_AHEAD)
    return RunInfo(run_id, model[0], model[1], config_hash, user)


def finish_run(connection: Connection, run: RunInfo, status: RunStatus, photos: int, failures: int) -> None:
    with connection.begin():
        connection.execute(
            update(Run)
            .where(Run.id == run.id)
            .values(status=status.value, finished_at=func.now(), photos=photos, failures=failures)
        )


def _register(
    connection: Connection, run: RunInfo, image_id: uuid.UUID, photo: Photo
) -> Row[int, str, int, str | None, dt.datetime]:
    """Get or create the rows of an image and of its session under this run's models, locked."""
    values = {
        "id": image_id,
        "sha256": photo.sha256,
        "original_name": storable(photo.path.name),
        "file_size_bytes": photo.size,
        "uploaded_by_user_id": run.user_id,
    }
    connection.execute(insert(Image).values(values).on_conflict_do_nothing())
    key = {"image_id": image_id, "model_sha256": run.model_sha256, "config_hash": run.config_hash}
    session = {**key, "run_id": run.id, "model": run.model}
    connection.execute(insert(PhotoSession).values(session).on_conflict_do_nothing())
    found = PhotoSession
    return connection.execute(
        select(found.id, found.status, found.attempts, found.error_message, Image.created_at)
        .join(Image, Image.id == found.image_id)
        .filter_by(**key)
        .with_for_update(of=found)
    ).one()


def claim(
    connection: Connection,
    run: RunInfo,
    image: tuple[uuid.UUID, Photo],
    place: Place | None,
    *,
    retry: bool = False,
) -> Claim:
    """Make the photo ours to count, or learn that it need not be; `retry` forgives earlier attempts.

    The unique index on image, model and configuration keeps the promise that no photo counts twice.
    """
    image_id, photo = image
    with connection.begin():
        row = _register(connection, run, image_id, photo)
        verdict = _verdict(row.status, 0 if retry else row.attempts)
        if verdict is Verdict.COUNT:
            connection.execute(
                update(PhotoSession)
                .where(PhotoSession.id == row.id)
                .values(
                    status=SessionStatus.PROCESSING.value,
                    run_id=run.id,
                    attempts=PhotoSession.attempts + 1,
                    started_at=func.now(),
                    finished_at=None,
                    error_message=row.error_message or "the run ended while this photo was being counted",
                )
            )
        elif verdict is Verdict.SET_ASIDE and row.status != SessionStatus.FAILED:
            connection.execute(
                update(PhotoSession)
                .where(PhotoSession.id == row.id)
                .values(status=SessionStatus.FAILED.value, finished_at=func.now())
            )
    return Claim(verdict, row.id, image_id, row.created_at, place, row.error_message)


def _verdict(status: str, attempts: int) -> Verdict:
    if status in (SessionStatus.PENDING, SessionStatus.PROCESSING, SessionStatus.FAILED):
        return Verdict.SET_ASIDE if attempts >= MOST_ATTEMPTS else Verdict.COUNT
    return Verdict.DONE


def release_claims(connection: Connection, run: RunInfo) -> None:
    """Give back what a run that is being stopped had claimed; stopping is not the photos' fault."""
    with connection.begin():
        connection.execute(
            update(PhotoSession)
            .where(PhotoSession.run_id == run.id, PhotoSession.status == SessionStatus.PROCESSING.value)
            .values(
                status=SessionStatus.PENDING.value,
                attempts=PhotoSession.attempts - 1,
                error_message=None,
            )
        )


def look_up(
    connection: Connection,
    image: uuid.UUID,
    key: tuple[str, str],
    place: Place | None,
    *,
    retry: bool = False,
) -> str:
    """What `claim` would find, in words. `key` is the models' sha256 and the config hash."""
    row = connection.execute(
        select(PhotoSession.status, PhotoSession.attempts).where(
            PhotoSession.image_id == image,
            PhotoSession.model_sha256 == key[0],
            PhotoSession.config_hash == key[1],
        )
    ).one_or_none()
    verdict = Verdict.COUNT if row is None else _verdict(row.status, 0 if retry else row.attempts)
    if row is None or verdict is Verdict.COUNT:
        return "count and book" if place else "count; no place is known, so not book"
    if verdict is Verdict.SET_ASIDE:
        return f"nothing: it failed {row.attempts} times (--retry tries again)"
    waits = row.status in (SessionStatus.NEEDS_LOCATION, SessionStatus.NEEDS_CONFIG)
    if waits and place and lot_at(connection, place.id, dt.datetime.now(dt.UTC)):
        return "book the count that waits"
    return f"nothing: counted before ({row.status})"


def save_failure(connection: Connection, held: Claim, failure: PhotoFailure) -> Saved:
    """Record why a photo could not be counted."""
    reason = storable(failure.reason)
    with connection.begin():
        connection.execute(
            update(PhotoSession)
            .where(PhotoSession.id == held.session_id)
            .values(status=SessionStatus.FAILED.value, error_message=reason, finished_at=func.now())
        )
        connection.execute(
            update(Image)
            .where(Image.id == held.image_id, Image.storage_key.is_(None))
            .values(status=ImageStatus.FAILED.value, error_details=reason)
        )
    return Saved(held.session_id, SessionStatus.FAILED, None)


def save_result(
    connection: Connection, run: RunInfo, held: Claim, result: PhotoResult, stored: Stored
) -> Saved:
    """Save a counted photo whole and, when its place and what grows there are known, book it."""
    now = dt.datetime.now(dt.UTC)
    with connection.begin():
        save_image(connection, held.image_id, result, stored)
        ensure_partitions(connection, now.date(), 1)  # A run may last past midnight.
        counted_at = min(stored.captured_at or held.first_met, now)
        lot = lot_at(connection, held.place.id, counted_at) if held.place else None
        status = _status(result, held.place, lot)
        place_id = held.place.id if held.place else None
        save_totals(connection, held.session_id, result, place_id, (status, stored.overlay_key))
        if stored.evidence is not None:
            save_evidence(connection, held.session_id, *stored.evidence)
        save_containers(connection, held.session_id, result)
        common = (classify(connection, lot, run.model) if lot else None, now)
        copy_detections(connection, held.session_id, result, common)
        copy_estimations(connection, held.session_id, result, common)
        posted = None
        if held.place is not None and lot is not None and result.total:
            posted = _book(connection, run, held.session_id, (held.place, lot, counted_at))
    return Saved(held.session_id, status, posted)


def book_done(connection: Connection, run: RunInfo, held: Claim) -> Saved:
    """Book a photo counted earlier whose place or configuration has since become known.

    Nothing is detected again: the counts of its containers are in the database.
    """
    with connection.begin():
        row = connection.execute(
            select(
                PhotoSession.status,
                PhotoSession.storage_location_id,
                PhotoSession.warnings,
                (PhotoSession.total_detected + PhotoSession.total_estimated).label("total"),
                func.coalesce(Image.captured_at, Image.created_at).label("taken"),
            )
            .join(Image, Image.id == PhotoSession.image_id)
            .where(PhotoSession.id == held.session_id)
            .with_for_update(of=PhotoSession)
        ).one()
        status = SessionStatus(row.status)
        waits = status in (SessionStatus.NEEDS_LOCATION, SessionStatus.NEEDS_CONFIG)
        if not waits or held.place is None:
            return Saved(held.session_id, status, None)
        counted_at = min(row.taken, dt.datetime.now(dt.UTC))
        lot = lot_at(connection, held.place.id, counted_at)
        status = SessionStatus.NEEDS_CONFIG
        posted = None
        if lot is not None:
            status = SessionStatus.WARNING if row.warnings else SessionStatus.COMPLETED
        connection.execute(
            update(PhotoSession)
            .where(PhotoSession.id == held.session_id)
            .values(status=status.value, storage_location_id=held.place.id)
        )
        if lot is not None and row.total:
            posted = _book(connection, run, held.session_id, (held.place, lot, counted_at))
    return Saved(held.session_id, status, posted)


def _status(result: PhotoResult, place: Place | None, lot: Lot | None) -> SessionStatus:
    if place is None:
        return SessionStatus.NEEDS_LOCATION
    if lot is None:
        return SessionStatus.NEEDS_CONFIG
    return SessionStatus.WARNING if result.status is PhotoStatus.WARNING else SessionStatus.COMPLETED


def _book(
    connection: Connection, run: RunInfo, session_id: int, where: tuple[Place, Lot, dt.datetime]
) -> int:
    """Book a session's containers, and take back the counts of an earlier session of the same photo."""
    place, lot, counted_at = where
    earlier = connection.scalars(
        select(PhotoSession.id).where(
            PhotoSession.image_id
            == select(PhotoSession.image_id).where(PhotoSession.id == session_id).scalar_subquery(),
            PhotoSession.id != session_id,
        )
    ).all()
    for other in earlier:
        take_back_counts(connection, other, run.user_id)
    seen = corrected(connection, session_id, lot.product_id, tallies(connection, session_id))
    return book_photo_count(connection, PhotoCount(session_id, place.id, counted_at, run.user_id, seen), lot)
