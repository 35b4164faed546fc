"""What stands at places now, by lot, also the lots that are used up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from db.batches import Lot, Spot, among
from db.models.places import StorageBin, StorageBinType
from db.models.stock import StockBatch


@dataclass(frozen=True, slots=True)
class Standing:
    """A batch and its plants; without an id it is still to be made."""

    batch_id: int | None
    plants: int
    sellable: bool


def shelves_at(connection: Connection, locations: Iterable[int]) -> dict[int, dict[Spot, Standing]]:
    """Per place, its batches."""
    batch, container, wanted = StockBatch, StorageBin, set(locations)
    rows = connection.execute(
        select(
            *(container.storage_location_id, container.category, batch.product_id, batch.product_state_id),
            *(batch.product_size_id, batch.packaging_catalog_id, batch.id, batch.quantity_current),
            StorageBinType.sellable,
        )
        .join(container, container.id == batch.current_storage_bin_id)
        .join(StorageBinType, StorageBinType.id == container.storage_bin_type_id)
        .where(among(container.storage_location_id, wanted))
        .order_by(batch.id)
    )
    shelves: dict[int, dict[Spot, Standing]] = {location: {} for location in wanted}
    for row in rows:
        place, category, product, state, size, pot, number, plants, sellable = row
        spot = Spot(place, category, Lot(product, state, size, pot))
        shelves[place][spot] = Standing(number, plants, sellable)
    return shelves
