"""Areas, centroids and containment of GeoJSON polygons the size of a nursery. Pure.

Polygons are flattened around their own latitude with the radii of the WGS 84 ellipsoid; over a kilometre
the error stays below one in a million.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

_EQUATOR = 6_378_137.0  # metres
_ECCENTRICITY2 = 0.006_694_379_990_14

Point = tuple[float, float]  # longitude, latitude in degrees, or east, north in metres
Ring = list[Point]


@dataclass(frozen=True, slots=True)
class Measures:
    latitude: float
    longitude: float
    area_m2: float


def measure(geometry: dict[str, Any]) -> Measures:
    """Centroid and area of a Polygon or MultiPolygon. Raises ValueError with a sentence."""
    rings = _rings(geometry)
    origin = rings[0][1][0]
    area = east = north = 0.0
    for weight, ring in rings:
        ring_area, ring_east, ring_north = _moments(flatten(ring, origin))
        area += weight * ring_area
        east += weight * ring_east
        north += weight * ring_north
    if area <= 0:
        raise ValueError("the polygon encloses no area")
    per_lon, per_lat = _metres_per_degree(origin[1])
    return Measures(origin[1] + north / area / per_lat, origin[0] + east / area / per_lon, area)


def shape_columns(geometry: dict[str, Any]) -> dict[str, Any]:
    """What a table of places holds of a polygon besides itself. Raises ValueError with a sentence."""
    measures = measure(geometry)
    return {
        "centroid_lat": round(measures.latitude, 9),
        "centroid_lon": round(measures.longitude, 9),
        "area_m2": Decimal(repr(measures.area_m2)),
    }


def turned(geometry: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The polygon wound as RFC 7946 wants it, outer rings counter-clockwise; and whether any was turned."""
    many = geometry["type"] == "MultiPolygon"
    polygons = geometry["coordinates"] if many else [geometry["coordinates"]]
    wound = [
        [ring if _is_left(ring) == (place == 0) else ring[::-1] for place, ring in enumerate(polygon)]
        for polygon in polygons
    ]
    return {**geometry, "coordinates": wound if many else wound[0]}, wound != polygons


def line_length(geometry: dict[str, Any]) -> float:
    """Metres along a LineString. Raises ValueError with a sentence."""
    try:
        line = [(float(point[0]), float(point[1])) for point in geometry["coordinates"]]
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise ValueError("the line's coordinates must be a list of [longitude, latitude]") from error
    if len(line) < 2:
        raise ValueError("the line must have at least two points")
    flat = flatten(line, line[0])
    return sum(math.dist(start, end) for start, end in pairwise(flat))


def metres_apart(one: Point, other: Point) -> float:
    """Between two points of the same site."""
    return math.dist((0.0, 0.0), flatten([other], one)[0])


def contains(geometry: dict[str, Any], point: Point) -> bool:
    return any(_distance(point, ring) == 0 for weight, ring in _rings(geometry) if weight > 0)


def metres_from(geometry: dict[str, Any], point: Point) -> float:
    """From a point to a shape; 0 inside it."""
    return min(_distance(point, ring) for weight, ring in _rings(geometry) if weight > 0)


def outer_ring(geometry: dict[str, Any]) -> Ring:
    """Of the first polygon. Raises ValueError with a sentence."""
    return _rings(geometry)[0][1]


def _is_left(ring: Ring) -> bool:
    """Counter-clockwise."""
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(flatten(ring, ring[0]))) > 0


def metres_outside(inner: dict[str, Any], outer: dict[str, Any]) -> float:
    """How far the farthest corner of `inner` lies outside `outer`; 0 if none does."""
    shell = [(weight, ring) for weight, ring in _rings(outer) if weight > 0]
    corners = [corner for _, ring in _rings(inner) for corner in ring]
    return max(min(_distance(corner, ring) for _, ring in shell) for corner in corners)


def _rings(geometry: dict[str, Any]) -> list[tuple[int, Ring]]:
    """Outer rings with weight 1, holes with weight -1."""
    coordinates = geometry.get("coordinates")
    polygons = {"Polygon": [coordinates], "MultiPolygon": coordinates}.get(str(geometry.get("type")))
    if not isinstance(polygons, list) or not polygons:
        raise ValueError("the geometry must be a Polygon or MultiPolygon")
    try:
        rings = [
            (1 if place == 0 else -1, [(float(point[0]), float(point[1])) for point in ring])
            for polygon in polygons
            for place, ring in enumerate(polygon)
        ]
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError("the polygon's coordinates must be lists of [longitude, latitude]") from error
    for _, ring in rings:
        _check(ring)
    if not rings:
        raise ValueError("the polygon has no ring")
    return rings


def _check(ring: Ring) -> None:
    if len(ring) < 4 or ring[0] != ring[-1]:
        raise ValueError("a ring of the polygon must have at least four points, the last equal to the first")
    for longitude, latitude in ring:
        if not (abs(longitude) <= 180 and abs(latitude) <= 90):
            raise ValueError(f"{longitude}, {latitude} is no longitude and latitude; are they swapped?")


def _metres_per_degree(latitude: float) -> Point:
    """East and north."""
    sine = math.sin(math.radians(latitude))
    curve = 1 - _ECCENTRICITY2 * sine * sine
    meridian = _EQUATOR * (1 - _ECCENTRICITY2) / curve**1.5
    normal = _EQUATOR / math.sqrt(curve)
    return math.radians(normal * math.cos(math.radians(latitude))), math.radians(meridian)


def flatten(ring: Ring, origin: Point) -> Ring:
    """Metres east and north of the origin."""
    per_lon, per_lat = _metres_per_degree(origin[1])
    return [((lon - origin[0]) * per_lon, (lat - origin[1]) * per_lat) for lon, lat in ring]


def _moments(ring: Ring) -> tuple[float, float, float]:
    """Area and first moments, positive whichever way the ring is wound."""
    area = east = north = 0.0
    for (x1, y1), (x2, y2) in pairwise(ring):
        cross = x1 * y2 - x2 * y1
        area += cross / 2
        east += (x1 + x2) * cross / 6
        north += (y1 + y2) * cross / 6
    sign = -1.0 if area < 0 else 1.0
    return sign * area, sign * east, sign * north


def _distance(point: Point, ring: Ring) -> float:
    """Metres from the point to the ring; 0 inside."""
    flat = flatten(ring, point)
    inside = False
    nearest = math.inf
    for (x1, y1), (x2, y2) in pairwise(flat):
        if (y1 > 0) != (y2 > 0) and x1 + (x2 - x1) * -y1 / (y2 - y1) > 0:
            inside = not inside
        dx, dy = x2 - x1, y2 - y1
        length2 = dx * dx + dy * dy
        along = min(1.0, max(0.0, -(x1 * dx + y1 * dy) / length2)) if length2 else 0.0
        nearest = min(nearest, math.hypot(x1 + along * dx, y1 + along * dy))
    return 0.0 if inside else nearest
