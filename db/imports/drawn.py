"""The client's hand-drawn map: polygons of buildings and lines along the aisles of beds.

It draws another extent of the site than the grid, so its bays are bays of their own (codes begin with D)
and are never merged with the grid's by name. Every shape is kept in `map_features` as it was drawn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, delete, insert

from db.catalog import upsert
from db.geojson import contains, line_length, shape_columns, turned
from db.imports.maps import Feature, ReadMap, outliers
from db.imports.staging import Judged, Source
from db.imports.words import clean, key
from db.models.base import Base
from db.models.imports import MapFeature
from db.models.places import Warehouse
from db.models.vocabulary import PlaceSource, WarehouseType

_WORDS = {
    "nave": ("N", WarehouseType.GREENHOUSE),
    "tunnel": ("T", WarehouseType.TUNNEL),
    "tunel": ("T", WarehouseType.TUNNEL),
    "sombraculo": ("S", WarehouseType.SHADEHOUSE),
    "somb": ("S", WarehouseType.SHADEHOUSE),
    "madre": ("M", WarehouseType.GREENHOUSE),
    "madres": ("M", WarehouseType.GREENHOUSE),
    "campo": ("F", WarehouseType.OPEN_FIELD),
}
_NAME = re.compile(r"(?P<word>[^\W\d]+)\.?\s*(?P<number>\d+)\s*(?P<side>[^\W\d]*)\.?")


@dataclass(frozen=True, slots=True)
class _Shape:
    """A sound feature. `code` is None for what is no building of its own: a line, an umbrella."""

    geometry: dict[str, Any]
    columns: Mapping[str, Any]
    length_m: float | None
    code: str | None
    kind: WarehouseType | None


def source_of(file: ReadMap) -> Source:
    return Source("drawn", file.path.name, file.sha256, file.encoding, None, file.notes)


def load_drawn(connection: Connection, file: ReadMap) -> tuple[list[Judged], list[str]]:
    """Write the map in the caller's transaction; what an earlier file of the same name drew is replaced."""
    judged = [Judged(each.line, each.raw, each.properties) for each in file.features]
    shapes: list[_Shape | None] = []
    for place, feature in enumerate(file.features):
        try:
            shapes.append(_shape(feature))
        except ValueError as error:
            shapes.append(None)
            judged[place] = judged[place].rejected(str(error))
    _reject_far(shapes, judged)
    _set_umbrellas_apart(file.features, shapes, judged)
    _write_bays(connection, file.features, shapes, judged)
    ids = {row.code: row.id for row in connection.execute(Warehouse.__table__.select())}
    source = file.path.name
    connection.execute(delete(MapFeature).where(MapFeature.source == source))
    features = [
        _kept(source, feature, shape, ids)
        for feature, shape, verdict in zip(file.features, shapes, judged, strict=True)
        if shape is not None and not verdict.is_rejected
    ]
    if features:
        connection.execute(insert(MapFeature), features)
    lines = sum(shape is not None and shape.length_m is not None for shape in shapes)
    return judged, [f"{lines} lines, {sum(s is not None and s.code is not None for s in shapes)} bays"]


def drawn_code(name: str) -> tuple[str, WarehouseType] | None:
    """`Madres 3 N` is DM3N, a greenhouse; None for a name that numbers no building."""
    found = _NAME.fullmatch(clean(name))
    known = _WORDS.get(key(found["word"])) if found else None
    if found is None or known is None:
        return None
    side = {"": "", "n": "N", "norte": "N", "s": "S", "sur": "S"}.get(key(found["side"]))
    return None if side is None else (f"D{known[0]}{int(found['number'])}{side}", known[1])


def _shape(feature: Feature) -> _Shape:
    """Raises ValueError."""
    if feature.problem:
        raise ValueError(feature.problem)
    if not feature.properties.get("Name"):
        raise ValueError("has no Name")
    if feature.geometry.get("type") == "LineString":
        return _Shape(feature.geometry, {}, line_length(feature.geometry), None, None)
    shape_columns(feature.geometry)  # says what is wrong with it
    geometry, _ = turned(feature.geometry)
    named = drawn_code(feature.properties["Name"])
    code, kind = named if named is not None else (None, None)
    return _Shape(geometry, shape_columns(geometry), None, code, kind)


def _reject_far(shapes: list[_Shape | None], judged: list[Judged]) -> None:
    polygons = [place for place, shape in enumerate(shapes) if shape is not None and shape.columns]
    points = [_centre(shapes[place]) for place in polygons]
    for far in outliers(points):
        shapes[polygons[far]] = None
        reason = "lies far from the others; are longitude and latitude swapped?"
        judged[polygons[far]] = judged[polygons[far]].rejected(reason)


def _set_umbrellas_apart(
    features: Sequence[Feature], shapes: list[_Shape | None], judged: list[Judged]
) -> None:
    """A polygon around others is no building; it is kept as a shape. So is one whose name numbers none."""
    for place, shape in enumerate(shapes):
        if shape is None or not shape.columns:
            continue
        covered = [
            features[other].properties["Name"]
            for other, each in enumerate(shapes)
            if other != place
            and each is not None
            and each.columns
            and contains(shape.geometry, _centre(each))
        ]
        if len(covered) > 1:
            reason = f"an umbrella over {', '.join(covered)}: kept as a shape, not as a bay"
        elif shape.code is None:
            reason = "its name numbers no building: kept as a shape, not as a bay"
        else:
            continue
        shapes[place] = replace(shape, code=None, kind=None)
        judged[place] = judged[place].fixed(reason)


def _write_bays(
    connection: Connection, features: Sequence[Feature], shapes: list[_Shape | None], judged: list[Judged]
) -> None:
    places, rows = [], []
    for place, shape in enumerate(shapes):
        if shape is not None and shape.code is not None and shape.kind is not None:
            places.append(place)
            name = features[place].properties["Name"]
            row = {"code": shape.code, "name": name, "type": shape.kind.value, "geometry": shape.geometry}
            rows.append({**row, "source": PlaceSource.DRAWN.value, **shape.columns})
            judged[place] = replace(judged[place], target=shape.code)
    outcome = upsert(connection, Base.metadata.tables["warehouses"], rows, overwrite=True, remember=False)
    for rejected in outcome.rejected:
        place = places[rejected.row]
        judged[place] = judged[place].rejected(f"{rows[rejected.row]['code']} {rejected.reason}")


def _kept(source: str, feature: Feature, shape: _Shape, ids: Mapping[str, int]) -> dict[str, Any]:
    return {
        "source": source,
        "number": feature.number,
        "name": feature.properties["Name"],
        "description": feature.properties.get("Description"),
        "geometry": shape.geometry,
        "area_m2": float(shape.columns["area_m2"]) if shape.columns else None,
        "length_m": shape.length_m,
        "warehouse_id": ids.get(shape.code) if shape.code else None,
    }


def _centre(shape: _Shape | None) -> tuple[float, float]:
    columns = shape.columns if shape is not None else {}
    return columns["centroid_lon"], columns["centroid_lat"]
