"""Photos into the database: claim one before it is counted, save what was seen. A transaction each."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from db.acceptance import book_session
from db.batches import Lot
from db.engine import guard, reopened
from db.engine import retry as begin_again
from db.errors import DatabaseUnavailable
from db.models.photos import Image, PhotoSession
from db.models.vocabulary import ImageStatus, LocatedBy, RunStatus, SessionStatus
from db.partitions import ensure_partitions
from db.places import Place
from db.repeats import find_repeat
from db.runs import Account, RunInfo, finish_run
from db.sessions import (
    NOW_OR_LATER,
    Stored,
    accept_findings,
    classify,
    copy_detections,
    copy_estimations,
    save_containers,
    save_evidence,
    save_findings,
    save_image,
    save_totals,
    storable,
)
from db.stock import lot_at
from pipeline.types import Photo, PhotoFailure, PhotoResult, PhotoStatus

_LOOKS_FOR_THE_SERVER = (1.0, 2.0)  # seconds between two
# A photo that ended this many attempts without a result is left alone.
MOST_ATTEMPTS = 3


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
    located_by: LocatedBy | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """How a photo stands after saving: its status, and the plants that it added to the books, if booked."""

    session_id: int
    status: SessionStatus
    posted: int | None


def _register(
    connection: Connection, run: RunInfo, image_id: uuid.UUID, photo: Photo
) -> Row[int, str, int, str | None, int | None, dt.datetime]:
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
        select(found.id, found.status, found.attempts, found.error_message, found.low, Image.created_at)
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
        attempts = 0 if retry else row.attempts
        verdict = verdict_of(row.status, attempts, run.policy.accept and row.low is None)
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
                .values(status=SessionStatus.FAILED.value, finished_at=NOW_OR_LATER)
            )
    return Claim(verdict, row.id, image_id, row.created_at, place, row.error_message)


def verdict_of(status: str, attempts: int, count_refused: bool) -> Verdict:
    """`count_refused`: it was refused at a glance, without a count, and is wanted all the same."""
    if status in (SessionStatus.PENDING, SessionStatus.PROCESSING, SessionStatus.FAILED):
        return Verdict.SET_ASIDE if attempts >= MOST_ATTEMPTS else Verdict.COUNT
    return Verdict.COUNT if status == SessionStatus.REFUSED and count_refused else Verdict.DONE


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


def end_run(
    connection: Connection,
    run: RunInfo,
    status: RunStatus,
    account: Callable[[], tuple[int, int, Account | None]],
    *,
    blamed: bool = False,
) -> None:
    """Give back what is not done and close the run. Then `account` says how many photos there were, how many
    failed, and how it went.

    What was in work counts an attempt only if it is `blamed`.
    Where the connection broke, this is tried over a new one: that a server was restarted is not the photos'
    fault.
    """
    known = reopened(connection)
    for pause in (*_LOOKS_FOR_THE_SERVER, None):
        try:
            with guard():
                connection.rollback()
                if not blamed:
                    release_claims(connection, run)
                finish_run(connection, run, status, *account())
            return
        except DatabaseUnavailable:
            reopened(connection)
            if pause is not None:
                time.sleep(pause)
            elif not known:  # else it is told of already
                raise


def waits(status: str, accept: bool) -> bool:
    """Whether a counted photo is booked as soon as its place and what grows there are known."""
    return status in (SessionStatus.NEEDS_LOCATION, SessionStatus.NEEDS_CONFIG) or (
        accept and status == SessionStatus.REFUSED
    )


def save_failure(connection: Connection, held: Claim, failure: PhotoFailure) -> Saved:
    """Record why a photo could not be counted."""
    reason = storable(failure.reason)
    with connection.begin():
        connection.execute(
            update(PhotoSession)
            .where(PhotoSession.id == held.session_id)
            .values(status=SessionStatus.FAILED.value, error_message=reason, finished_at=NOW_OR_LATER)
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
    """Save a counted photo whole and, when its place and what grows there are known, book it.

    What the gate refuses is saved as well, and not booked.
    """
    return begin_again(connection, lambda: _save_result(connection, run, held, result, stored))


def _save_result(
    connection: Connection, run: RunInfo, held: Claim, result: PhotoResult, stored: Stored
) -> Saved:
    now = dt.datetime.now(dt.UTC)
    # A photo that was refused at a glance may have been given its place then.
    known = select(PhotoSession.storage_location_id).where(PhotoSession.id == held.session_id)
    place_id = held.place.id if held.place else connection.scalar(known)
    result = _compared(connection, run, (held.image_id, place_id), result)
    save_image(connection, held.image_id, result, stored)
    ensure_partitions(connection, now.date(), 1)  # A run may last past midnight.
    counted_at = min(stored.captured_at or held.first_met, now)
    lot = lot_at(connection, place_id, counted_at) if place_id else None
    status = _status(result, place_id, lot)
    save_totals(connection, held.session_id, result, place_id, (status, stored.overlay_key))
    _save_source(connection, held)
    if stored.evidence is not None:
        save_evidence(connection, held.session_id, *stored.evidence)
    save_containers(connection, held.session_id, result)
    save_findings(connection, held.session_id, result)
    common = (classify(connection, lot, run.model) if lot else None, now)
    copy_detections(connection, held.session_id, result, common)
    copy_estimations(connection, held.session_id, result, common)
    posted = None
    if status is not SessionStatus.REFUSED and place_id and lot and result.main.total:
        status, posted = book_session(
            connection,
            (run.user_id, run.policy.limits, run.policy.same_day),
            (held.session_id, status),
            (place_id, lot, counted_at),
        )
    return Saved(held.session_id, status, posted)


def _compared(
    connection: Connection, run: RunInfo, image: tuple[uuid.UUID, int | None], result: PhotoResult
) -> PhotoResult:
    """The result, with a finding if the image, of this place, looks like an earlier one."""
    severity = run.policy.repeat
    if severity is None or result.phash is None or not result.counted:
        return result
    found = find_repeat(connection, *image, result.phash, severity)
    return result if found is None else result.with_findings((found,))


def book_done(connection: Connection, run: RunInfo, held: Claim) -> Saved:
    """Book a photo counted earlier whose place or configuration has since become known, or that was refused
    and is now accepted.

    Nothing is detected again: the counts of its containers are in the database.
    """
    return begin_again(connection, lambda: book_within(connection, run, held))


def book_within(connection: Connection, run: RunInfo, held: Claim) -> Saved:
    """As `book_done`, in the caller's transaction."""
    row = connection.execute(
        select(
            PhotoSession.status,
            PhotoSession.storage_location_id,
            PhotoSession.warnings,
            (PhotoSession.main_seen + PhotoSession.main_hidden).label("total"),
            func.coalesce(Image.captured_at, Image.created_at).label("taken"),
        )
        .join(Image, Image.id == PhotoSession.image_id)
        .where(PhotoSession.id == held.session_id)
        .with_for_update(of=PhotoSession)
    ).one()
    status = SessionStatus(row.status)
    place_id = held.place.id if held.place else row.storage_location_id
    if not waits(status, run.policy.accept):
        return Saved(held.session_id, status, None)
    if status is SessionStatus.REFUSED:
        accept_findings(connection, held.session_id)
    counted_at = min(row.taken, dt.datetime.now(dt.UTC))
    lot = lot_at(connection, place_id, counted_at) if place_id else None
    status = _booked_status(place_id, lot, doubtful=bool(row.warnings))
    if (status, place_id) != (row.status, row.storage_location_id):
        connection.execute(
            update(PhotoSession)
            .where(PhotoSession.id == held.session_id)
            .values(status=status.value, storage_location_id=place_id)
        )
        _save_source(connection, held)
    posted = None
    if place_id and lot and row.total:
        status, posted = book_session(
            connection,
            (run.user_id, run.policy.limits, run.policy.same_day),
            (held.session_id, status),
            (place_id, lot, counted_at),
        )
    return Saved(held.session_id, status, posted)


def _save_source(connection: Connection, held: Claim) -> None:
    """Who says which place it is."""
    if held.place is None or held.located_by is None:
        return
    values = {"located_by": held.located_by.value}
    connection.execute(update(PhotoSession).where(PhotoSession.id == held.session_id).values(values))


def _status(result: PhotoResult, place_id: int | None, lot: Lot | None) -> SessionStatus:
    if result.status is PhotoStatus.REFUSED:
        return SessionStatus.REFUSED
    return _booked_status(place_id, lot, doubtful=result.status is PhotoStatus.WARNING)


def _booked_status(place_id: int | None, lot: Lot | None, *, doubtful: bool) -> SessionStatus:
    """Of a photo that may be booked: what it waits for, or that it is done."""
    if place_id is None:
        return SessionStatus.NEEDS_LOCATION
    if lot is None:
        return SessionStatus.NEEDS_CONFIG
    return SessionStatus.WARNING if doubtful else SessionStatus.COMPLETED
