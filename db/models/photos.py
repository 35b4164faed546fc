"""Photos, the runs that counted them, and what was seen."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any

from sqlalchemy import (
    REAL,
    BigInteger,
    ForeignKey,
    Identity,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from db.models import vocabulary
from db.models.base import (
    Active,
    Base,
    BigId,
    Document,
    Flag,
    Id,
    Now,
    PublicId,
    Share,
    Tally,
    Touched,
    above_zero,
    at_least,
    check,
    matches,
    one_of,
    unique_with_nulls,
)
from db.models.catalog import PackagingCatalog, Product, ProductSize
from db.models.people import User
from db.models.places import StorageLocation
from db.models.vocabulary import ContainerRole, ImageStatus, RunStatus, SessionStatus, UploadSource
from pipeline.words import Check, ContainerKind, Severity

Pixels = Annotated[float, mapped_column(REAL)]
Measured = Annotated[float, mapped_column(REAL, server_default=text("0"))]  # 0 where nothing was measured
Sentences = Annotated[list[str], mapped_column(JSONB, server_default=text("'[]'"))]
_SHA256 = "[0-9a-f]{64}"


class Image(Base):
    """A file, known by its content: `id` is the UUIDv5 of `sha256`, so that a retry gives the same key."""

    __tablename__ = "images"
    __table_args__ = (
        matches("sha256", _SHA256),
        check("storage_key", "length(storage_key) BETWEEN 1 AND 512"),
        check("thumbnail_key", "length(thumbnail_key) BETWEEN 1 AND 512"),
        check("content_type", "content_type LIKE 'image/%'"),
        check("file_size_bytes", "file_size_bytes BETWEEN 1 AND 500 * 1024 * 1024"),
        *above_zero("width_px", "height_px"),
        check("size_px", "(width_px IS NULL) = (height_px IS NULL)"),
        check("lat", "lat BETWEEN -90 AND 90"),
        check("lon", "lon BETWEEN -180 AND 180"),
        check("position", "(lat IS NULL) = (lon IS NULL)"),
        check("altitude", "altitude BETWEEN -500 AND 10000"),
        *at_least(0, "h_error"),
        one_of("status", ImageStatus),
        one_of("upload_source", UploadSource),
        one_of("located_by", vocabulary.LocatedBy),
        check("located", "(storage_location_id IS NULL) = (located_by IS NULL)"),
        Index("ix_images_status", "status"),
        Index("ix_images_created_at", text("created_at DESC")),
        Index("ix_images_uploaded_by_user_id", "uploaded_by_user_id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    storage_key: Mapped[str | None] = mapped_column(unique=True)  # NULL until the original is stored
    thumbnail_key: Mapped[str | None] = mapped_column(unique=True)
    original_name: Mapped[str]
    content_type: Mapped[str | None]  # this, width and height are NULL until the file is decoded
    file_size_bytes: Mapped[int] = mapped_column(BigInteger)
    width_px: Mapped[int | None]
    height_px: Mapped[int | None]
    captured_at: Mapped[dt.datetime | None]
    captured_at_local: Mapped[dt.datetime | None] = mapped_column(TIMESTAMP(timezone=False))  # as in EXIF
    camera: Mapped[str | None]
    lat: Mapped[float | None]
    lon: Mapped[float | None]
    altitude: Mapped[float | None]  # metres, like h_error
    h_error: Mapped[float | None]
    phash: Mapped[int | None] = mapped_column(BigInteger)  # 64 bits; NULL for one solid colour
    storage_location_id: Mapped[int | None] = mapped_column(
        ForeignKey(StorageLocation.id, ondelete="RESTRICT"), index=True
    )  # before it is counted; then its sessions tell
    located_by: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=ImageStatus.UPLOADED.value)
    error_details: Mapped[str | None]
    upload_source: Mapped[str] = mapped_column(server_default=UploadSource.CLI.value)
    uploaded_by_user_id: Mapped[int | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"))
    processing_status_updated_at: Mapped[dt.datetime | None]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class Run(Base):
    """One call of a command that counts or books photos. `key` names it in logs, reports and pings."""

    __tablename__ = "runs"
    __table_args__ = (
        one_of("status", RunStatus),
        check("finished", "(status = 'running') = (finished_at IS NULL)"),
        check("finished_at", "finished_at >= started_at"),
        *at_least(0, "photos", "failures", "plants", "retries", "peak_memory_bytes"),
        check("exit_code", "exit_code BETWEEN 0 AND 255"),
        check("statuses", "jsonb_typeof(statuses) = 'object'"),
        check("stages", "jsonb_typeof(stages) = 'object'"),
        Index("ix_runs_started_at", text("started_at DESC")),
    )

    id: Mapped[BigId]
    started_at: Mapped[Now]
    finished_at: Mapped[dt.datetime | None]
    status: Mapped[str] = mapped_column(server_default=RunStatus.RUNNING.value)
    command: Mapped[str]
    model: Mapped[str]
    config_hash: Mapped[str]
    photos: Mapped[Tally]
    failures: Mapped[Tally]
    host: Mapped[str | None]
    pid: Mapped[int | None]
    key: Mapped[uuid.UUID | None] = mapped_column(unique=True)
    version: Mapped[str | None]  # of the program
    exit_code: Mapped[int | None] = mapped_column(SmallInteger)  # these are NULL until it has finished
    plants: Mapped[int | None] = mapped_column(BigInteger)
    retries: Mapped[int | None]  # photos tried more than once
    peak_memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    statuses: Mapped[dict[str, Any] | None]  # photos by status
    stages: Mapped[dict[str, Any] | None]  # seconds by stage
    problem: Mapped[str | None]  # the sentence that ended it


class PhotoSession(Base):
    """One count of one image by one model under one configuration. The unique key is the claim."""

    __tablename__ = "photo_sessions"
    __table_args__ = (
        UniqueConstraint("image_id", "model_sha256", "config_hash"),
        matches("model_sha256", _SHA256),
        one_of("status", SessionStatus),
        *at_least(
            0, "attempts", "total_detected", "total_estimated", "total_empty_containers", "low", "seconds"
        ),
        *at_least(0, "main_seen", "main_hidden", "main_low"),
        check("interval", "total_detected + total_estimated BETWEEN low AND high"),
        check("interval_both", "(low IS NULL) = (high IS NULL)"),
        check("main_part", "main_seen <= total_detected AND main_hidden <= total_estimated"),
        check("main_interval", "main_seen + main_hidden BETWEEN main_low AND main_high"),
        check("main_interval_both", "(main_low IS NULL) = (main_high IS NULL)"),
        check("main_counted", "(main_low IS NULL) = (low IS NULL)"),
        check("measures", "jsonb_typeof(measures) = 'object'"),
        *above_zero("unlikeness", "bed_in_plants"),
        check("avg_confidence", "avg_confidence BETWEEN 0 AND 1"),
        check("warnings", "jsonb_typeof(warnings) = 'array'"),
        check("validated", "validated = (validation_date IS NOT NULL)"),
        check("validated_by", "validated OR validated_by_user_id IS NULL"),
        check("finished_at", "finished_at >= started_at"),
        check("supersedes", "supersedes_session_id <> id"),
        one_of("day_rule", vocabulary.DayRule),
        check("day_rule_of_day", "(day_rule IS NULL) = (day IS NULL)"),
        check("evidence_key", "length(evidence_key) BETWEEN 1 AND 512"),
        matches("evidence_sha256", _SHA256),
        check("evidence", "(evidence_key IS NULL) = (evidence_sha256 IS NULL)"),
        one_of("located_by", vocabulary.LocatedBy),
        check(
            "discarded",
            "(status = 'discarded') = (discarded_from IS NOT NULL)"
            " AND (discarded_from IS NULL) = (discard_reason IS NULL)",
        ),
        Index("ix_photo_sessions_status", "status"),
        Index("ix_photo_sessions_location_created_at", "storage_location_id", text("created_at DESC")),
        Index("ix_photo_sessions_run_id", "run_id"),
    )

    id: Mapped[BigId]
    session_id: Mapped[PublicId]
    image_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Image.id, ondelete="RESTRICT"))
    run_id: Mapped[int] = mapped_column(ForeignKey(Run.id, ondelete="RESTRICT"))
    storage_location_id: Mapped[int | None] = mapped_column(
        ForeignKey(StorageLocation.id, ondelete="RESTRICT")
    )
    located_by: Mapped[str | None]
    discarded_from: Mapped[str | None]  # the status that it had
    discard_reason: Mapped[str | None]
    model: Mapped[str]
    model_sha256: Mapped[str]
    config_hash: Mapped[str]
    attempts: Mapped[Tally]
    status: Mapped[str] = mapped_column(server_default=SessionStatus.PENDING.value)
    total_detected: Mapped[Tally]
    total_estimated: Mapped[Tally]
    total_empty_containers: Mapped[Tally]
    low: Mapped[int | None]  # these and the figures above are those of all that the photo shows
    high: Mapped[int | None]
    main_seen: Mapped[Tally]  # these four of the photographed bed alone: they are what is booked
    main_hidden: Mapped[Tally]
    main_low: Mapped[int | None]
    main_high: Mapped[int | None]
    avg_confidence: Mapped[Share | None]
    category_counts: Mapped[Document]
    warnings: Mapped[Sentences]
    error_message: Mapped[str | None]
    seconds: Mapped[float | None]
    overlay_key: Mapped[str | None]
    evidence_key: Mapped[str | None] = mapped_column(unique=True)  # what it can be estimated from again
    evidence_sha256: Mapped[str | None]
    measures: Mapped[dict[str, Any] | None]  # pipeline.types.Measures
    unlikeness: Mapped[float | None]  # how many times wider than for a familiar photo the interval is
    bed_in_plants: Mapped[float | None]  # area of the photographed bed, in squares of a plant's side
    validated: Mapped[Flag]
    validated_by_user_id: Mapped[int | None] = mapped_column(
        ForeignKey(User.id, ondelete="SET NULL"), index=True
    )
    validation_date: Mapped[dt.datetime | None]
    day_rule: Mapped[str | None]  # db/same_day.py: by which it is booked together with others of that day
    day: Mapped[dt.date | None]
    manual_adjustments: Mapped[dict[str, Any] | None]
    supersedes_session_id: Mapped[int | None] = mapped_column(
        ForeignKey("photo_sessions.id", ondelete="RESTRICT"), index=True
    )
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]


class SessionContainer(Base):
    """A container as this photo shows it. It has no identity beyond the photo."""

    __tablename__ = "session_containers"
    __table_args__ = (
        UniqueConstraint("session_id", "ordinal"),
        one_of("kind", ContainerKind),
        one_of("role", ContainerRole),
        check("polygon", "jsonb_typeof(polygon) = 'array'"),
        check("score", "score BETWEEN 0 AND 1"),
        check("mean_score", "mean_score BETWEEN 0 AND 1"),
        *at_least(0, "ordinal", "seen", "hidden", "low", "dead", "empty_pots", "empty_cells"),
        *above_zero("cells"),
        check("interval", "seen + hidden BETWEEN low AND high"),
        check("empty_cells_of", "empty_cells <= cells"),
        check("empty_cells_known", "empty_cells IS NULL OR cells IS NOT NULL"),
    )

    id: Mapped[BigId]
    session_id: Mapped[int] = mapped_column(ForeignKey(PhotoSession.id, ondelete="CASCADE"))
    ordinal: Mapped[int]
    kind: Mapped[str]
    role: Mapped[str] = mapped_column(server_default=ContainerRole.MAIN.value)
    polygon: Mapped[list[Any]]  # [[x, y], …] in pixels of the upright photo
    score: Mapped[Pixels]
    seen: Mapped[int]
    hidden: Mapped[int]
    low: Mapped[int]
    high: Mapped[int]
    is_empty: Mapped[Flag]
    mean_score: Mapped[float | None] = mapped_column(REAL)
    dead: Mapped[Tally]
    empty_pots: Mapped[Tally]
    cells: Mapped[int | None]  # of its known grid, and those of them without a plant
    empty_cells: Mapped[int | None]
    error_message: Mapped[str | None]


class SessionFinding(Base):
    """One thing that the photo gate holds against a photo, in the order in which it was found."""

    __tablename__ = "session_findings"
    __table_args__ = (
        UniqueConstraint("session_id", "ordinal"),
        one_of("check_name", Check),
        one_of("severity", Severity),
        *at_least(0, "ordinal"),
        Index("ix_session_findings_check_name", "check_name"),
    )

    id: Mapped[BigId]
    session_id: Mapped[int] = mapped_column(ForeignKey(PhotoSession.id, ondelete="CASCADE"))
    ordinal: Mapped[int] = mapped_column(SmallInteger)
    check_name: Mapped[str]
    severity: Mapped[str]
    sentence: Mapped[str]
    value: Mapped[float]  # the measure that gave it away


class Classification(Base):
    """What the plants of a photo are taken to be. Copied from the place's configuration: get-or-create."""

    __tablename__ = "classifications"
    __table_args__ = (
        unique_with_nulls(
            "uq_classifications_key", "product_id", "product_size_id", "packaging_catalog_id", "model_version"
        ),
        check("says_something", "num_nonnulls(product_id, product_size_id, packaging_catalog_id) >= 1"),
        check("product_conf", "product_conf BETWEEN 0 AND 1"),
        check("product_size_conf", "product_size_conf BETWEEN 0 AND 1"),
        check("packaging_conf", "packaging_conf BETWEEN 0 AND 1"),
    )

    id: Mapped[Id]
    product_id: Mapped[int | None] = mapped_column(ForeignKey(Product.id, ondelete="RESTRICT"))
    product_size_id: Mapped[int | None] = mapped_column(
        ForeignKey(ProductSize.id, ondelete="RESTRICT"), index=True
    )
    packaging_catalog_id: Mapped[int | None] = mapped_column(
        ForeignKey(PackagingCatalog.id, ondelete="RESTRICT"), index=True
    )
    product_conf: Mapped[Share | None]
    product_size_conf: Mapped[Share | None]
    packaging_conf: Mapped[Share | None]
    model_version: Mapped[str]
    name: Mapped[str | None]
    description: Mapped[str | None]
    created_at: Mapped[Now]


