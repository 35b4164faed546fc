"""Counts worked out again from evidence: which sessions stand, and what they come to now.

A session keeps its number, its place and its detector; its figures, its containers and the rows of
`detections` and `estimations` are replaced, and the books take back the earlier count and post the new one.
What it was before stays in `restatements`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from db.deciding import why_waiting
from db.engine import retry
from db.models.photos import Estimation, Image, PhotoSession, SessionContainer
from db.models.restatements import Restatement
from db.models.stock import Count
from db.models.vocabulary import CountStatus, SessionStatus
from db.partitions import ensure_partitions
from db.runs import RunInfo
from db.sessions import (
    ESTIMATE_REALS,
    classify,
    copy_detections,
    copy_estimations,
    save_containers,
    save_totals,
    tallies,
)
from db.stock import PhotoCount, book_photo_count, lot_at, reject_counts, settle_all
from pipeline.types import PhotoResult

BOOKABLE = (SessionStatus.COMPLETED, SessionStatus.WARNING)

# Number of the container and of the band, method, version, and the figures of `ESTIMATE_REALS`.
Estimated = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """The count of a photographed bed, which is what the books hold, with bounds, and the method of its
    estimates; None where it has none."""

    seen: int
    hidden: int
    low: int
    high: int
    method: str | None
    version: str | None

    @property
    def total(self) -> int:
        return self.seen + self.hidden


@dataclass(frozen=True, slots=True)
class Restated:
    """What became of a session: its figures before, whether they changed, and the plants that the books
    gained or lost by it; None where none were booked."""

    before: Figures
    changed: bool
    posted: int | None = None


def compare(connection: Connection, session_id: int, result: PhotoResult) -> Restated:
    """What `restate` would change, without changing it."""
    return Restated(_figures(connection, session_id), not _says(connection, session_id, result))


def restate(connection: Connection, run: RunInfo, session_id: int, result: PhotoResult) -> Restated:
    """Replace a session's figures by those of `result`, and its count in the books, in one transaction.

    Where the result says what the session says already, nothing changes.
    """
    return retry(connection, lambda: _restate(connection, run, session_id, result))


def _restate(connection: Connection, run: RunInfo, session_id: int, result: PhotoResult) -> Restated:
    now = dt.datetime.now(dt.UTC)
    session = _locked(connection, session_id, now)
    before = _figures(connection, session_id)
    if _says(connection, session_id, result):
        return Restated(before, changed=False)
    rows_before = _estimates(connection, session_id)
    ensure_partitions(connection, now.date(), 1)
    rejected = _rejected(connection, session_id)
    _replace(connection, session, result, now)
    posted = _book_anew(connection, run.user_id, session, rejected=rejected)
    _remember(connection, run, session_id, (before, rows_before, posted))
    return Restated(before, changed=True, posted=posted)


@dataclass(frozen=True, slots=True)
class _Session:
    """What stays of a session."""

    id: int
    place: int | None
    model: str
    status: SessionStatus
    warnings: tuple[str, ...]
    seconds: float | None
    overlay_key: str | None
    counted_at: dt.datetime


def _locked(connection: Connection, session_id: int, now: dt.datetime) -> _Session:
    counted = select(func.min(Count.counted_at)).where(Count.session_id == session_id).scalar_subquery()
    row = connection.execute(
        select(
            PhotoSession.storage_location_id,
            PhotoSession.model,
            PhotoSession.status,
            PhotoSession.warnings,
            PhotoSession.seconds,
            PhotoSession.overlay_key,
            func.coalesce(counted, Image.captured_at, Image.created_at).label("counted_at"),
        )
        .join(Image, Image.id == PhotoSession.image_id)
        .where(PhotoSession.id == session_id)
        .with_for_update(of=PhotoSession)
    ).one()
    return _Session(
        session_id,
        row.storage_location_id,
        row.model,
        SessionStatus(row.status),
        tuple(row.warnings),
        row.seconds,
        row.overlay_key,
        min(row.counted_at, now),
    )


def _replace(connection: Connection, session: _Session, result: PhotoResult, now: dt.datetime) -> None:
    """The session's figures and what they were worked out from. What is held against the photo, and the
    seconds that it took to count, stay."""
    kept = replace(result, warnings=session.warnings, seconds=session.seconds or 0.0)
    save_totals(connection, session.id, kept, session.place, (session.status, session.overlay_key))
    # What was seen in them goes with them.
    connection.execute(delete(SessionContainer).where(SessionContainer.session_id == session.id))
    save_containers(connection, session.id, kept)
    lot = lot_at(connection, session.place, session.counted_at) if session.place else None
    common = (classify(connection, lot, session.model) if lot else None, now)
    copy_detections(connection, session.id, kept, common)
    copy_estimations(connection, session.id, kept, common)


def _rejected(connection: Connection, session_id: int) -> bool:
    """Whether a person rejected what the session says now. Without plants there was nothing to reject."""
    statuses = set(connection.scalars(select(Count.status).where(Count.session_id == session_id)))
    plants = sum(tally.quantity for tally in tallies(connection, session_id).values())
    return statuses == {CountStatus.REJECTED.value} and plants > 0


def _book_anew(connection: Connection, user: int, session: _Session, *, rejected: bool) -> int | None:
    """Take back the session's count and post the new one, as one difference: what left the place since is
    never without stock in between. What waits for a place, or was `rejected`, is not booked; what waited for
    a decision waits for it still."""
    doubts = tuple(why_waiting(connection, session.id))
    batches = reject_counts(connection, session.id, user)
    lot = lot_at(connection, session.place, session.counted_at) if session.place else None
    seen = tallies(connection, session.id)
    plants = sum(tally.quantity for tally in seen.values())
    due = session.status in BOOKABLE and plants > 0 and not rejected
    if session.place is not None and lot is not None and due:
        count = PhotoCount(session.id, session.place, session.counted_at, user, seen, doubts)
        return book_photo_count(connection, count, lot, batches)
    if not batches:
        return None
    posted = settle_all(connection, batches, user)
    return None if doubts else posted


def _figures(connection: Connection, session_id: int) -> Figures:
    table = PhotoSession
    row = connection.execute(
        select(table.main_seen, table.main_hidden, table.main_low, table.main_high).where(
            table.id == session_id
        )
    ).one()
    method = connection.execute(
        select(Estimation.method, Estimation.version).where(Estimation.session_id == session_id).limit(1)
    ).one_or_none()
    named = (method.method, method.version) if method else (None, None)
    return Figures(row.main_seen, row.main_hidden, row.main_low or 0, row.main_high or 0, *named)


def _estimates(connection: Connection, session_id: int) -> list[Estimated]:
    """The rows of `estimations`, by container and band."""
    columns = [getattr(Estimation, name) for name in ESTIMATE_REALS]
    rows = connection.execute(
        select(
            SessionContainer.ordinal, Estimation.band_number, Estimation.method, Estimation.version, *columns
        )
        .join(SessionContainer, SessionContainer.id == Estimation.session_container_id)
        .where(Estimation.session_id == session_id)
        .order_by(SessionContainer.ordinal, Estimation.band_number)
    )
    # The driver reads the shortest decimals; ours come from arrays.
    return [(*row[:4], *(float(np.float32(value)) for value in row[4:])) for row in rows]


def _says(connection: Connection, session_id: int, result: PhotoResult) -> bool:
    """Whether the session already says what the result says. Estimates older than the retention are gone from
    the database; then the figures decide."""
    table, session = SessionContainer, PhotoSession
    held = connection.execute(
        select(table.kind, table.role, table.seen, table.hidden, table.low, table.high)
        .where(table.session_id == session_id)
        .order_by(table.ordinal)
    ).all()
    wanted = [
        (count.container.kind, count.container.role, count.seen, count.hidden, count.low, count.high)
        for count in result.counts
    ]
    totals = connection.execute(
        select(
            *(session.total_detected, session.total_estimated, session.low, session.high),
            *(session.main_seen, session.main_hidden, session.main_low, session.main_high),
        ).where(session.id == session_id)
    ).one()
    main = result.main
    photo, bed = (
        (result.seen, result.hidden, result.low, result.high),
        (main.seen, main.hidden, main.low, main.high),
    )
    if [tuple(row) for row in held] != wanted or tuple(totals) != photo + bed:
        return False
    rows = _estimates(connection, session_id)
    return not rows or rows == _estimates_of(result)


def _estimates_of(result: PhotoResult) -> list[Estimated]:
    """What `_estimates` reads once the result is saved: figures in single precision."""
    return [
        (
            *(ordinal, estimate.band, estimate.method, estimate.version),
            *(float(np.float32(getattr(estimate, name))) for name in ESTIMATE_REALS),
        )
        for ordinal, count in enumerate(result.counts)
        for estimate in count.estimates
    ]


def _remember(
    connection: Connection,
    run: RunInfo,
    session_id: int,
    before: tuple[Figures, list[Estimated], int | None],
) -> None:
    figures, estimates, posted = before
    connection.execute(
        insert(Restatement).values(
            session_id=session_id,
            run_id=run.id,
            user_id=run.user_id,
            **{f"{name}_before": value for name, value in asdict(figures).items()},
            estimates_before=[list(row) for row in estimates],
            **asdict(_figures(connection, session_id)),
            posted=posted,
        )
    )
