"""The rows of one photo's session: what was seen, container by container and plant by plant."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from db.batches import Lot
from db.copy import Column, copy_columns
from db.models.photos import (
    Classification,
    Detection,
    Estimation,
    Image,
    PhotoSession,
    SessionContainer,
    SessionFinding,
)
from db.models.places import StorageLocation
from db.models.vocabulary import BinCategory, ContainerRole, ImageStatus, SessionStatus
from db.shown import bed_in_plants
from db.stock import Tally
from pipeline.types import Check, ContainerKind, Finding, PhotoInfo, PhotoResult, Severity, Total

CATEGORY_OF_KIND = {
    ContainerKind.SEGMENT: BinCategory.SEGMENT,
    ContainerKind.BOX: BinCategory.BOX,
    ContainerKind.PLUG_TRAY: BinCategory.PLUG,
    ContainerKind.SEEDLING_TRAY: BinCategory.SEEDLING_TRAY,
    ContainerKind.LOOSE: BinCategory.SEGMENT,  # they stand on the ground
}
# A clock may be set back while a photo is counted.
NOW_OR_LATER = func.greatest(func.now(), PhotoSession.started_at)
# Of an estimate, by the names of `pipeline.types.Estimate` and of the columns.
ESTIMATE_REALS = (
    *(
        "y_start",
        "y_end",
        "residual_px",
        "suppressed_px",
        "cell_px",
        "plants",
        "size_px",
        "slope",
        "occluded",
    ),
)


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the files of a photo are, as keys of the store, and when it was taken. `evidence` is a
    key and the sha256 of the file."""

    original_key: str
    overlay_key: str | None
    captured_at: dt.datetime | None
    evidence: tuple[str, str] | None = None
    thumbnail_key: str | None = None


def save_image(connection: Connection, image_id: uuid.UUID, result: PhotoResult, stored: Stored) -> None:
    """What decoding told about the file."""
    values = {**image_values(result.info, stored), "phash": result.phash, "status": ImageStatus.READY.value}
    connection.execute(update(Image).where(Image.id == image_id).values(values))


def image_values(info: PhotoInfo, stored: Stored) -> dict[str, Any]:
    """Columns of a stored image: where its files are, and what its file says of itself."""
    gps = info.gps
    return {
        "storage_key": stored.original_key,
        "thumbnail_key": stored.thumbnail_key,
        "content_type": f"image/{info.format.lower()}",
        "width_px": info.width,
        "height_px": info.height,
        "captured_at": stored.captured_at,
        "captured_at_local": info.taken_at.replace(tzinfo=None) if info.taken_at else None,
        "camera": storable(info.camera) if info.camera else None,
        "lat": gps.latitude if gps else None,
        "lon": gps.longitude if gps else None,
        "altitude": gps.altitude if gps else None,
        "h_error": gps.error if gps else None,
        "error_details": None,
        "processing_status_updated_at": func.now(),
    }


def save_totals(
    connection: Connection,
    session_id: int,
    result: PhotoResult,
    place_id: int | None,
    outcome: tuple[SessionStatus, str | None],
) -> None:
    """The session's own row: where, how many, how sure, and the key of its picture."""
    status, overlay_key = outcome
    scores, main = result.detections.scores, result.main
    bounds = (result.low, result.high, main.low, main.high) if result.counted else (None,) * 4
    by_kind: dict[str, int] = {}
    for count in result.counts:
        by_kind[count.container.kind] = by_kind.get(count.container.kind, 0) + count.total
    connection.execute(
        update(PhotoSession)
        .where(PhotoSession.id == session_id)
        .values(
            storage_location_id=place_id,
            status=status.value,
            total_detected=result.seen,
            total_estimated=result.hidden,
            total_empty_containers=result.empty_containers,
            **dict(zip(("low", "high", "main_low", "main_high"), bounds, strict=True)),
            main_seen=main.seen,
            main_hidden=main.hidden,
            avg_confidence=round(float(scores.mean()), 4) if len(scores) else None,
            category_counts=by_kind,
            warnings=[storable(sentence) for sentence in result.warnings],
            error_message=None,
            seconds=result.seconds,
            overlay_key=overlay_key,
            measures=asdict(result.measures) if result.measures else None,
            unlikeness=result.unlikeness if result.counted else None,
            bed_in_plants=bed_in_plants(result) if result.counted else None,
            finished_at=NOW_OR_LATER,
        )
    )


