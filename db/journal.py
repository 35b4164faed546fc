"""The movements in the books, as people read them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, cast, or_, select
from sqlalchemy.orm import aliased

from db.batches import among
from db.codes import Codes
from db.errors import NotFound
from db.imports.words import nearest
from db.models.catalog import PackagingCatalog, Product, ProductSize, ProductState
from db.models.people import User
from db.models.places import StorageBin, StorageLocation
from db.models.stock import StockBatch, StockMovement
from pipeline.words import Sentence


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which movements are meant; None or empty leaves all. A place may be a bed or bay as well."""

    ids: Collection[int] | None = None
    place: str | None = None
    types: Collection[str] = ()
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    product: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A movement. `undoes` and `undone_by` are the other halves of what was undone."""

    id: int
    occurred_at: dt.datetime
    recorded_at: dt.datetime
    type: str
    place: str
    quantity: int
    product: str
    sku: str
    state: str
    size: str | None
    packaging: str | None
    container: str
    user: str
    source: str
    reason: str | None
    transfer: str | None
    undoes: int | None
    undone_by: int | None
    batch: str
    unit_price: Decimal | None
    total_price: Decimal | None


def movements(connection: Connection, chosen: Chosen, limit: int | None = None) -> list[Line]:
    """In the order in which they happened; with a limit, the last so many. Raises NotFound."""
    _require_known(connection, chosen)
    table = StockMovement
    query = _joined().where(*_conditions(connection, chosen))
    query = query.order_by(table.occurred_at.desc(), table.id.desc())
    rows = connection.execute(query if limit is None else query.limit(limit)).all()
    return [Line(*row) for row in reversed(rows)]


def _joined() -> Any:
    table, undone = StockMovement, aliased(StockMovement)
    columns = (
        *(table.id, table.occurred_at, table.recorded_at, table.movement_type, StorageLocation.code),
        *(table.quantity, Product.common_name, Product.sku, ProductState.code, ProductSize.code),
        *(PackagingCatalog.sku, StorageBin.category, User.email, table.source_type),
        *(table.reason_description, cast(table.transfer_id, Text), table.reverses_movement_id, undone.id),
        *(StockBatch.batch_code, table.unit_price, table.total_price),
    )
    return (
        select(*columns)
        .select_from(table)
        .join(StockBatch, StockBatch.id == table.batch_id)
        .join(StorageBin, StorageBin.id == StockBatch.current_storage_bin_id)
        .join(StorageLocation, StorageLocation.id == StorageBin.storage_location_id)
        .join(Product, Product.id == StockBatch.product_id)
        .join(ProductState, ProductState.id == StockBatch.product_state_id)
        .outerjoin(ProductSize, ProductSize.id == StockBatch.product_size_id)
        .outerjoin(PackagingCatalog, PackagingCatalog.id == StockBatch.packaging_catalog_id)
        .join(User, User.id == table.user_id)
        .outerjoin(undone, undone.reverses_movement_id == table.id)
    )


def _conditions(connection: Connection, chosen: Chosen) -> list[ColumnElement[bool]]:
    table = StockMovement
    conditions: list[ColumnElement[bool]] = []
    if chosen.ids is not None:
        conditions.append(among(table.id, chosen.ids))
    if chosen.place:
        conditions.append(_inside(chosen.place))
    if chosen.types:
        conditions.append(table.movement_type.in_(chosen.types))
    if chosen.since:
        conditions.append(table.occurred_at >= chosen.since)
    if chosen.until:
        conditions.append(table.occurred_at <= chosen.until)
    if chosen.product:
        product = Codes.load(connection).known("product", chosen.product)
        conditions.append(StockBatch.product_id == product)
    if chosen.user:
        conditions.append(User.email == chosen.user.strip().lower())
    return conditions


def _inside(code: str) -> ColumnElement[bool]:
    upper = code.strip().upper()
    return or_(StorageLocation.code == upper, StorageLocation.code.startswith(f"{upper}-", autoescape=True))


def _require_known(connection: Connection, chosen: Chosen) -> None:
    """A misspelt filter would match nothing without a word."""
    if chosen.place:
        known = select(StorageLocation.id).where(_inside(chosen.place))
        if connection.scalar(known.limit(1)) is None:
            codes = list(connection.scalars(select(StorageLocation.code)))
            raise NotFound(
                Sentence(
                    "there is no place, bed or bay {place!r}{nearest}",
                    place=chosen.place,
                    nearest=nearest(chosen.place, codes),
                )
            )
    if chosen.user:
        emails = list(connection.scalars(select(User.email)))
        if chosen.user.strip().lower() not in emails:
            raise NotFound(
                Sentence(
                    "there is no user {user}{nearest}", user=chosen.user, nearest=nearest(chosen.user, emails)
                )
            )
