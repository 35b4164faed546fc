"""Where a stock figure comes from: the last count, its photo and models, and every movement since."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Subquery, and_, exists, func, or_, select, true
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import aliased

from db.batches import among
from db.corrections import step_of
from db.models.catalog import PackagingCatalog, Product, ProductSize, ProductState
from db.models.people import User
from db.models.photos import Image, PhotoSession
from db.models.places import StorageBin, StorageLocation
from db.models.reconciliations import CountDecision
from db.models.stock import Count, StockBatch, StockMovement
from db.models.vocabulary import CountStatus, Decision
from db.reconcile import inside, require_place


@dataclass(frozen=True, slots=True)
class AsOf:
    """The stock at a moment (None: all that is booked), by what was known at another (None: now)."""

    moment: dt.datetime | None = None
    known_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class LotStock:
    """A lot at a place. `counted` is its last count then, `moved` what came and went since; None where it was
    never counted. The bounds are the count's, moved along."""

    batch_id: int
    batch: str
    place: str
    category: str
    product: str
    sku: str
    state: str
    size: str | None
    packaging: str | None
    plants: int
    low: int | None
    high: int | None
    count_id: int | None
    counted_at: dt.datetime | None
    counted: int | None

    @property
    def moved(self) -> int | None:
        return None if self.counted is None else self.plants - self.counted


@dataclass(frozen=True, slots=True)
class PhotoEvidence:
    """What a count's photo is, and what made a number of it. Keys are files under the photo folder."""

    session: int
    photo: str
    sha256: str
    taken_at: dt.datetime | None
    storage_key: str | None
    overlay_key: str | None
    evidence_key: str | None
    evidence_sha256: str | None
    model: str
    model_sha256: str
    config_hash: str
    seen: int
    hidden: int
    low: int | None
    high: int | None
    warnings: tuple[str, ...]
    correction: int | None
    audit: str | None


@dataclass(frozen=True, slots=True)
class CountEvidence:
    """A count, who answers for it, and its photo. A correction by hand names the count that it `replaces`."""

    id: int
    source: str
    counted_at: dt.datetime
    recorded_at: dt.datetime
    quantity: int
    low: int | None
    high: int | None
    user: str
    decided_by: str | None
    decided_at: dt.datetime | None
    notes: str | None
    posted: int  # plants by which it changed the books
    photo: PhotoEvidence | None
    replaces: CountEvidence | None


@dataclass(frozen=True, slots=True)
class MovedEvidence:
    """A movement since the count."""

    id: int
    occurred_at: dt.datetime
    recorded_at: dt.datetime
    type: str
    quantity: int
    source: str
    user: str
    reason: str | None
    reverses: int | None


@dataclass(frozen=True, slots=True)
class Explained:
    """A stock figure with all that it rests on: `count` plus `since` is `lot.plants`."""

    lot: LotStock
    count: CountEvidence | None
    since: tuple[MovedEvidence, ...]


def stock_at(connection: Connection, place: str, when: AsOf) -> list[LotStock]:
    """The lots at a place, bed or bay that held plants then. Raises NotFound."""
    require_place(connection, place)
    here = connection.scalars(
        select(StockBatch.id)
        .join(StorageBin, StorageBin.id == StockBatch.current_storage_bin_id)
        .join(StorageLocation, StorageLocation.id == StorageBin.storage_location_id)
        .where(inside(place))
    ).all()
    booked = (
        select(StockMovement.batch_id, func.sum(StockMovement.quantity).label("plants"))
        .where(
            among(StockMovement.batch_id, here),
            _known(StockMovement.occurred_at, StockMovement.recorded_at, when),
        )
        .group_by(StockMovement.batch_id)
        .having(func.sum(StockMovement.quantity) != 0)
        .subquery()
    )
    last = _last_counts(when, here)
    since = booked.c.plants - last.c.quantity
    low, high = (func.coalesce(bound, last.c.quantity) + since for bound in (last.c.low, last.c.high))
    query = (
        select(
            *(StockBatch.id.label("batch_id"), StockBatch.batch_code.label("batch")),
            *(StorageLocation.code.label("place"), StorageBin.category),
            *(Product.common_name.label("product"), Product.sku),
            *(ProductState.code.label("state"), ProductSize.code.label("size")),
            *(PackagingCatalog.sku.label("packaging"), booked.c.plants),
            *(low.label("low"), high.label("high")),
            *(last.c.id.label("count_id"), last.c.counted_at, last.c.quantity.label("counted")),
        )
        .select_from(booked)
        .join(StockBatch, StockBatch.id == booked.c.batch_id)
        .join(StorageBin, StorageBin.id == StockBatch.current_storage_bin_id)
        .join(StorageLocation, StorageLocation.id == StorageBin.storage_location_id)
        .join(Product, Product.id == StockBatch.product_id)
        .join(ProductState, ProductState.id == StockBatch.product_state_id)
        .outerjoin(ProductSize, ProductSize.id == StockBatch.product_size_id)
        .outerjoin(PackagingCatalog, PackagingCatalog.id == StockBatch.packaging_catalog_id)
        .outerjoin(last, last.c.batch_id == booked.c.batch_id)
        .order_by(StorageLocation.code, StorageBin.category, Product.sku, StockBatch.id)
    )
    return [_lot_stock(row) for row in connection.execute(query)]


def _lot_stock(row: Row[Any]) -> LotStock:
    values = dict(row._mapping)
    counted = values["counted"] is not None
    low, high = (max(0, int(row.low)), int(row.high)) if counted else (None, None)
    return LotStock(**values | {"plants": int(row.plants), "low": low, "high": high})


