"""How many pots a crate or tray of a place holds, by the types of its bins."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from db.models.places import StorageBin, StorageBinType
from db.models.vocabulary import BinCategory, BinStatus
from pipeline.types import ContainerKind

_CATEGORIES = {
    ContainerKind.BOX: BinCategory.BOX,
    ContainerKind.PLUG_TRAY: BinCategory.PLUG,
    ContainerKind.SEEDLING_TRAY: BinCategory.SEEDLING_TRAY,
}


def cells_at(connection: Connection, place_id: int | None) -> dict[ContainerKind, int]:
    """The cells of each kind of container at a place: those of its bins, else those of the default type.

    A kind is left out where the type has no capacity, or where the bins of the place are of several types.
    """
    if place_id is None:
        return {}
    kind = StorageBinType
    cells = func.coalesce(kind.capacity, kind.rows * kind.columns)
    own = (
        select(kind.category, cells)
        .join(StorageBin, StorageBin.storage_bin_type_id == kind.id)
        .where(StorageBin.storage_location_id == place_id, StorageBin.status == BinStatus.ACTIVE.value)
        .distinct()
    )
    with connection.begin():
        chosen = connection.execute(own).all()
        default = connection.execute(select(kind.category, cells).where(kind.is_default)).all()
    known = {category: {number} for category, number in default}
    known |= {category: {number for other, number in chosen if other == category} for category, _ in chosen}
    return {
        container: number
        for container, category in _CATEGORIES.items()
        if len(known.get(category, ())) == 1 and (number := next(iter(known[category]))) is not None
    }
