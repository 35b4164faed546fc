"""The site as a tree of bays, beds and places, and as GeoJSON that goes out and comes back unchanged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, or_, select

from db.errors import NotFound, UnreadableFile
from db.imports.maps import Feature, ReadMap, read_map
from db.imports.words import nearest
from db.models.base import Base
from db.models.catalog import PackagingCatalog, Product
from db.models.places import (
    LocationRelationship,
    StorageArea,
    StorageBin,
    StorageLocation,
    StorageLocationConfig,
    Warehouse,
)
from db.models.stock import StockBatch
from db.models.vocabulary import RelationshipType
from db.neighbours import refresh_neighbours
from db.seed_files import Record, Reject
from db.seeds import SeedReport, load_records


@dataclass(frozen=True, slots=True)
class Level:
    """`parent` is the property that names the parent by its code."""

    name: str
    table: Table
    parent: str | None
    properties: tuple[str, ...]


_T = Base.metadata.tables
LEVELS = (
    Level("bay", _T["warehouses"], None, ("type", "source")),
    Level("bed", _T["storage_areas"], "warehouse", ("position",)),
    Level("place", _T["storage_locations"], "storage_area", ("qr_code", "description")),
)


def sites(connection: Connection, *, everything: bool = False) -> list[Mapping[str, Any]]:
    """Every bay with its beds, places, area and plants in stock, by code."""
    places = (
        select(StorageArea.warehouse_id, StorageArea.id.label("bed"), StorageLocation.id.label("place"))
        .outerjoin(
            StorageLocation, (StorageLocation.storage_area_id == StorageArea.id) & StorageLocation.active
        )
        .where(StorageArea.active)
        .subquery()
    )
    plants = _plants().subquery()
    query = (
        select(
            Warehouse.code,
            Warehouse.name,
            Warehouse.type,
            Warehouse.source,
            Warehouse.active,
            func.count(places.c.bed.distinct()).label("beds"),
            func.count(places.c.place).label("places"),
            Warehouse.area_m2,
            func.coalesce(func.sum(plants.c.plants), 0).label("plants"),
        )
        .outerjoin(places, places.c.warehouse_id == Warehouse.id)
        .outerjoin(plants, plants.c.place == places.c.place)
        .group_by(Warehouse.id)
        .order_by(Warehouse.code)
    )
    if not everything:
        query = query.where(Warehouse.active)
    return [row._asdict() for row in connection.execute(query)]


def list_places(
    connection: Connection, within: str | None = None, *, everything: bool = False
) -> list[Mapping[str, Any]]:
    """Places with what is configured and in stock there; of a bed or bay if one is named. Raises NotFound."""
    plants, table = _plants().subquery(), StorageLocation
    query = (
        select(
            table.code,
            table.name,
            StorageArea.code.label("bed"),
            Warehouse.code.label("bay"),
            table.qr_code,
            table.area_m2,
            table.centroid_lat,
            table.centroid_lon,
            table.active,
            Product.sku.label("product"),
            PackagingCatalog.sku.label("packaging"),
            StorageLocationConfig.valid_from.label("since"),
            func.coalesce(plants.c.plants, 0).label("plants"),
        )
        .join(StorageArea, StorageArea.id == table.storage_area_id)
        .join(Warehouse, Warehouse.id == StorageArea.warehouse_id)
        .outerjoin(
            StorageLocationConfig,
            (StorageLocationConfig.storage_location_id == table.id) & StorageLocationConfig.active,
        )
        .outerjoin(Product, Product.id == StorageLocationConfig.product_id)
        .outerjoin(PackagingCatalog, PackagingCatalog.id == StorageLocationConfig.packaging_catalog_id)
        .outerjoin(plants, plants.c.place == table.id)
        .order_by(table.code)
    )
    if within is not None:
        wanted = _known(connection, within)
        query = query.where(or_(table.code == wanted, StorageArea.code == wanted, Warehouse.code == wanted))
    if not everything:
        query = query.where(table.active)
    return [row._asdict() for row in connection.execute(query)]


def neighbours_of(connection: Connection, place: str) -> list[Mapping[str, Any]]:
    """The places that touch a place, the longest common border first."""
    link, other = LocationRelationship, StorageLocation
    here = select(StorageLocation.id).where(StorageLocation.code == place).scalar_subquery()
    query = (
        select(other.code, link.shared_m)
        .join(link, or_(link.parent_location_id == other.id, link.child_location_id == other.id))
        .where(
            link.relationship_type == RelationshipType.ADJACENT_TO.value,
            or_(link.parent_location_id == here, link.child_location_id == here),
            other.id != here,
        )
        .order_by(link.shared_m.desc(), other.code)
    )
    return [row._asdict() for row in connection.execute(query)]


def _plants() -> Any:
    """Plants in stock by place."""
    return (
        select(
            StorageBin.storage_location_id.label("place"),
            func.sum(StockBatch.quantity_current).label("plants"),
        )
        .join(StorageBin, StorageBin.id == StockBatch.current_storage_bin_id)
        .group_by(StorageBin.storage_location_id)
    )


def _known(connection: Connection, name: str) -> str:
    """The code as the database writes it. Raises NotFound that names the nearest."""
    codes = {
        code
        for level in LEVELS
        for code in connection.scalars(select(level.table.c.code).where(level.table.c.active))
    }
    wanted = name.strip().upper()
    if wanted not in codes:
        raise NotFound(f"there is no place, bed or bay {name!r}{nearest(name, codes)}")
    return wanted


def export_map(connection: Connection, levels: Sequence[str]) -> dict[str, Any]:
    """A FeatureCollection of what is active; `import_map` reads it back. Parents stand before children."""
    features = [
        feature for level in LEVELS if level.name in levels for feature in _features(connection, level)
    ]
    return {"type": "FeatureCollection", "features": features}


def _features(connection: Connection, level: Level) -> Iterator[dict[str, Any]]:
    table = level.table
    columns = [table.c[name] for name in ("code", "name", *level.properties)]
    query = select(*columns, table.c.geometry).where(table.c.active).order_by(table.c.code)
    if level.parent is not None:
        parent = _T["warehouses" if level.parent == "warehouse" else "storage_areas"]
        query = query.add_columns(parent.c.code.label(level.parent))
        query = query.join(parent, parent.c.id == table.c[f"{level.parent}_id"])
    for row in connection.execute(query):
        values = dict(row._asdict())
        geometry = values.pop("geometry")
        given = {name: value for name, value in values.items() if value is not None}
        yield {"type": "Feature", "properties": {"level": level.name, **given}, "geometry": geometry}


def import_map(connection: Connection, path: Path) -> list[SeedReport]:
    """Insert or update bays, beds and places by their codes, in the caller's transaction; a report a level.

    Raises UnreadableFile when the file makes no sense as a whole.
    """
    file = read_map(path)
    by_level = {level.name: list[Record]() for level in LEVELS}
    strays: list[Reject] = []
    for feature in file.features:
        level = _level(feature)
        if level is None:
            strays.append(Reject(feature.line, feature.problem or "is neither a bay, a bed nor a place"))
        else:
            by_level[level].append(_record(feature))
    if len(strays) == len(file.features):
        raise UnreadableFile(
            f"{path} holds no feature with a code and a level (bay, bed, place). "
            "The client's grid is read by `demeter import places`."
        )
    reports = [
        load_records(connection, level.table, _named(level, file), by_level[level.name])
        for level in LEVELS
        if by_level[level.name]
    ]
    if strays:
        reports.append(SeedReport("features of no level", len(strays), 0, 0, 0, 0, tuple(strays)))
    refresh_neighbours(connection)
    return reports


def _named(level: Level, file: ReadMap) -> str:
    return f"{level.name}s of {file.path.name}"


def _level(feature: Feature) -> str | None:
    """As it says, else by what only one level has."""
    given = feature.properties
    if feature.problem or not given.get("code"):
        return None
    for level in reversed(LEVELS):
        if given.get("level") == level.name or ("level" not in given and (level.parent or "type") in given):
            return level.name
    return None


def _record(feature: Feature) -> Record:
    cells = {name: value for name, value in feature.properties.items() if name != "level"}
    geometry = json.dumps(feature.geometry) if feature.geometry else None
    return Record(feature.line, {**cells, "geometry": geometry})
