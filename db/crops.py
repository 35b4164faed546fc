"""What is configured to grow at places, and when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from db.batches import Lot, among
from db.models.places import StorageLocationConfig


@dataclass(frozen=True, slots=True)
class Crop:
    """A lot that is meant to grow at a place from one moment up to another (None: until further notice)."""

    lot: Lot
    valid_from: dt.datetime
    valid_to: dt.datetime | None


def crops_at(connection: Connection, locations: Iterable[int]) -> dict[int, list[Crop]]:
    """The crops of places, in order of time."""
    table, wanted = StorageLocationConfig, set(locations)
    rows = connection.execute(
        select(
            *(table.storage_location_id, table.product_id, table.expected_product_state_id),
            *(table.product_size_id, table.packaging_catalog_id, table.valid_from, table.valid_to),
        )
        .where(among(table.storage_location_id, wanted))
        .order_by(table.valid_from)
    )
    crops: dict[int, list[Crop]] = {location: [] for location in wanted}
    for row in rows:
        lot = Lot(
            *(row.product_id, row.expected_product_state_id, row.product_size_id, row.packaging_catalog_id)
        )
        crops[row.storage_location_id].append(Crop(lot, row.valid_from, row.valid_to))
    return crops


def crop_at(crops: Sequence[Crop], moment: dt.datetime) -> Crop | None:
    """The one in force at the moment; for a moment before any, or in a gap, the first."""
    for crop in crops:
        if crop.valid_from <= moment and (crop.valid_to is None or moment < crop.valid_to):
            return crop
    return crops[0] if crops else None
