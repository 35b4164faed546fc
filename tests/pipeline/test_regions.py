from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.boxes import centres
from pipeline.regions import (
    PAINT_ORDER,
    REACH,
    WORKING_SIDE,
    RegionMap,
    assign,
    map_regions,
)
from pipeline.types import Boxes, Container, ContainerKind

SEGMENT, BOX, TRAY = ContainerKind.SEGMENT, ContainerKind.BOX, ContainerKind.PLUG_TRAY


def rectangle(
    kind: ContainerKind, x1: float, y1: float, x2: float, y2: float, score: float = 0.9
) -> Container:
    return Container(kind, np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32), score)


def plant_at(x: float, y: float, size: float = 20) -> Boxes:
    return np.array([[x - size / 2, y - size / 2, x + size / 2, y + size / 2]], np.float32)


def owner_of(containers: list[Container], boxes: Boxes, width: int = 800, height: int = 600) -> list[int]:
    return assign(boxes, map_regions(containers, width, height)).tolist()


def test_what_stands_in_a_box_on_a_segment_is_the_boxes() -> None:
    segment, box = rectangle(SEGMENT, 100, 100, 700, 500), rectangle(BOX, 300, 200, 400, 300, 0.3)
    for containers in ([segment, box], [box, segment]):
        assert owner_of(containers, plant_at(350, 250)) == [containers.index(box)]
        assert owner_of(containers, plant_at(200, 250)) == [containers.index(segment)]


def test_of_equals_the_better_scored_wins_whatever_their_order() -> None:
    weak, sure = rectangle(BOX, 100, 100, 400, 400, 0.4), rectangle(BOX, 300, 100, 600, 400, 0.8)
    assert owner_of([weak, sure], plant_at(350, 250)) == [1]
    assert owner_of([sure, weak], plant_at(350, 250)) == [0]


def test_a_plant_on_the_rim_belongs_to_the_nearest_within_reach() -> None:
    left, right = rectangle(SEGMENT, 0, 100, 300, 500), rectangle(SEGMENT, 330, 100, 700, 500)
    assert owner_of([left, right], plant_at(311, 300)) == [0]
    assert owner_of([left, right], plant_at(319, 300)) == [1]
    below = plant_at(500, 500 + 20 * REACH - 2)
    assert owner_of([left, right], below) == [1]
    assert owner_of([left, right], plant_at(500, 500 + 20 * REACH + 4)) == [-1]
    # A larger plant reaches farther.
    assert owner_of([left, right], plant_at(500, 500 + 20 * REACH + 4, size=40)) == [1]


def test_without_containers_every_plant_is_loose() -> None:
    assert owner_of([], plant_at(350, 250)) == [-1]
    assert owner_of([], np.empty((0, 4), np.float32)) == []


def test_a_container_as_large_as_the_photo_owns_every_plant() -> None:
    whole = rectangle(SEGMENT, 0, 0, 800, 600)
    corners = np.concatenate([plant_at(x, y) for x in (0, 400, 799.9, 800) for y in (0, 300, 600)])
    assert owner_of([whole], corners) == [0] * 12
    beyond = rectangle(SEGMENT, -50, -50, 900, 700)
    assert owner_of([beyond], corners) == [0] * 12
    assert map_regions([whole], 800, 600).mask(0).all()


def test_a_large_photo_is_mapped_at_working_scale() -> None:
    regions = map_regions([rectangle(BOX, 4000, 0, 8000, 6000)], 8000, 6000)
    assert regions.labels.shape == (1200, WORKING_SIDE)
    assert regions.scale == pytest.approx(0.2)
    assert regions.mask(0).mean() == pytest.approx(0.5, abs=0.01)
    assert not regions.mask(1).any()


coordinates = st.integers(-20, 420)
containers = st.lists(
    st.builds(
        lambda kind, x, y, width, height, score: rectangle(kind, x, y, x + width, y + height, score),
        st.sampled_from(PAINT_ORDER),
        coordinates,
        coordinates,
        st.integers(0, 300),
        st.integers(0, 300),
        st.floats(0, 1, width=32),
    ),
    max_size=6,
)
plants = st.lists(
    st.builds(
        lambda x, y, side: plant_at(x, y, side)[0], st.floats(0, 400), st.floats(0, 300), st.integers(1, 60)
    ),
    max_size=15,
)


@given(containers, plants)
@settings(max_examples=40, deadline=None)
def test_every_plant_has_one_owner_and_stands_in_it_or_within_reach(
    beds: list[Container], boxes: list[Boxes]
) -> None:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    owner = assign(array, map_regions(beds, 400, 300))
    assert owner.shape == (len(array),)
    for index, box, (x, y) in zip(owner, array, centres(array), strict=True):
        assert -1 <= index < len(beds)
        if index >= 0:
            low, high = beds[index].polygon.min(axis=0), beds[index].polygon.max(axis=0)
            away = np.hypot(*np.maximum(np.maximum(low - (x, y), (x, y) - high), 0))
            assert away <= REACH * (box[2] - box[0]) * 1.1 + 2
        else:
            inside = [_clearly_inside(bed, x, y) for bed in beds]
            assert not any(inside)


def _clearly_inside(bed: Container, x: float, y: float) -> bool:
    (x1, y1), (x2, y2) = bed.polygon.min(axis=0), bed.polygon.max(axis=0)
    return bool(x1 + 1 < x < x2 - 1 and y1 + 1 < y < y2 - 1)


def test_the_map_of_two_neighbours_covers_both() -> None:
    beds = [rectangle(SEGMENT, 0, 0, 200, 600), rectangle(SEGMENT, 200, 0, 800, 600)]
    regions: RegionMap = map_regions(beds, 800, 600)
    shares = [regions.mask(index).mean() for index in range(2)]
    assert shares == pytest.approx([0.25, 0.75], abs=0.01)
    assert all((a + b).max() == 1 for a, b in itertools.combinations((regions.mask(0), regions.mask(1)), 2))
