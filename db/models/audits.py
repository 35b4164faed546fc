"""Hand counts of pieces of photos, and the corrections drawn from them.

A correction is never changed once it is written, only withdrawn: a trigger (in the migration) refuses the
rest. Whether an audit or a correction has expired is told by the clock, not by a status.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import REAL, BigInteger, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import (
    Base,
    BigId,
    Document,
    Flag,
    Id,
    Now,
    above_zero,
    at_least,
    check,
    matches,
    one_of,
)
from db.models.catalog import Product
from db.models.people import User
from db.models.photos import PhotoSession
from db.models.vocabulary import AuditStatus, BinCategory
from pipeline.words import Season


class Audit(Base):
    """A sheet of tiles drawn from the photos that one model counted under one configuration."""

    __tablename__ = "audits"
    __table_args__ = (
        matches("code", r"AUD-\d{4}-\d{2}-\d{2}-\d{2,}"),
        matches("model_sha256", "[0-9a-f]{64}"),
        one_of("status", AuditStatus),
        check("filters", "jsonb_typeof(filters) = 'object'"),
        *above_zero("photos", "frames"),
        check("expires_at", "expires_at > created_at"),
        check("drawn", "status <> 'drawn' OR recorded_at IS NULL"),
        check("recorded", "status NOT IN ('recorded', 'applied') OR recorded_at IS NOT NULL"),
        check("applied", "status <> 'applied' OR applied_at IS NOT NULL"),
        check("withdrawn", "(status = 'withdrawn') = (withdrawn_at IS NOT NULL)"),
    )

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(server_default=AuditStatus.DRAWN.value)
    filters: Mapped[Document]
    seed: Mapped[int] = mapped_column(BigInteger)
    photos: Mapped[int]
    frames: Mapped[int]
    model: Mapped[str]
    model_sha256: Mapped[str]
    config_hash: Mapped[str]
    created_by_user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"), index=True)
    created_at: Mapped[Now]
    expires_at: Mapped[dt.datetime]
    recorded_at: Mapped[dt.datetime | None]
    applied_at: Mapped[dt.datetime | None]
    withdrawn_at: Mapped[dt.datetime | None]


class AuditStratum(Base):
    """Frames of one product and season from which tiles were drawn by themselves."""

    __tablename__ = "audit_strata"
    __table_args__ = (
        UniqueConstraint("audit_id", "product_id", "season", "far", "dense"),
        one_of("season", Season),
        *above_zero("frames"),
        *at_least(0, "plants"),
    )

    id: Mapped[BigId]
    audit_id: Mapped[int] = mapped_column(ForeignKey(Audit.id, ondelete="RESTRICT"))
    product_id: Mapped[int] = mapped_column(ForeignKey(Product.id, ondelete="RESTRICT"), index=True)
    season: Mapped[str]
    far: Mapped[bool]
    dense: Mapped[bool]
    frames: Mapped[int]
    plants: Mapped[float]  # that the machine counted in all of them


class AuditTile(Base):
    """A frame to be counted by hand: `x1 <= x < x2`, `y1 <= y < y2` in pixels of the upright photo."""

    __tablename__ = "audit_tiles"
    __table_args__ = (
        UniqueConstraint("audit_id", "number"),
        *above_zero("number", "plant_px"),
        *at_least(0, "x1", "y1", "seen", "hidden", "hand_count"),
        check("frame", "x1 < x2 AND y1 < y2"),
        check("probability", "probability > 0 AND probability <= 1"),
        check("counted", "(hand_count IS NULL) = (counted_at IS NULL)"),
        check("counted_by", "(hand_count IS NULL) = (counted_by IS NULL)"),
        Index("ix_audit_tiles_stratum_id", "stratum_id"),
        Index("ix_audit_tiles_session_id", "session_id"),
    )

    id: Mapped[BigId]
    audit_id: Mapped[int] = mapped_column(ForeignKey(Audit.id, ondelete="RESTRICT"))
    number: Mapped[int]
    stratum_id: Mapped[int] = mapped_column(ForeignKey(AuditStratum.id, ondelete="RESTRICT"))
    session_id: Mapped[int] = mapped_column(ForeignKey(PhotoSession.id, ondelete="RESTRICT"))
    x1: Mapped[int]
    y1: Mapped[int]
    x2: Mapped[int]
    y2: Mapped[int]
    plant_px: Mapped[float] = mapped_column(REAL)
    probability: Mapped[float]
    seen: Mapped[int]
    hidden: Mapped[float]
    hand_count: Mapped[int | None]
    counted_by: Mapped[str | None]
    counted_at: Mapped[dt.datetime | None]
    remark: Mapped[str | None]


class Correction(Base):
    """A factor for the counts of one product and season by one model, from an audit, for a while."""

    __tablename__ = "corrections"
    __table_args__ = (
        UniqueConstraint("audit_id", "product_id", "season"),
        one_of("season", Season),
        matches("model_sha256", "[0-9a-f]{64}"),
        *above_zero("factor", "tiles"),
        *at_least(0, "standard_error", "low"),
        check("interval", "factor BETWEEN low AND high"),
        check("valid", "valid_until > valid_from"),
        check("withdrawn_at", "withdrawn_at >= valid_from"),
        # Of one product, season and model one correction holds; a new one withdraws the one before.
        Index(
            "uq_corrections_in_force",
            *("product_id", "season", "model_sha256", "config_hash"),
            unique=True,
            postgresql_where=text("withdrawn_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    audit_id: Mapped[int] = mapped_column(ForeignKey(Audit.id, ondelete="RESTRICT"))
    product_id: Mapped[int] = mapped_column(ForeignKey(Product.id, ondelete="RESTRICT"), index=True)
    season: Mapped[str]
    model_sha256: Mapped[str]
    config_hash: Mapped[str]
    factor: Mapped[float]
    standard_error: Mapped[float]
    low: Mapped[float]
    high: Mapped[float]
    tiles: Mapped[int]
    forced: Mapped[Flag]  # applied though it was doubtful
    valid_from: Mapped[Now]
    valid_until: Mapped[dt.datetime]
    applied_by_user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"), index=True)
    withdrawn_at: Mapped[dt.datetime | None]


class SessionCorrection(Base):
    """What a correction added to a session's count when it was booked, by category of bin.

    The session keeps what was seen and estimated; the count that it booked is seen + hidden + `plants`.
    """

    __tablename__ = "session_corrections"
    __table_args__ = (
        UniqueConstraint("session_id", "category"),
        one_of("category", BinCategory),
        Index("ix_session_corrections_correction_id", "correction_id"),
    )

    id: Mapped[BigId]
    session_id: Mapped[int] = mapped_column(ForeignKey(PhotoSession.id, ondelete="RESTRICT"))
    category: Mapped[str]
    correction_id: Mapped[int] = mapped_column(ForeignKey(Correction.id, ondelete="RESTRICT"))
    plants: Mapped[int]  # negative: taken away
