"""Which places plants may have been carried to, and what the parts of a line are called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, and_, select
from sqlalchemy.orm import aliased

from db.batches import among
from db.models.catalog import PackagingCatalog, Product, ProductSize
from db.models.places import LocationRelationship, StorageArea, StorageLocation
from db.reconciling import LineKey

TOUCHING, SAME_BED = 1.0, 0.4


def near(connection: Connection, places: Collection[int]) -> dict[int, dict[int, float]]:
    """How near other places are, from 0 to 1: those that touch, and those of the same bed."""
    found: dict[int, dict[int, float]] = defaultdict(dict)
    here, there = aliased(StorageLocation), aliased(StorageLocation)
    of_bed = (
        select(here.id, there.id)
        .join(there, and_(there.storage_area_id == here.storage_area_id, there.id != here.id))
        .where(among(here.id, places), among(there.id, places))
    )
    for one, other in connection.execute(of_bed):
        found[one][other] = SAME_BED
    table = LocationRelationship
    pairs = select(table.parent_location_id, table.child_location_id).where(
        among(table.parent_location_id, places), among(table.child_location_id, places)
    )
    for one, other in connection.execute(pairs):
        found[one][other] = found[other][one] = TOUCHING
    return found


@dataclass(frozen=True, slots=True)
class Names:
    """What people call the parts of a line."""

    place: str
    bed: str
    sku: str
    product: str
    size: str | None
    packaging: str | None


def names(connection: Connection, keys: Iterable[LineKey]) -> dict[LineKey, Names]:
    keys = list(keys)
    location, area = StorageLocation, StorageArea
    rows = connection.execute(
        select(location.id, location.code, area.code)
        .join(area, area.id == location.storage_area_id)
        .where(among(location.id, {key.place_id for key in keys}))
    )
    places = {number: (code, bed) for number, code, bed in rows}
    wanted = among(Product.id, {key.product_id for key in keys})
    rows = connection.execute(select(Product.id, Product.sku, Product.common_name).where(wanted))
    products = {number: (sku, name) for number, sku, name in rows}
    sizes = dict(connection.execute(select(ProductSize.id, ProductSize.code)).all())
    pots = dict(connection.execute(select(PackagingCatalog.id, PackagingCatalog.sku)).all())
    return {
        key: Names(
            *places[key.place_id],
            *products[key.product_id],
            None if key.size_id is None else sizes[key.size_id],
            None if key.packaging_id is None else pots[key.packaging_id],
        )
        for key in keys
    }
