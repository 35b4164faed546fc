"""The client's three grid layers and the drawn map, made with the quirks that DOMAIN describes.

Bays stand in two columns of fourteen around longitude -68.7, latitude -33.04. Bays and beds are wound
clockwise, places counter-clockwise; ids run on over the three files; nothing has a code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

EAST, NORTH = -68.70, -33.04
PER_EAST, PER_NORTH = 1 / 93_400, 1 / 110_910  # degrees per metre at that latitude
STRIP, DEPTH = 1.8, 4.08  # metres of a place
# Of each bay; their sum is 645, and every bay has two rows: 1,290 places.
COLUMNS = (
    29,
    29,
    28,
    28,
    27,
    27,
    26,
    26,
    26,
    25,
    25,
    25,
    24,
    24,
    23,
    23,
    22,
    22,
    22,
    21,
    21,
    21,
    20,
    19,
    18,
    16,
    15,
    13,
)

Corner = tuple[float, float]


def write_layers(folder: Path) -> list[Path]:
    """naves.geojson, canteros.geojson and claros.geojson."""
    bays, beds, places = [], [], []
    for number, columns in enumerate(COLUMNS, 1):
        bays.append(_bay(number, columns))
        for ordinal, label in enumerate(("Cantero Norte", "Cantero Sur"), 1):
            beds.append(_bed(number, columns, ordinal, label))
            places += [_place(number, column, ordinal, label) for column in range(1, columns + 1)]
    for first, features in ((29, bays), (57, beds), (1291, places)):
        for identity, feature in enumerate(features, first):
            feature["properties"] = {"id": identity, **feature["properties"]}
    return [
        _write(folder / f"{name}.geojson", features)
        for name, features in (("naves", bays), ("canteros", beds), ("claros", places))
    ]


def write_drawn(folder: Path) -> Path:
    """29 polygons and 12 lines on one line of JSON, in a file whose name has spaces and a comma."""
    features = [_drawn(name, 300 + 30 * place, 0) for place, name in enumerate(_buildings())]
    # Two umbrellas, each around the five mother houses of its side.
    houses = {feature["properties"]["Name"]: feature for feature in features}
    for name, side in (("Madres norte", "N"), ("Madres sur", "S")):
        inside = [houses[each] for each in _mothers(side)]
        features.append(_around(name, inside))
    features += [_line(name, place) for place, name in enumerate(_lines())]
    document = {"type": "FeatureCollection", "name": "exported", "features": features}
    path = folder / "Exported 29 fields, 12 lines.geojson"
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    return path


def _buildings() -> list[str]:
    naves = ["Nave 1", "Nave 2", *(f"Nave {n} {side}" for n in (3, 4, 5) for side in ("norte", "sur"))]
    naves += ["Nave 6", "Nave 7", "Nave 8"]
    return [
        *("Tunnel 1", "Tunnel 2", "Tunnel 3", "Sombraculo 2", "Sombraculo 4", "Somb 1"),
        *naves,
        *_mothers("N"),
        *_mothers("S"),
    ]


def _mothers(side: str) -> list[str]:
    if side == "N":
        return ["Madre 1 Norte", "Madres 2 Norte", "Madres 3 N", "Madres 4 Norte", "Madres 5 Norte"]
    return ["Madre 1 Sur", "Madres 2 Sur", "Madres 3 S", "Madres 4 Sur", "Madres 5 Sur"]


def _lines() -> list[str]:
    return [
        *("Canteros nave 8", "Cantero nave 7", "Cantero nave 7", "Cantero somb 1"),
        *(f"Canteros nave {n}" for n in (1, 2, 3, 4, 5, 6)),
        *("Canteros tunnel 1", "Canteros tunnel 2"),
    ]


def _origin(number: int) -> Corner:
    """The south-western corner of a bay, in metres."""
    column, row = (number - 1) % 2, (number - 1) // 2
    return column * 60.0, row * 12.0


def _bay(number: int, columns: int) -> dict[str, Any]:
    east, north = _origin(number)
    width = columns * STRIP
    # 27 to 63 corners: the border of a bay is drawn with a point at every post.
    posts = 12 + number
    south = [(east + width * step / posts, north) for step in range(posts + 1)]
    top = [(east + width * step / posts, north + 2 * DEPTH) for step in range(posts, -1, -1)]
    properties = {"name": f"Nave {number}", "rowLabels": ["Cantero Norte", "Cantero Sur"]}
    return _polygon([*south, *top], properties | {"rowCount": 2, "colCount": columns}, clockwise=True)


def _bed(number: int, columns: int, ordinal: int, label: str) -> dict[str, Any]:
    east, north = _origin(number)
    low = north + (DEPTH if ordinal == 1 else 0)
    corners = _box(east, low, columns * STRIP, DEPTH)
    properties = {"label": label, "ordinal": ordinal, "nave": f"Nave {number}"}
    return _polygon(corners, properties, clockwise=True)


def _place(number: int, column: int, ordinal: int, bed: str) -> dict[str, Any]:
    east, north = _origin(number)
    low = north + (DEPTH if ordinal == 1 else 0)
    corners = _box(east + (column - 1) * STRIP, low, STRIP, DEPTH)
    properties = {"label": f"Claro {column}", "row": ordinal, "col": column, "cantero": bed}
    return _polygon(corners, properties | {"nave": f"Nave {number}"}, clockwise=False)


def _box(east: float, north: float, width: float, height: float) -> list[Corner]:
    return [(east, north), (east + width, north), (east + width, north + height), (east, north + height)]


def _polygon(corners: list[Corner], properties: dict[str, Any], *, clockwise: bool) -> dict[str, Any]:
    ring = [_degrees(corner) for corner in (*corners, corners[0])]
    geometry = {"type": "Polygon", "coordinates": [ring[::-1] if clockwise else ring]}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def _drawn(name: str, east: float, north: float) -> dict[str, Any]:
    return _polygon(_box(east, north, 20, 40), _kml(name), clockwise=True)


def _kml(name: str) -> dict[str, Any]:
    return {"Name": name, "Description": None, "tessellate": 1, "extrude": 0, "visibility": -1}


def _around(name: str, inside: list[dict[str, Any]]) -> dict[str, Any]:
    points = [point for feature in inside for point in feature["geometry"]["coordinates"][0]]
    west, east = min(p[0] for p in points) - 1e-5, max(p[0] for p in points) + 1e-5
    south, north = min(p[1] for p in points) - 1e-5, max(p[1] for p in points) + 1e-5
    steps = 14
    bottom = [[west + (east - west) * step / steps, south] for step in range(steps + 1)]
    top = [[west + (east - west) * step / steps, north] for step in range(steps, -1, -1)]
    ring = [*bottom, *top, bottom[0]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "properties": _kml(name), "geometry": geometry}


def _line(name: str, place: int) -> dict[str, Any]:
    points = 34 if name == "Cantero somb 1" else 2 + place
    line = [[*_degrees((300.0 + 30 * place, float(step))), 0] for step in range(points)]  # with heights
    return {
        "type": "Feature",
        "properties": _kml(name),
        "geometry": {"type": "LineString", "coordinates": line},
    }


def _degrees(point: Corner) -> list[float]:
    return [round(EAST + point[0] * PER_EAST, 9), round(NORTH + point[1] * PER_NORTH, 9)]


def _write(path: Path, features: list[dict[str, Any]]) -> Path:
    text = ",\n".join(json.dumps(feature, ensure_ascii=False) for feature in features)
    path.write_text(f'{{"type": "FeatureCollection", "features": [\n{text}\n]}}\n', encoding="utf-8")
    return path
