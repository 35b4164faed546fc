"""What was reconciled and posted, and who decided about counts. All of it is append-only: a line that comes
out otherwise later gets another version, which names the one that it restates."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, BigId, Flag, Now, Tally, at_least, check, one_of, unique_with_nulls
from db.models.catalog import PackagingCatalog, Product, ProductSize
from db.models.people import User
from db.models.places import StorageLocation
from db.models.stock import Count, StockMovement
from db.models.vocabulary import BinCategory, Decision, LineVerdict


class Reconciliation(Base):
    """One call of `demeter reconcile --post`. `places` are the codes that it was confined to."""

    __tablename__ = "reconciliations"
    __table_args__ = (
        check("period", "ends_at > starts_at"),
        check("places", "jsonb_typeof(places) = 'array'"),
        Index("ix_reconciliations_starts_at", "starts_at"),
        Index("ix_reconciliations_user_id", "user_id"),
    )

    id: Mapped[BigId]
    starts_at: Mapped[dt.datetime]
    ends_at: Mapped[dt.datetime]
    places: Mapped[list[Any]]
    gains_accepted: Mapped[Flag]
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"))
    recorded_at: Mapped[Now]


class ReconciliationLine(Base):
    """A lot at a place in a period: two counts, what moved between them, and what that allows to say.

    `posted` are the plants booked for the difference, signed: inferred sales, or an adjustment.
    """

    __tablename__ = "reconciliation_lines"
    __table_args__ = (
        unique_with_nulls(
            "uq_reconciliation_lines_version",
            *("location_id", "category", "product_id", "product_size_id", "packaging_catalog_id"),
            *("starts_at", "ends_at", "version"),
        ),
        one_of("category", BinCategory),
        one_of("verdict", LineVerdict),
        *at_least(1, "version"),
        check("restates", "(version = 1) = (restates_line_id IS NULL)"),
        check("opening_all", "num_nulls(opening_at, opening, opening_low, opening_high) IN (0, 4)"),
        check("closing_all", "num_nulls(closing_at, counted, counted_low, counted_high) IN (0, 4)"),
        check("order", "closing_at > opening_at"),
        check("difference_all", "num_nulls(difference, low, high) IN (0, 3)"),
        check("interval", "difference BETWEEN low AND high"),
        check("posted", "posted = 0 OR (posted = difference AND verdict IN ('sale', 'loss', 'gain'))"),
        check("opening_counts", "jsonb_typeof(opening_counts) = 'array'"),
        check("closing_counts", "jsonb_typeof(closing_counts) = 'array'"),
        Index("ix_reconciliation_lines_reconciliation_id", "reconciliation_id"),
        Index("ix_reconciliation_lines_product_id", "product_id"),
        Index("ix_reconciliation_lines_product_size_id", "product_size_id"),
        Index("ix_reconciliation_lines_packaging_catalog_id", "packaging_catalog_id"),
        Index("ix_reconciliation_lines_starts_at_ends_at", "starts_at", "ends_at"),
    )

    id: Mapped[BigId]
    reconciliation_id: Mapped[int] = mapped_column(ForeignKey(Reconciliation.id, ondelete="RESTRICT"))
    location_id: Mapped[int] = mapped_column(ForeignKey(StorageLocation.id, ondelete="RESTRICT"))
    category: Mapped[str]
    product_id: Mapped[int] = mapped_column(ForeignKey(Product.id, ondelete="RESTRICT"))
    product_size_id: Mapped[int | None] = mapped_column(ForeignKey(ProductSize.id, ondelete="RESTRICT"))
    packaging_catalog_id: Mapped[int | None] = mapped_column(
        ForeignKey(PackagingCatalog.id, ondelete="RESTRICT")
    )
    starts_at: Mapped[dt.datetime]  # these two repeat the reconciliation's
    ends_at: Mapped[dt.datetime]
    version: Mapped[int]
    restates_line_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("reconciliation_lines.id", ondelete="RESTRICT"), unique=True
    )
    opening_at: Mapped[dt.datetime | None]
    opening: Mapped[int | None]
    opening_low: Mapped[int | None]
    opening_high: Mapped[int | None]
    initial: Mapped[Tally]
    sown: Mapped[Tally]
    planted: Mapped[Tally]
    received: Mapped[Tally]
    sent: Mapped[Tally]
    died: Mapped[Tally]
    sold: Mapped[Tally]
    adjusted: Mapped[Tally]
    closing_at: Mapped[dt.datetime | None]
    counted: Mapped[int | None]
    counted_low: Mapped[int | None]
    counted_high: Mapped[int | None]
    difference: Mapped[int | None]
    low: Mapped[int | None]
    high: Mapped[int | None]
    verdict: Mapped[str]
    posted: Mapped[Tally]
    opening_counts: Mapped[list[Any]]  # ids of the counts that the boundaries rest on
    closing_counts: Mapped[list[Any]]


class ReconciliationPosting(Base):
    """A movement that a line booked, or a reversal of one that an earlier version had booked."""

    __tablename__ = "reconciliation_postings"
    __table_args__ = (UniqueConstraint("movement_id"), Index("ix_reconciliation_postings_line_id", "line_id"))

    id: Mapped[BigId]
    line_id: Mapped[int] = mapped_column(ForeignKey(ReconciliationLine.id, ondelete="RESTRICT"))
    movement_id: Mapped[int] = mapped_column(ForeignKey(StockMovement.id, ondelete="RESTRICT"))


class CountDecision(Base):
    """What a person decided about a count. An adjusted count is rejected in favour of a hand count, which
    `replacement_count_id` names: what the photo said stays on record."""

    __tablename__ = "count_decisions"
    __table_args__ = (
        UniqueConstraint("replacement_count_id"),
        one_of("decision", Decision),
        check("adjusted", "(decision = 'adjusted') = (replacement_count_id IS NOT NULL)"),
        check("reason", "decision = 'accepted' OR coalesce(reason, '') <> ''"),
        Index("ix_count_decisions_count_id", "count_id"),
        Index("ix_count_decisions_user_id", "user_id"),
    )

    id: Mapped[BigId]
    count_id: Mapped[int] = mapped_column(ForeignKey(Count.id, ondelete="RESTRICT"))
    decision: Mapped[str]
    reason: Mapped[str | None]
    replacement_count_id: Mapped[int | None] = mapped_column(ForeignKey(Count.id, ondelete="RESTRICT"))
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"))
    decided_at: Mapped[Now]
