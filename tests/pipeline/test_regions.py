from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.boxes import centres
from pipeline.regions import (
    KIND_OF_NAME,
    PAINT_ORDER,
    REACH,
    WORKING_SIDE,
    RegionMap,
    assign,
    containers_from_masks,
    kind_of,
    map_regions,
)
from pipeline.types import Boxes, Container, ContainerKind, Detections
from pipeline.weights import ModelCard
from pipeline.yolo import Letterbox

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


def test_the_names_of_four_nurseries_are_known_in_any_case() -> None:
    assert kind_of("Cajon") is kind_of("box") is BOX
    assert kind_of("claro-cajon") is kind_of("SEGMENTO") is SEGMENT
    assert set(KIND_OF_NAME.values()) == set(ContainerKind) - {ContainerKind.LOOSE} == set(PAINT_ORDER)


def test_an_unknown_class_is_never_passed_over() -> None:
    with pytest.raises(ValueError, match=r"'bathtub' is none of .*almacigo"):
        kind_of("bathtub")


CARD = ModelCard("net", "1", "segment", Path("net.xml"), "0", ("segment", "box"), 160, 160, 114, 0.5)


def masks(*rectangles: tuple[int, int, int, int]) -> np.ndarray:
    """Logits (n, 40, 40), positive inside each rectangle of input pixels."""
    logits = np.full((len(rectangles), 40, 40), -4, np.float32)
    for logit, (x1, y1, x2, y2) in zip(logits, rectangles, strict=True):
        logit[y1 // 4 : y2 // 4, x1 // 4 : x2 // 4] = 4
    return logits


def finds(*rows: tuple[int, int, int, int, float, int]) -> Detections:
    table = np.array(rows, np.float32)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int16), np.zeros(len(table), np.bool_))


def test_a_mask_becomes_an_outline_in_photo_pixels() -> None:
    fit = Letterbox.fit(1600, 1200, 160, 160)  # 160×120 of the input; 10 photo pixels each
    found = finds((40, 20, 120, 80, 0.9, 1))
    (box,) = containers_from_masks(found, masks((40, 20, 120, 80)), fit, CARD)
    assert box.kind is BOX
    assert box.score == pytest.approx(0.9)
    assert [*box.polygon.min(axis=0), *box.polygon.max(axis=0)] == pytest.approx(
        [400, 200, 1200, 800], abs=25
    )


def test_a_mask_ends_where_its_box_ends_and_where_the_photo_ends() -> None:
    fit = Letterbox.fit(1600, 1200, 160, 160)
    everything = masks((0, 0, 160, 160))
    (cropped,) = containers_from_masks(finds((-20, -20, 80, 60, 0.9, 0)), everything, fit, CARD)
    assert cropped.polygon.max(axis=0).tolist() == pytest.approx([800, 600], abs=15)
    (whole,) = containers_from_masks(finds((0, 0, 160, 160, 0.9, 0)), everything, fit, CARD)
    assert whole.polygon.min() >= 0
    assert whole.polygon.max(axis=0).tolist() == pytest.approx([1600, 1200], abs=15)


def test_two_finds_of_one_container_are_one_and_the_surer_stands_for_it() -> None:
    fit = Letterbox.fit(160, 160, 160, 160)
    area = (20, 20, 120, 120)
    found = finds((*area, 0.6, 0), (22, 20, 122, 120, 0.8, 1), (*area, 0.6, 1))
    (one,) = containers_from_masks(found, masks(area, area, area), fit, CARD)
    assert (one.kind, one.score) == (BOX, pytest.approx(0.8))


def test_a_box_on_a_segment_is_a_container_of_its_own_and_specks_are_none() -> None:
    fit = Letterbox.fit(160, 160, 160, 160)
    areas = ((0, 0, 160, 160), (20, 20, 80, 80), (100, 100, 104, 104), (120, 120, 150, 150))
    found = finds(*((*area, 0.9 - i / 10, int(i > 0)) for i, area in enumerate(areas)))
    logits = masks(*areas)
    logits[3] = -4  # a box whose mask is empty
    kinds = [container.kind for container in containers_from_masks(found, logits, fit, CARD)]
    assert kinds == [SEGMENT, BOX]
    assert containers_from_masks(Detections.empty(), logits[:0], fit, CARD) == []


def test_the_map_of_two_neighbours_covers_both() -> None:
    beds = [rectangle(SEGMENT, 0, 0, 200, 600), rectangle(SEGMENT, 200, 0, 800, 600)]
    regions: RegionMap = map_regions(beds, 800, 600)
    shares = [regions.mask(index).mean() for index in range(2)]
    assert shares == pytest.approx([0.25, 0.75], abs=0.01)
    assert all((a + b).max() == 1 for a, b in itertools.combinations((regions.mask(0), regions.mask(1)), 2))
