"""Batches, what was counted of them, and the ledger of what moved.

`stock_movements` and `counts` are append-only: triggers (in the migrations) refuse UPDATE, DELETE and
TRUNCATE. Only `status`, `decided_by_user_id` and `decided_at` of a count may change.
"""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

from sqlalchemy import BigInteger, Boolean, Computed, ForeignKey, Index, Numeric, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import (
    Base,
    BigId,
    Document,
    Money,
    Now,
    PublicId,
    Tally,
    Touched,
    at_least,
    check,
    matches,
    one_of,
    unique_with_nulls,
)
from db.models.catalog import PackagingCatalog, Product, ProductSize, ProductState
from db.models.people import User
from db.models.photos import PhotoSession
from db.models.places import StorageBin, StorageLocation
from db.models.vocabulary import CountSource, CountStatus, MovementSource, MovementType


class StockBatch(Base):
    """A lot: plants of one product, state, size and pot in one bin. An emptied batch keeps its last bin."""

    __tablename__ = "stock_batches"
    __table_args__ = (
        unique_with_nulls(
            "uq_stock_batches_key",
            "current_storage_bin_id",
            "product_id",
            "product_state_id",
            "product_size_id",
            "packaging_catalog_id",
        ),
        matches("batch_code", "[A-Z0-9-]{6,50}"),
        *at_least(0, "quantity_initial", "quantity_current", "quantity_empty_containers"),
        check("quality_score", "quality_score BETWEEN 0 AND 5"),
        Index("ix_stock_batches_product_id", "product_id"),
        Index("ix_stock_batches_product_state_id", "product_state_id"),
        Index("ix_stock_batches_product_size_id", "product_size_id"),
        Index("ix_stock_batches_packaging_catalog_id", "packaging_catalog_id"),
        Index("ix_stock_batches_created_at", text("created_at DESC")),
        Index(
            "ix_stock_batches_in_stock",
            "current_storage_bin_id",
            postgresql_where=text("quantity_current > 0"),
        ),
    )

    id: Mapped[BigId]
    batch_code: Mapped[str] = mapped_column(unique=True)
    current_storage_bin_id: Mapped[int] = mapped_column(ForeignKey(StorageBin.id, ondelete="RESTRICT"))
    product_id: Mapped[int] = mapped_column(ForeignKey(Product.id, ondelete="RESTRICT"))
    product_state_id: Mapped[int] = mapped_column(ForeignKey(ProductState.id, ondelete="RESTRICT"))
    product_size_id: Mapped[int | None] = mapped_column(ForeignKey(ProductSize.id, ondelete="RESTRICT"))
    packaging_catalog_id: Mapped[int | None] = mapped_column(
        ForeignKey(PackagingCatalog.id, ondelete="RESTRICT")
    )
    has_packaging: Mapped[bool] = mapped_column(
        Boolean, Computed("packaging_catalog_id IS NOT NULL", persisted=True)
    )
    quantity_initial: Mapped[Tally]
    quantity_current: Mapped[Tally]
    quantity_empty_containers: Mapped[Tally]
    quality_score: Mapped[Decimal | None] = mapped_column(Numeric(3, 2))  # a person's grade, 0–5
    planting_date: Mapped[dt.date | None]
    germination_date: Mapped[dt.date | None]
    transplant_date: Mapped[dt.date | None]
    expected_ready_date: Mapped[dt.date | None]
    notes: Mapped[str | None]
    custom_attributes: Mapped[Document]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class Count(Base):
    """An assertion: at `counted_at` this batch held `quantity` plants. Not an inflow."""

    __tablename__ = "counts"
    __table_args__ = (
        # What was rejected may be asserted anew: a session can be estimated again.
        Index(
            "uq_counts_session_id_batch_id",
            "session_id",
            "batch_id",
            unique=True,
            postgresql_where=text("status <> 'rejected'"),
        ),
        one_of("source", CountSource),
        one_of("status", CountStatus),
        check("foto_has_session", "(source = 'foto') = (session_id IS NOT NULL)"),
        *at_least(0, "quantity", "low"),
        check("interval", "quantity BETWEEN low AND high"),
        check("interval_both", "(low IS NULL) = (high IS NULL)"),
        check("decided", "(decided_by_user_id IS NULL) = (decided_at IS NULL)"),
        Index(
            "ix_counts_batch_id_counted_at",
            "batch_id",
            text("counted_at DESC"),
            postgresql_where=text("status = 'accepted'"),
        ),
        Index("ix_counts_location_id_counted_at", "location_id", text("counted_at DESC")),
    )

    id: Mapped[BigId]
    location_id: Mapped[int] = mapped_column(ForeignKey(StorageLocation.id, ondelete="RESTRICT"))
    batch_id: Mapped[int] = mapped_column(ForeignKey(StockBatch.id, ondelete="RESTRICT"), index=True)
    session_id: Mapped[int | None] = mapped_column(
        ForeignKey(PhotoSession.id, ondelete="RESTRICT"), index=True
    )
    source: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=CountStatus.PROPOSED.value)
    counted_at: Mapped[dt.datetime]
    recorded_at: Mapped[Now]
    quantity: Mapped[int]
    low: Mapped[int | None]
    high: Mapped[int | None]
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"), index=True)
    decided_by_user_id: Mapped[int | None] = mapped_column(
        ForeignKey(User.id, ondelete="RESTRICT"), index=True
    )
    decided_at: Mapped[dt.datetime | None]
    notes: Mapped[str | None]


