"""Batches: the lots at places that movements and counts are about. Made, locked and added to here only.

Two programs that book at once must not wait for each other in a circle. So what a booking needs is created in
the order of its keys, then locked in the order of ids, and only then written; should two still meet head-on,
`db.engine.retry` lets one of them begin again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    any_,
    bindparam,
    case,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from db.errors import NotFound
from db.models.catalog import PackagingCatalog, Product
from db.models.places import StorageBin, StorageBinType, StorageLocation
from db.models.stock import StockBatch
from pipeline.words import Sentence


@dataclass(frozen=True, slots=True)
class Lot:
    """What grows at a place: a `storage_location_config` row."""

    product_id: int
    state_id: int
    size_id: int | None
    packaging_id: int | None


@dataclass(frozen=True, slots=True)
class Spot:
    """What names a batch: a lot in the containers of a category at a place."""

    location_id: int
    category: str
    lot: Lot


@dataclass(frozen=True, slots=True)
class Held:
    """A locked batch: nobody else changes it before our transaction ends."""

    id: int
    bin_id: int
    location_id: int
    plants: int
    in_pots: bool
    sellable: bool


_BinKey = tuple[int, str, int, int | None]
_Missing = Mapping[Spot, dt.datetime]


def among(column: Any, ids: Iterable[int]) -> ColumnElement[bool]:
    """`column IN (ids)`, as one parameter however many there are."""
    wanted: ColumnElement[bool] = column == any_(literal(list(ids), ARRAY(BigInteger)))
    return wanted


def ensure_batches(connection: Connection, wanted: Mapping[Spot, dt.datetime]) -> dict[Spot, int]:
    """The id of each spot's batch, made where it is not there yet; the moment gives a new one's code its day.

    Raises NotFound where a category has no default bin type.
    """
    bins = _bins(connection, wanted)
    found = _find_batches(connection, bins)
    missing = {spot: moment for spot, moment in wanted.items() if spot not in found}
    if missing:
        _create_batches(connection, missing, bins)
        found = _find_batches(connection, bins)
    return {spot: found[spot] for spot in wanted}


def lock_batches(connection: Connection, ids: Iterable[int]) -> dict[int, Held]:
    """Lock batches in the order of their ids, against everyone who books."""
    locked = (
        select(StockBatch.id)
        .where(among(StockBatch.id, set(ids)))
        .order_by(StockBatch.id)
        .with_for_update(key_share=True)
    )
    rows = connection.scalars(locked).all()
    batch, container = StockBatch, StorageBin
    query = (
        select(
            *(batch.id, batch.current_storage_bin_id, container.storage_location_id),
            *(batch.quantity_current, batch.has_packaging, StorageBinType.sellable),
        )
        .join(container, container.id == batch.current_storage_bin_id)
        .join(StorageBinType, StorageBinType.id == container.storage_bin_type_id)
        .where(among(batch.id, rows))
    )
    return {row[0]: Held(*row) for row in connection.execute(query)}


def add_plants(
    connection: Connection, changes: Mapping[int, int], emptied: Mapping[int, int] | None = None
) -> None:
    """Add to what locked batches hold; `emptied` are pots that lost their plant."""
    if not changes:
        return
    untouched = (StockBatch.quantity_initial == 0) & (StockBatch.quantity_current == 0)
    change: ColumnElement[int] = bindparam("change", type_=BigInteger)
    statement = (
        update(StockBatch)
        .where(StockBatch.id == bindparam("batch"))
        .values(
            quantity_current=StockBatch.quantity_current + change,
            quantity_initial=case((untouched, change), else_=StockBatch.quantity_initial),
            quantity_empty_containers=StockBatch.quantity_empty_containers + bindparam("emptied"),
        )
    )
    pots = emptied or {}
    rows = [{"batch": id, "change": changes[id], "emptied": pots.get(id, 0)} for id in sorted(changes)]  # noqa: A001
    connection.execute(statement, rows)


def describe(connection: Connection, batch_id: int) -> str:
    """`MAM-BOC-001 in MAC-R8-T at N01-NORTE-C07`."""
    place, sku, pot = connection.execute(
        select(StorageLocation.code, Product.sku, PackagingCatalog.sku)
        .select_from(StockBatch)
        .join(StorageBin, StorageBin.id == StockBatch.current_storage_bin_id)
        .join(StorageLocation, StorageLocation.id == StorageBin.storage_location_id)
        .join(Product, Product.id == StockBatch.product_id)
        .outerjoin(PackagingCatalog, PackagingCatalog.id == StockBatch.packaging_catalog_id)
        .where(StockBatch.id == batch_id)
    ).one()
    return f"{sku} in {pot} at {place}" if pot else f"{sku} at {place}"


def _bin_key(spot: Spot) -> _BinKey:
    return spot.location_id, spot.category, spot.lot.product_id, spot.lot.packaging_id


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sorts keys in which None is a value."""
    return tuple(("" if part is None else str(part)) for part in key)