class Detection(Base):
    """A plant seen. Partitioned by day of `created_at` (db/partitions.py); nothing refers to it."""

    __tablename__ = "detections"
    __table_args__ = (
        PrimaryKeyConstraint("id", "created_at"),
        *above_zero("width_px", "height_px"),
        check("score", "score BETWEEN 0 AND 1"),
        Index("ix_detections_session_id", "session_id"),
        Index("ix_detections_session_container_id", "session_container_id"),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity())
    session_id: Mapped[int] = mapped_column(ForeignKey(PhotoSession.id, ondelete="CASCADE"))
    session_container_id: Mapped[int] = mapped_column(ForeignKey(SessionContainer.id, ondelete="CASCADE"))
    classification_id: Mapped[int | None] = mapped_column(ForeignKey(Classification.id, ondelete="RESTRICT"))
    center_x_px: Mapped[Pixels]
    center_y_px: Mapped[Pixels]
    width_px: Mapped[Pixels]
    height_px: Mapped[Pixels]
    score: Mapped[Pixels]
    is_empty_container: Mapped[Flag]
    is_alive: Mapped[Active]
    created_at: Mapped[Now]


class Estimation(Base):
    """Plants not seen, in one band of one container, with what the figure was worked out from.

    Partitioned like `detections`.
    """

    __tablename__ = "estimations"
    __table_args__ = (
        PrimaryKeyConstraint("id", "created_at"),
        check("method", "length(method) BETWEEN 1 AND 50"),
        *at_least(1, "band_number"),
        check("band", "y_end >= y_start"),
        *at_least(0, "residual_px", "suppressed_px", "cell_px", "plants", "size_px"),
        check("suppressed", "suppressed_px <= residual_px"),
        check("occluded", "occluded BETWEEN 0 AND plants"),
        check("confidence", "confidence BETWEEN 0 AND 1"),
        Index("ix_estimations_session_id", "session_id"),
        Index("ix_estimations_session_container_id", "session_container_id"),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity())
    session_id: Mapped[int] = mapped_column(ForeignKey(PhotoSession.id, ondelete="CASCADE"))
    session_container_id: Mapped[int] = mapped_column(ForeignKey(SessionContainer.id, ondelete="CASCADE"))
    classification_id: Mapped[int | None] = mapped_column(ForeignKey(Classification.id, ondelete="RESTRICT"))
    method: Mapped[str]
    version: Mapped[str]
    band_number: Mapped[int] = mapped_column(SmallInteger)
    y_start: Mapped[Pixels]
    y_end: Mapped[Pixels]
    residual_px: Mapped[Pixels]
    suppressed_px: Mapped[Pixels]
    cell_px: Mapped[Pixels]
    plants: Mapped[Pixels]
    size_px: Mapped[Measured]  # side of a plant in the middle of the band, and its growth per row
    slope: Mapped[Measured]
    occluded: Mapped[Measured]  # of the plants, those that others stand before
    confidence: Mapped[float | None] = mapped_column(REAL)
    created_at: Mapped[Now]
