"""Masks of a segmenter become outlines of containers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.masks import KIND_OF_NAME, best_finds, containers_from_masks, kind_of
from pipeline.regions import PAINT_ORDER, map_regions
from pipeline.types import Container, ContainerKind, Detections
from pipeline.weights import ModelCard
from pipeline.yolo import Letterbox

SEGMENT, BOX = ContainerKind.SEGMENT, ContainerKind.BOX


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


def outlined(found: Detections, logits: np.ndarray, fit: Letterbox) -> list[Container]:
    """As the segmenter does it."""
    best = best_finds(found)
    return containers_from_masks(found.take(best), logits[best], fit, CARD)


def test_a_mask_becomes_an_outline_in_photo_pixels() -> None:
    fit = Letterbox.fit(1600, 1200, 160, 160)  # 160×120 of the input; 10 photo pixels each
    found = finds((40, 20, 120, 80, 0.9, 1))
    (box,) = outlined(found, masks((40, 20, 120, 80)), fit)
    assert box.kind is BOX
    assert box.score == pytest.approx(0.9)
    assert [*box.polygon.min(axis=0), *box.polygon.max(axis=0)] == pytest.approx(
        [400, 200, 1200, 800], abs=25
    )


def test_a_mask_ends_where_its_box_ends_and_where_the_photo_ends() -> None:
    fit = Letterbox.fit(1600, 1200, 160, 160)
    everything = masks((0, 0, 160, 160))
    (cropped,) = outlined(finds((-20, -20, 80, 60, 0.9, 0)), everything, fit)
    assert cropped.polygon.max(axis=0).tolist() == pytest.approx([800, 600], abs=15)
    (whole,) = outlined(finds((0, 0, 160, 160, 0.9, 0)), everything, fit)
    assert whole.polygon.min() >= 0
    assert whole.polygon.max(axis=0).tolist() == pytest.approx([1600, 1200], abs=15)


def test_two_finds_of_one_container_are_one_and_the_surer_stands_for_it() -> None:
    fit = Letterbox.fit(160, 160, 160, 160)
    area = (20, 20, 120, 120)
    found = finds((*area, 0.6, 0), (22, 20, 122, 120, 0.8, 1), (*area, 0.6, 1))
    (one,) = outlined(found, masks(area, area, area), fit)
    assert (one.kind, one.score) == (BOX, pytest.approx(0.8))


def test_a_box_on_a_segment_is_a_container_of_its_own_and_specks_are_none() -> None:
    fit = Letterbox.fit(160, 160, 160, 160)
    areas = ((0, 0, 160, 160), (20, 20, 80, 80), (100, 100, 104, 104), (120, 120, 150, 150))
    found = finds(*((*area, 0.9 - i / 10, int(i > 0)) for i, area in enumerate(areas)))
    logits = masks(*areas)
    logits[3] = -4  # a box whose mask is empty
    kinds = [container.kind for container in outlined(found, logits, fit)]
    assert kinds == [SEGMENT, BOX]
    assert outlined(Detections.empty(), logits[:0], fit) == []


def test_a_hole_in_a_mask_is_a_gap_between_plants_and_belongs_to_the_container() -> None:
    fit = Letterbox.fit(1600, 1600, 160, 160)
    logits = masks((20, 20, 140, 140))
    logits[0, 15:25, 12:28] = -4  # a gap where pots were taken away
    logits[0, 6:20, 30:32] = -4  # and a narrow one from the rim, where a post stands before it
    (bed,) = outlined(finds((20, 20, 140, 140, 0.9, 0)), logits, fit)
    assert cv2.contourArea(bed.polygon) == pytest.approx(1200 * 1200, rel=0.06)
    regions = map_regions([bed], 1600, 1600)
    assert regions.mask(0)[800, 800] == regions.mask(0)[620, 620] == 1


def test_a_container_that_touches_every_border_has_all_of_the_photo_even_with_holes() -> None:
    fit = Letterbox.fit(1200, 1600, 160, 160)  # 120×160 of the input
    logits = masks((0, 0, 160, 160))
    logits[0, 10:20, 8:20] = -4
    (whole,) = outlined(finds((0, 0, 120, 160, 0.9, 0)), logits, fit)
    assert whole.polygon.min() >= 0
    assert (whole.polygon <= (1200, 1600)).all()
    assert map_regions([whole], 1200, 1600).mask(0).mean() > 0.995


places = st.tuples(st.integers(0, 130), st.integers(0, 130), st.integers(15, 120), st.integers(15, 120))


@given(
    st.lists(st.tuples(places, st.sampled_from([0.3, 0.6, 0.9]), st.integers(0, 1)), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_finds_never_matters_and_equals_share_no_ground(
    rows: list[tuple[tuple[int, int, int, int], float, int]], random: object
) -> None:
    fit = Letterbox.fit(800, 800, 160, 160)

    def shapes(order: list[int]) -> list[tuple[object, ...]]:
        areas = [(x, y, min(160, x + w), min(160, y + h)) for (x, y, w, h), _, _ in rows]
        found = finds(*((*areas[i], rows[i][1], rows[i][2]) for i in order))
        made = outlined(found, masks(*(areas[i] for i in order)), fit)
        return [(one.kind, round(one.score, 3), one.polygon.tolist()) for one in made]

    order = list(range(len(rows)))
    straight = shapes(order)
    random.shuffle(order)  # type: ignore[attr-defined]
    assert shapes(order) == straight
    for kind in (SEGMENT, BOX):
        alike = [Container(kind, np.array(p, np.float32), 0.5) for k, _, p in straight if k is kind]
        total = sum(map_regions([one], 800, 800).mask(0).sum() for one in alike)
        together = (map_regions(alike, 800, 800).labels > 0).sum()
        assert total <= together * 1.25 + 200  # outlines are hulls, so they may overlap a little