class StockMovement(Base):
    """One signed entry. `occurred_at` is when it happened, `recorded_at` when it was written down.

    Undoing is a second entry of the same type, batch and opposite quantity that names the first.
    """

    __tablename__ = "stock_movements"
    __table_args__ = (
        one_of("movement_type", MovementType),
        one_of("source_type", MovementSource),
        check("quantity", "quantity <> 0"),
        check(
            "inflow_sign",
            "movement_type NOT IN ('sembrar', 'plantar', 'manual_init')"
            " OR (quantity > 0) = (reverses_movement_id IS NULL)",
        ),
        check(
            "outflow_sign",
            "movement_type NOT IN ('muerte', 'ventas') OR (quantity < 0) = (reverses_movement_id IS NULL)",
        ),
        check(
            "bins",
            "CASE WHEN quantity > 0 THEN destination_bin_id IS NOT NULL ELSE source_bin_id IS NOT NULL END",
        ),
        # Plants that died on the way belong to the transfer, and are undone with it.
        check(
            "transfer",
            "CASE movement_type WHEN 'transplante' THEN transfer_id IS NOT NULL WHEN 'muerte' THEN true"
            " ELSE transfer_id IS NULL END",
        ),
        check("foto_has_count", "movement_type <> 'foto' OR count_id IS NOT NULL"),
        check("ajuste_has_reason", "movement_type <> 'ajuste' OR coalesce(reason_description, '') <> ''"),
        check("plants_per_pot", "plants_per_pot BETWEEN 1 AND 1000"),
        check("reverses", "reverses_movement_id <> id"),
        # A day of grace, for clocks and zones that disagree.
        check("not_in_the_future", "occurred_at <= recorded_at + interval '1 day'"),
        # With what a reconciliation sums, so that it reads the index alone.
        Index(
            "ix_stock_movements_batch_id_occurred_at",
            *("batch_id", "occurred_at"),
            postgresql_include=["movement_type", "quantity", "reverses_movement_id"],
        ),
        Index(
            "ix_stock_movements_first_entries",
            "batch_id",
            postgresql_where=text("movement_type = 'manual_init'"),
        ),
        Index("ix_stock_movements_movement_type_occurred_at", "movement_type", "occurred_at"),
        Index("ix_stock_movements_session_id", "session_id"),
        Index("ix_stock_movements_count_id", "count_id"),
        Index("ix_stock_movements_user_id", "user_id"),
        Index("ix_stock_movements_source_bin_id", "source_bin_id"),
        Index("ix_stock_movements_destination_bin_id", "destination_bin_id"),
        Index("ix_stock_movements_transfer_id", "transfer_id"),
    )

    id: Mapped[BigId]
    movement_id: Mapped[PublicId]
    batch_id: Mapped[int] = mapped_column(ForeignKey(StockBatch.id, ondelete="RESTRICT"))
    movement_type: Mapped[str]
    source_bin_id: Mapped[int | None] = mapped_column(ForeignKey(StorageBin.id, ondelete="RESTRICT"))
    destination_bin_id: Mapped[int | None] = mapped_column(ForeignKey(StorageBin.id, ondelete="RESTRICT"))
    quantity: Mapped[int]  # pots in segments and boxes, plants in trays
    plants_per_pot: Mapped[int] = mapped_column(server_default=text("1"))  # a transfer balances in plants
    is_inbound: Mapped[bool] = mapped_column(Boolean, Computed("quantity > 0", persisted=True))
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"))
    unit_price: Mapped[Money | None]
    total_price: Mapped[Money | None]
    reason_description: Mapped[str | None]
    session_id: Mapped[int | None] = mapped_column(ForeignKey(PhotoSession.id, ondelete="RESTRICT"))
    count_id: Mapped[int | None] = mapped_column(ForeignKey(Count.id, ondelete="RESTRICT"))
    source_type: Mapped[str]
    transfer_id: Mapped[uuid.UUID | None]
    reverses_movement_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("stock_movements.id", ondelete="RESTRICT"), unique=True
    )
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    occurred_at: Mapped[dt.datetime]
    recorded_at: Mapped[Now]