def save_evidence(connection: Connection, session_id: int, key: str, sha256: str) -> None:
    """Where the file is that the session can be estimated from again."""
    values = {"evidence_key": key, "evidence_sha256": sha256}
    connection.execute(update(PhotoSession).where(PhotoSession.id == session_id).values(values))


def save_containers(connection: Connection, session_id: int, result: PhotoResult) -> None:
    """One row per container, in the order of `result.counts`."""
    if not result.counts:
        return
    rows = [
        {
            "session_id": session_id,
            "ordinal": ordinal,
            "kind": count.container.kind.value,
            "role": count.container.role.value,
            "polygon": np.round(count.container.polygon, 1).tolist(),
            "score": min(1.0, count.container.score),
            "seen": count.seen,
            "hidden": count.hidden,
            "low": count.low,
            "high": count.high,
            "is_empty": count.empty,
            "mean_score": count.mean_score,
            "dead": count.dead,
            "empty_pots": count.empty_pots,
            "cells": count.cells,
            "empty_cells": count.empty_cells,
        }
        for ordinal, count in enumerate(result.counts)
    ]
    connection.execute(insert(SessionContainer), rows)


def save_findings(connection: Connection, session_id: int, result: PhotoResult) -> None:
    """What the gate holds against the photo, in place of what it held at an earlier attempt."""
    table = SessionFinding
    connection.execute(delete(table).where(table.session_id == session_id))
    rows = [
        {
            "session_id": session_id,
            "ordinal": ordinal,
            "check_name": found.check.value,
            "severity": found.severity.value,
            "sentence": storable(found.sentence),
            "value": found.value,
        }
        for ordinal, found in enumerate(result.findings)
    ]
    if rows:
        connection.execute(insert(table), rows)


def accept_findings(connection: Connection, session_id: int) -> None:
    """What the photo was refused for is only warned of from now on."""
    table = SessionFinding
    connection.execute(
        update(table)
        .where(table.session_id == session_id, table.severity == Severity.REFUSAL.value)
        .values(severity=Severity.WARNING.value)
    )


def classify(connection: Connection, lot: Lot, model: str) -> int:
    """Get or create the classification that the place's configuration implies."""
    table = Classification
    key = {
        "product_id": lot.product_id,
        "product_size_id": lot.size_id,
        "packaging_catalog_id": lot.packaging_id,
        "model_version": model,
    }
    connection.execute(insert(table).values(key).on_conflict_do_nothing())
    wanted = (getattr(table, name).is_not_distinct_from(value) for name, value in key.items())
    return connection.execute(select(table.id).where(*wanted)).scalar_one()


def copy_detections(
    connection: Connection, session_id: int, result: PhotoResult, common: tuple[int | None, dt.datetime]
) -> None:
    """One row per plant seen. `common` is the classification and the time of saving."""
    containers = np.array(_container_ids(connection, session_id), np.int64)
    boxes = result.detections.boxes
    if not len(boxes):
        return
    middles, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    columns: dict[str, Column] = {
        "session_id": session_id,
        "session_container_id": containers[result.owner],
        "center_x_px": middles[:, 0].astype(np.float32),
        "center_y_px": middles[:, 1].astype(np.float32),
        "width_px": sides[:, 0].astype(np.float32),
        "height_px": sides[:, 1].astype(np.float32),
        "score": result.detections.scores,
        **_common(*common),
    }
    copy_columns(connection, Detection.__tablename__, columns, len(boxes))


def copy_estimations(
    connection: Connection, session_id: int, result: PhotoResult, common: tuple[int | None, dt.datetime]
) -> None:
    """One row per band of each container, with the figures that it was worked out from."""
    containers = _container_ids(connection, session_id)
    rows = [
        (container, estimate)
        for container, count in zip(containers, result.counts, strict=True)
        for estimate in count.estimates
    ]
    if not rows:
        return
    estimates = [estimate for _, estimate in rows]
    columns: dict[str, Column] = {
        "session_id": session_id,
        "session_container_id": np.array([container for container, _ in rows], np.int64),
        "method": estimates[0].method,
        "version": estimates[0].version,
        "band_number": np.array([estimate.band for estimate in estimates], np.int16),
        **{name: np.array([getattr(e, name) for e in estimates], np.float32) for name in ESTIMATE_REALS},
        **_common(*common),
    }
    copy_columns(connection, Estimation.__tablename__, columns, len(rows))