def _bins(connection: Connection, spots: Collection[Spot]) -> dict[_BinKey, int]:
    """The bin of each spot, made where it is not there yet."""
    wanted = {_bin_key(spot) for spot in spots}
    found = _find_bins(connection, wanted)
    missing = sorted(wanted - found.keys(), key=_order)
    if missing:
        places = _place_codes(connection, {key[0] for key in missing})
        types = _default_types(connection, {key[1] for key in missing})
        rows = [
            {
                "storage_location_id": location,
                "storage_bin_type_id": types[category],
                "category": category,
                "product_id": product,
                "packaging_catalog_id": pot,
                "code": f"{places[location]}-{category.upper()}-P{product}-"
                f"{'BARE' if pot is None else f'K{pot}'}",
            }
            for location, category, product, pot in missing
        ]
        connection.execute(insert(StorageBin).on_conflict_do_nothing(), rows)
        found = _find_bins(connection, wanted)
    return found


def _find_bins(connection: Connection, wanted: Collection[_BinKey]) -> dict[_BinKey, int]:
    table = StorageBin
    rows = connection.execute(
        select(
            *(table.id, table.storage_location_id, table.category),
            *(table.product_id, table.packaging_catalog_id),
        ).where(among(table.storage_location_id, {key[0] for key in wanted}))
    )
    found = {(row[1], row[2], row[3], row[4]): row[0] for row in rows}
    return {key: found[key] for key in wanted if key in found}


def _place_codes(connection: Connection, ids: Iterable[int]) -> dict[int, str]:
    rows = connection.execute(
        select(StorageLocation.id, StorageLocation.code).where(among(StorageLocation.id, ids))
    )
    return {row.id: row.code for row in rows}


def _default_types(connection: Connection, categories: Collection[str]) -> dict[str, int]:
    rows = connection.execute(
        select(StorageBinType.category, StorageBinType.id).where(StorageBinType.is_default)
    )
    found = {row.category: row.id for row in rows}
    for category in sorted(categories):
        if category not in found:
            raise NotFound(
                Sentence(
                    "no default bin type of category {category!r}; load the seeds with `demeter seed`",
                    category=category,
                )
            )
    return found


def _find_batches(connection: Connection, bins: Mapping[_BinKey, int]) -> dict[Spot, int]:
    keys = {id: key for key, id in bins.items()}  # noqa: A001
    table = StockBatch
    rows = connection.execute(
        select(
            *(table.id, table.current_storage_bin_id, table.product_id, table.product_state_id),
            *(table.product_size_id, table.packaging_catalog_id),
        ).where(among(table.current_storage_bin_id, keys))
    )
    return {Spot(*keys[row[1]][:2], Lot(*row[2:])): row[0] for row in rows}


def _create_batches(connection: Connection, missing: _Missing, bins: Mapping[_BinKey, int]) -> None:
    codes = _batch_codes(connection, missing)
    rows = [
        {
            "current_storage_bin_id": bins[_bin_key(spot)],
            "product_id": spot.lot.product_id,
            "product_state_id": spot.lot.state_id,
            "product_size_id": spot.lot.size_id,
            "packaging_catalog_id": spot.lot.packaging_id,
            "batch_code": code,
        }
        for spot, code in codes.items()
    ]
    connection.execute(insert(StockBatch).on_conflict_do_nothing(), rows)


def _batch_codes(connection: Connection, missing: _Missing) -> dict[Spot, str]:
    """`LOC15-PROD42-20250107-001` for each, in the order of the keys. The locks make the number of the day
    unique, without gaps by races."""
    by_prefix: dict[str, list[Spot]] = defaultdict(list)
    for spot in sorted(missing, key=lambda spot: (_order(_bin_key(spot)), _order((spot.lot,)))):
        by_prefix[f"LOC{spot.location_id}-PROD{spot.lot.product_id}-{missing[spot]:%Y%m%d}-"].append(spot)
    codes: dict[Spot, str] = {}
    for prefix, spots in sorted(by_prefix.items()):
        key = int.from_bytes(hashlib.sha256(prefix.encode()).digest()[:8], "big", signed=True)
        connection.execute(select(func.pg_advisory_xact_lock(key)))
        of_the_day = StockBatch.batch_code.startswith(prefix, autoescape=True)
        used = connection.scalar(select(func.count()).select_from(StockBatch).where(of_the_day)) or 0
        codes |= {spot: f"{prefix}{used + number:03d}" for number, spot in enumerate(spots, start=1)}
    return codes