def explain(connection: Connection, place: str, when: AsOf) -> list[Explained]:
    """What each stock figure at a place, bed or bay rests on. Raises NotFound."""
    lots = stock_at(connection, place, when)
    counts = _counts(connection, {lot.count_id for lot in lots if lot.count_id is not None})
    moved = _since(connection, lots, when)
    return [Explained(lot, counts.get(lot.count_id or 0), tuple(moved.get(lot.batch_id, ()))) for lot in lots]


def _known(occurred: Any, recorded: Any, when: AsOf) -> ColumnElement[bool]:
    """Whether something had happened, and was written down, by then."""
    happened = true() if when.moment is None else occurred <= when.moment
    written = true() if when.known_at is None else recorded <= when.known_at
    return and_(happened, written)


def _last_counts(when: AsOf, batches: Collection[int]) -> Subquery:
    """Of each batch the last count that held then."""
    columns = (Count.batch_id, Count.id, Count.counted_at, Count.quantity, Count.low, Count.high)
    return (
        select(*columns)
        .where(
            among(Count.batch_id, batches),
            _known(Count.counted_at, Count.recorded_at, when),
            _held(when.known_at),
        )
        .ext(distinct_on(Count.batch_id))
        .order_by(Count.batch_id, Count.counted_at.desc(), Count.id.desc())
        .subquery()
    )


def _held(known_at: dt.datetime | None) -> ColumnElement[bool]:
    """Whether a count was accepted at that time. One that was rejected later had been accepted if it had
    changed the books by then, or if a person had accepted it."""
    accepted = Count.status == CountStatus.ACCEPTED.value
    if known_at is None:
        return accepted
    by_then = or_(Count.decided_at.is_(None), Count.decided_at <= known_at)
    posted = exists().where(StockMovement.count_id == Count.id, StockMovement.recorded_at <= known_at)
    decided = exists().where(
        CountDecision.count_id == Count.id,
        CountDecision.decision == Decision.ACCEPTED.value,
        CountDecision.decided_at <= known_at,
    )
    rejected_later = and_(Count.status == CountStatus.REJECTED.value, Count.decided_at > known_at)
    return or_(and_(accepted, by_then), and_(rejected_later, or_(posted, decided)))


def _counts(connection: Connection, ids: Collection[int]) -> dict[int, CountEvidence]:
    replaced = dict(
        connection.execute(
            select(CountDecision.replacement_count_id, CountDecision.count_id).where(
                among(CountDecision.replacement_count_id, ids)
            )
        ).all()
    )
    before = _counts(connection, set(replaced.values())) if replaced else {}
    decider = aliased(User)
    posted = (
        select(func.coalesce(func.sum(StockMovement.quantity), 0))
        .where(StockMovement.count_id == Count.id)
        .scalar_subquery()
    )
    query = (
        select(
            *(Count.id, Count.source, Count.counted_at, Count.recorded_at),
            *(Count.quantity, Count.low, Count.high, Count.decided_at, Count.notes, Count.session_id),
            *(User.email.label("user"), decider.email.label("decided_by"), posted.label("posted")),
        )
        .join(User, User.id == Count.user_id)
        .outerjoin(decider, decider.id == Count.decided_by_user_id)
        .where(among(Count.id, ids))
    )
    found = {}
    for row in connection.execute(query):
        values = dict(row._mapping)
        session = values.pop("session_id")
        found[row.id] = CountEvidence(
            **values | {"posted": int(values["posted"])},
            photo=None if session is None else _photo(connection, session),
            replaces=before.get(replaced.get(row.id, 0)),
        )
    return found


def _photo(connection: Connection, session: int) -> PhotoEvidence:
    table = PhotoSession
    row = connection.execute(
        select(
            *(table.id.label("session"), Image.original_name.label("photo"), Image.sha256),
            *(Image.captured_at.label("taken_at"), Image.storage_key),
            *(table.overlay_key, table.evidence_key, table.evidence_sha256),
            *(table.model, table.model_sha256, table.config_hash),
            *(table.main_seen.label("seen"), table.main_hidden.label("hidden")),
            *(table.main_low.label("low"), table.main_high.label("high"), table.warnings),
        )
        .join(Image, Image.id == table.image_id)
        .where(table.id == session)
    ).one()
    step = step_of(connection, session)
    correction, audit = (step.plants, step.audit) if step else (None, None)
    values = dict(row._mapping) | {"warnings": tuple(row.warnings)}
    return PhotoEvidence(**values, correction=correction, audit=audit)


def _since(connection: Connection, lots: Sequence[LotStock], when: AsOf) -> Mapping[int, list[MovedEvidence]]:
    """The movements of each batch after its last count; all of them where it has none."""
    counted = {lot.batch_id: lot.counted_at for lot in lots}
    moments = [moment for moment in counted.values() if moment is not None]
    earliest = min(moments) if len(moments) == len(counted) and moments else None
    table = StockMovement
    rows = connection.execute(
        select(
            *(table.batch_id, table.id, table.occurred_at, table.recorded_at, table.movement_type),
            *(table.quantity, table.source_type, User.email, table.reason_description),
            table.reverses_movement_id,
        )
        .join(User, User.id == table.user_id)
        .where(
            among(table.batch_id, counted),
            true() if earliest is None else table.occurred_at > earliest,
            _known(table.occurred_at, table.recorded_at, when),
        )
        .order_by(table.occurred_at, table.id)
    )
    found: dict[int, list[MovedEvidence]] = defaultdict(list)
    for batch, *values in rows:
        at = counted[batch]
        if at is None or values[1] > at:
            found[batch].append(MovedEvidence(*values))
    return found