def _common(classification: int | None, now: dt.datetime) -> dict[str, Column]:
    if classification is None:
        return {"created_at": now}
    return {"created_at": now, "classification_id": np.array(classification, np.int32)}


def _container_ids(connection: Connection, session_id: int) -> list[int]:
    """In the order of the result's containers."""
    table = SessionContainer
    ids = select(table.id).where(table.session_id == session_id).order_by(table.ordinal)
    return list(connection.scalars(ids))


def tallies(connection: Connection, session_id: int) -> dict[str, Tally]:
    """Plants of the photographed bed per category of bin, with bounds.

    What is wrong with a photo is wrong with all its containers in the same way, so their bounds add up; but
    no part of the bed is less sure than the bed. A bed of one category has the bed's own bounds.
    """
    table = SessionContainer
    rows = connection.execute(
        select(table.kind, table.seen, table.hidden, table.low, table.high).where(
            table.session_id == session_id, table.role == ContainerRole.MAIN.value
        )
    )
    found: dict[str, Tally] = {}
    for row in rows:
        category = CATEGORY_OF_KIND[ContainerKind(row.kind)].value
        so_far = found.get(category, Tally(0, 0, 0))
        found[category] = Tally(
            so_far.quantity + row.seen + row.hidden, so_far.low + row.low, so_far.high + row.high
        )
    below, above = _halves(connection, session_id)
    return {
        category: Tally(one.quantity, max(one.low, one.quantity - below), min(one.high, one.quantity + above))
        for category, one in found.items()
    }


def _halves(connection: Connection, session_id: int) -> tuple[int, int]:
    """How far the bounds of a session's bed lie below and above its total."""
    table = PhotoSession
    total = table.main_seen + table.main_hidden
    low, high = func.coalesce(table.main_low, total), func.coalesce(table.main_high, total)
    below, above = connection.execute(select(total - low, high - total).where(table.id == session_id)).one()
    return below, above


def storable(text: str) -> str:
    """PostgreSQL takes no NUL and no half of a surrogate pair; a file name may have both kinds of trouble."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A photo's session as people see it. The figures of a photo that was not counted are None.

    `main` is the photographed bed; what comes before it is the whole photo.
    """

    id: int
    place: str | None
    status: str
    seen: int | None
    hidden: int | None
    low: int | None
    high: int | None
    main: Total | None
    dead: int | None
    empty_pots: int | None
    seconds: float | None
    warnings: tuple[str, ...]
    findings: tuple[Finding, ...]
    unlikeness: float | None
    error: str | None
    overlay_key: str | None


def session_row(connection: Connection, session_id: int) -> SessionRow:
    """The session as it stands in the database."""
    table, inside = PhotoSession, SessionContainer
    beside = select(func.coalesce(func.sum(inside.dead), 0), func.coalesce(func.sum(inside.empty_pots), 0))
    dead, empty_pots = connection.execute(beside.where(inside.session_id == session_id)).one()
    row = connection.execute(
        select(table, StorageLocation.code)
        .outerjoin(StorageLocation, StorageLocation.id == table.storage_location_id)
        .where(table.id == session_id)
    ).one()
    counted = row.low is not None
    return SessionRow(
        id=row.id,
        place=row.code,
        status=row.status,
        seen=row.total_detected if counted else None,
        hidden=row.total_estimated if counted else None,
        low=row.low,
        high=row.high,
        main=Total(row.main_seen, row.main_hidden, row.main_low, row.main_high) if counted else None,
        dead=dead if counted else None,
        empty_pots=empty_pots if counted else None,
        seconds=row.seconds,
        warnings=tuple(row.warnings),
        findings=_findings(connection, session_id),
        unlikeness=row.unlikeness,
        error=row.error_message,
        overlay_key=row.overlay_key,
    )


def _findings(connection: Connection, session_id: int) -> tuple[Finding, ...]:
    table = SessionFinding
    rows = connection.execute(
        select(table.check_name, table.severity, table.sentence, table.value)
        .where(table.session_id == session_id)
        .order_by(table.ordinal)
    )
    return tuple(
        Finding(Check(row.check_name), Severity(row.severity), row.sentence, row.value) for row in rows
    )
