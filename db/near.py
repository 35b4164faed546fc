"""Which places plants may have been carried to, and what the parts of a line are called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, and_, select
from sqlalchemy.orm import aliased

from db.batches import among
from db.codes import Codes
from db.models.catalog import Product
from db.models.places import LocationRelationship, StorageLocation
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
    sku: str
    product: str
    size: str | None
    packaging: str | None


def names(connection: Connection, keys: Iterable[LineKey]) -> dict[LineKey, Names]:
    keys, texts = list(keys), Codes.load(connection).texts
    wanted = among(Product.id, {key.product_id for key in keys})
    products = dict(connection.execute(select(Product.id, Product.common_name).where(wanted)).all())
    return {
        key: Names(
            texts["place"][key.place_id],
            texts["product"][key.product_id],
            products[key.product_id],
            None if key.size_id is None else texts["size"][key.size_id],
            None if key.packaging_id is None else texts["pot"][key.packaging_id],
        )
        for key in keys
    }
