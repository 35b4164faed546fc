from __future__ import annotations

import math
from typing import Any

import pytest

from db.geojson import measure, metres_outside


def polygon(*rings: list[tuple[float, float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[list(point) for point in ring] for ring in rings]}


def square(longitude: float, latitude: float, side: float) -> list[tuple[float, float]]:
    """Degrees, wound counter-clockwise from its south-west corner."""
    east, north = longitude + side, latitude + side
    return [(longitude, latitude), (east, latitude), (east, north), (longitude, north), (longitude, latitude)]


# Lengths of a degree on WGS 84, from the tables of the National Geospatial-Intelligence Agency, in metres.
@pytest.mark.parametrize(
    ("latitude", "degree_of_latitude", "degree_of_longitude"),
    [
        (0, 110_574.3, 111_319.5),
        (-30, 110_852.4, 96_486.3),
        (45, 111_131.7, 78_846.8),
        (60, 111_412.3, 55_800.0),
    ],
)
def test_areas_agree_with_the_published_lengths_of_a_degree(
    latitude: float, degree_of_latitude: float, degree_of_longitude: float
) -> None:
    found = measure(polygon(square(-68.7 - 5e-5, latitude - 5e-5, 1e-4)))

    assert found.area_m2 == pytest.approx(degree_of_latitude * degree_of_longitude * 1e-8, rel=1e-5)
    assert found.latitude == pytest.approx(latitude, abs=1e-9)
    assert found.longitude == pytest.approx(-68.7, abs=1e-9)


def test_winding_does_not_matter_and_holes_are_taken_out() -> None:
    outer, hole = square(-68.7, -33.04, 4e-4), square(-68.7 + 1e-4, -33.04 + 1e-4, 2e-4)
    whole = measure(polygon(outer)).area_m2

    assert measure(polygon(outer[::-1])).area_m2 == pytest.approx(whole)
    assert measure(polygon(outer, hole[::-1])).area_m2 == pytest.approx(whole * 3 / 4, rel=1e-5)


def test_several_polygons_are_measured_together() -> None:
    west, east = square(-68.7, -33.04, 1e-4), square(-68.6996, -33.04, 1e-4)
    both = {"type": "MultiPolygon", "coordinates": [[west], [east]]}

    assert measure(both).area_m2 == pytest.approx(2 * measure(polygon(west)).area_m2)
    assert measure(both).longitude == pytest.approx(-68.69975, abs=1e-8)


def test_the_centroid_of_a_triangle_is_a_third_of_the_way_up() -> None:
    triangle = [(-68.7, -33.04), (-68.6997, -33.04), (-68.7, -33.0397), (-68.7, -33.04)]
    found = measure(polygon(triangle))

    assert (found.longitude, found.latitude) == pytest.approx((-68.6999, -33.0399), abs=1e-9)


def test_a_polygon_within_another_reaches_nowhere_out_of_it() -> None:
    outer = polygon(square(-68.7, -33.04, 4e-4))

    assert metres_outside(polygon(square(-68.6999, -33.0399, 1e-4)), outer) == 0
    assert metres_outside(outer, outer) == pytest.approx(0, abs=1e-6)


def test_a_polygon_that_sticks_out_does_so_by_its_farthest_corner() -> None:
    outer = polygon(square(-68.7, -33.04, 4e-4))
    north = polygon(square(-68.6998, -33.04 + 3e-4, 2e-4))  # its northern side 1e-4 degrees too far

    assert metres_outside(north, outer) == pytest.approx(11.0905, abs=1e-3)
    corner = polygon(square(-68.7 + 3e-4, -33.04 + 3e-4, 2e-4))
    assert metres_outside(corner, outer) == pytest.approx(math.hypot(11.0905, 9.3450), abs=2e-2)


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        ({"type": "Point", "coordinates": [-68.7, -33]}, "must be a Polygon"),
        ({"type": "Polygon"}, "coordinates must be lists"),
        ({"type": "Polygon", "coordinates": []}, "no ring"),
        ({"type": "MultiPolygon", "coordinates": []}, "must be a Polygon"),
        (polygon([(0, 0), (1, 0), (0, 0)]), "at least four points"),
        (polygon([(0, 0), (1, 0), (1, 1), (0, 1)]), "the last equal to the first"),
        (polygon([(-33, -168.7), (-33, -168.6), (-32, -168.6), (-33, -168.7)]), "are they swapped"),
        (polygon([(0, 0), (1, 0), (2, 0), (0, 0)]), "encloses no area"),
        ({"type": "Polygon", "coordinates": [["a", "b"]]}, "coordinates must be lists"),
    ],
)
def test_what_is_no_polygon_gets_a_sentence(geometry: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        measure(geometry)
