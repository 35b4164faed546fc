"""How much room plants take at a place, from the table `density_parameters`."""

from __future__ import annotations

from sqlalchemy import Connection, and_, or_, select

from db.batches import Lot
from db.models.places import DensityParameter, StorageBinType
from db.sessions import CATEGORY_OF_KIND
from pipeline.types import ContainerKind, Spacing


def spacings_of(connection: Connection, lot: Lot) -> tuple[Spacing, ...]:
    """What is known of the pots of this lot, by kind of container. A row for the product outranks one for any
    product; of several types of bin the default of its category counts, which photos are booked under."""
    table = DensityParameter
    rows = connection.execute(
        select(
            StorageBinType.category,
            table.avg_area_per_plant_cm2,
            table.avg_diameter_cm,
            table.overlap_adjustment_factor,
        )
        .join(StorageBinType, and_(StorageBinType.id == table.storage_bin_type_id, StorageBinType.is_default))
        .where(
            or_(table.product_id == lot.product_id, table.product_id.is_(None)),
            table.packaging_catalog_id.is_not_distinct_from(lot.packaging_id),
        )
        .order_by(table.product_id.is_(None).desc())
    )
    known = {row[0]: tuple(float(value) for value in row[1:]) for row in rows}
    kinds = (kind for kind in ContainerKind if kind is not ContainerKind.LOOSE)
    return tuple(Spacing(kind, *known[c]) for kind in kinds if (c := CATEGORY_OF_KIND[kind].value) in known)
