"""Questions to the books. Every figure is rebuilt from the ledger."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Float,
    Select,
    Subquery,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
    true,
)
from sqlalchemy.orm import aliased

from db.holding import HOLDS
from db.models.audits import Audit, Correction, SessionCorrection
from db.models.catalog import PackagingCatalog, Product, ProductSize, ProductState
from db.models.places import StorageBin, StorageLocation
from db.models.stock import Count, StockBatch, StockMovement
from db.models.vocabulary import CountStatus
from pipeline.interval import IN_COMMON


@dataclass(frozen=True, slots=True)
class StockRow:
    """Plants of one product, state, size and pot at one place.

    `low` and `high` bound the last counts, carried on by the movements since; None where nothing was
    counted. `counted_at` is the oldest of those counts: the figure is no fresher than that. `correction` is
    what corrections from an audit added to those counts, None where none did; `factor` is None also where
    they had several.
    """

    place: str
    product: str
    sku: str
    state: str
    size: str | None
    packaging: str | None
    plants: int
    low: int | None
    high: int | None
    counted_at: dt.datetime | None
    correction: int | None
    factor: float | None
    audit: str | None


def stock(
    connection: Connection, as_of: dt.datetime | None = None, place: str | None = None
) -> list[StockRow]:
    """The stock at a moment (default: all that is booked), by place and lot; lots at zero are left out.

    `place` keeps the places whose code is it or begins with it: `N01` for a bay, `N01-NORTE` for a bed.
    """
    lots = _lots(as_of).subquery()
    total = _whole(func.sum(lots.c.plants))
    below, above = (_half(side) for side in (lots.c.plants - lots.c.low, lots.c.high - lots.c.plants))
    grouped = (
        select(
            StorageLocation.code,
            Product.common_name,
            Product.sku,
            ProductState.code,
            ProductSize.code,
            PackagingCatalog.sku,
            total,
            # A lot that was never counted leaves the sum without bounds.
            case((func.bool_and(lots.c.low.is_not(None)), func.greatest(0, total - below))),
            case((func.bool_and(lots.c.high.is_not(None)), total + above)),
            func.min(lots.c.counted_at),
            _whole(func.sum(SessionCorrection.plants)),
            case((func.min(Correction.factor) == func.max(Correction.factor), func.min(Correction.factor))),
            func.string_agg(Audit.code.distinct(), ", "),
        )
        .select_from(lots)
        .join(StockBatch, StockBatch.id == lots.c.batch_id)
        .join(StorageBin, StorageBin.id == StockBatch.current_storage_bin_id)
        .join(StorageLocation, StorageLocation.id == StorageBin.storage_location_id)
        .join(Product, Product.id == StockBatch.product_id)
        .join(ProductState, ProductState.id == StockBatch.product_state_id)
        .outerjoin(ProductSize, ProductSize.id == StockBatch.product_size_id)
        .outerjoin(PackagingCatalog, PackagingCatalog.id == StockBatch.packaging_catalog_id)
        .outerjoin(SessionCorrection, _corrects(lots))
        .outerjoin(Correction, Correction.id == SessionCorrection.correction_id)
        .outerjoin(Audit, Audit.id == Correction.audit_id)
        .group_by(
            StorageLocation.code,
            Product.common_name,
            Product.sku,
            ProductState.code,
            ProductSize.code,
            PackagingCatalog.sku,
        )
        .having(func.sum(lots.c.plants) != 0)
        .order_by(StorageLocation.code, Product.sku, PackagingCatalog.sku)
    )
    if place is not None:
        code = place.upper()
        inside = StorageLocation.code.startswith(f"{code}-", autoescape=True)
        grouped = grouped.where((StorageLocation.code == code) | inside)
    return [StockRow(*row) for row in connection.execute(grouped)]


def _half(side: ColumnElement[Any]) -> ColumnElement[int]:
    """One half of the interval of a sum, as `pipeline.interval.add` makes it."""
    squares, sum_ = func.sum(cast(side, Float) * side), cast(func.sum(side), Float)
    root = func.sqrt((1 - IN_COMMON) * squares + IN_COMMON * sum_ * sum_)
    return cast(func.ceil(root - 1e-9), BigInteger)


def _whole(total: ColumnElement[Any]) -> ColumnElement[int]:
    """PostgreSQL's sum of bigint is numeric; plants are whole."""
    return cast(total, BigInteger)


def _corrects(lots: Subquery) -> ColumnElement[bool]:
    """What joins `session_corrections` to the lots that they are part of."""
    return and_(
        SessionCorrection.session_id == lots.c.session_id,
        SessionCorrection.category == StorageBin.category,
        HOLDS,
    )


def _lots(as_of: dt.datetime | None) -> Select[Any]:
    """Per batch: the plants booked until then, and the bounds of its last count, moved along.

    That is the last count and what moved after it: a few index entries of each batch, however many years of
    movements lie before. The sum of all movements is the same (db/ledger.py).
    """
    counts = aliased(Count)
    counted_until = literal(True) if as_of is None else counts.counted_at <= as_of
    last = (
        select(counts.session_id, counts.counted_at, counts.quantity, counts.low, counts.high)
        .where(counts.batch_id == StockBatch.id, counts.status == CountStatus.ACCEPTED.value, counted_until)
        .order_by(counts.counted_at.desc(), counts.id.desc())
        .limit(1)
        .lateral("last")
    )
    plants: Any = StockBatch.quantity_current
    if as_of is not None:
        moved = (
            select(func.coalesce(func.sum(StockMovement.quantity), 0))
            .where(
                StockMovement.batch_id == StockBatch.id,
                StockMovement.occurred_at > func.coalesce(last.c.counted_at, literal_column("'-infinity'")),
                StockMovement.occurred_at <= as_of,
            )
            .correlate(StockBatch, last)
            .scalar_subquery()
        )
        plants = func.coalesce(last.c.quantity, 0) + moved
    since = plants - last.c.quantity
    return select(
        StockBatch.id.label("batch_id"),
        plants.label("plants"),
        # A count by hand has no bounds: it is exact. `greatest` would make 0 of what was never counted.
        case(
            (
                last.c.quantity.is_not(None),
                func.greatest(0, func.coalesce(last.c.low, last.c.quantity) + since),
            )
        ).label("low"),
        (func.coalesce(last.c.high, last.c.quantity) + since).label("high"),
        last.c.counted_at,
        last.c.session_id,
    ).outerjoin(last, true())
