"""What holds for the area estimate whatever the bed: order, doubling, borders, holes, next to nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.estimators.perspective import estimate_hidden
from pipeline.evidence import Evidence
from pipeline.tally import count_containers
from pipeline.types import Boxes, Container, ContainerKind, Polygon
from tests.pipeline.scenes import Bed, draw_bed
from tests.pipeline.test_estimate import plants, see, some

BEDS = {seed: draw_bed(missing=0.15, seed=seed) for seed in (1, 2)}
seeds = st.sampled_from(sorted(BEDS))
shares = st.floats(0.1, 1)


def of(bed: Bed, boxes: Boxes, polygon: Polygon | None = None) -> Evidence:
    outline = bed.polygon if polygon is None else polygon
    return see(bed.photo, boxes, [Container(ContainerKind.SEGMENT, outline, 0.9)])


def total(evidence: Evidence) -> float:
    """Seen and hidden plants of the container, not rounded."""
    return float((evidence.of(0) & evidence.sure).sum()) + plants(estimate_hidden(evidence, 0))


@given(seed=seeds, share=shares, number=st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_the_order_of_detections_changes_nothing(seed: int, share: float, number: int) -> None:
    bed = BEDS[seed]
    boxes = bed.boxes[some(bed, share, number)]
    order = np.random.default_rng(number).permutation(len(boxes))
    one, two = (estimate_hidden(of(bed, mixed), 0) for mixed in (boxes, boxes[order]))
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert b.plants == pytest.approx(a.plants, rel=1e-5, abs=1e-5)
        assert (b.residual_px, b.suppressed_px) == (a.residual_px, a.suppressed_px)


# Colours are learnt from the detections, so one more may tip what looks like a plant, the more so the fewer
# were found: below four fifths it does. The default estimate knows no such edge (test_density_map.py).
@given(seed=seeds, share=st.floats(0.8, 0.98), number=st.integers(0, 2**32 - 1))
@settings(max_examples=25, derandomize=True)
def test_one_detection_more_lowers_the_total_by_what_it_had_hidden_and_hardly_more(
    seed: int, share: float, number: int
) -> None:
    bed = BEDS[seed]
    hit = some(bed, share, number)
    if hit.all():
        hit[0] = False
    seen, before = int(hit.sum()), total(of(bed, bed.boxes[hit]))
    hit[np.random.default_rng(number).choice(np.flatnonzero(~hit))] = True
    # What was hidden is shared out over the plants seen; and where it stands now, one was guessed before.
    assert total(of(bed, bed.boxes[hit])) >= before * 0.96 - 1 - (before - seen) / seen


@given(seed=seeds, share=st.floats(0.5, 1), number=st.integers(0, 2**32 - 1))
@settings(max_examples=8, derandomize=True)
def test_twice_the_pixels_change_the_total_by_less_than_six_per_cent(
    seed: int, share: float, number: int
) -> None:
    bed = BEDS[seed]
    hit = some(bed, share, number)
    big = bed.doubled()
    one, two = total(of(bed, bed.boxes[hit])), total(of(big, big.boxes[hit]))
    assert two == pytest.approx(one, rel=0.06)  # a detector finds more than half: then it is less


@given(
    corners=st.lists(st.tuples(st.floats(0, 950), st.floats(0, 750)), max_size=30),
    side=st.floats(1, 200),
    level=st.booleans(),
)
@settings(max_examples=25)
def test_next_to_nothing_and_one_row_give_no_nonsense(
    corners: list[tuple[float, float]], side: float, level: bool
) -> None:
    bed = BEDS[1]
    points = np.array(corners, np.float32).reshape(-1, 2)
    if level:
        points[:, 1] = 400
    evidence = of(bed, np.hstack([points, points + np.float32(side)]).astype(np.float32))
    rows = estimate_hidden(evidence, 0)
    assert all(math.isfinite(row.plants) and row.plants >= row.occluded >= 0 for row in rows)
    # No more plants than fit side by side into the area that is free, and a quarter hidden behind the seen.
    free = sum(row.residual_px for row in rows)
    smallest = min((row.cell_px for row in rows), default=1.0)
    assert plants(rows) <= (free / smallest + len(points)) / 0.75


@pytest.mark.parametrize("number", [0, 1, 2])
def test_fewer_plants_than_say_anything_estimate_nothing(number: int) -> None:
    bed = BEDS[1]
    assert estimate_hidden(of(bed, bed.boxes[:number]), 0) == ()


def test_a_container_that_touches_every_border_is_no_trouble() -> None:
    bed = BEDS[1]
    frame = np.array([[0, 0], [1000, 0], [1000, 800], [0, 800]], np.float32)
    beyond = np.array([[-50, -50], [1100, -50], [1100, 900], [-50, 900]], np.float32)
    hit = some(bed, 0.8, 1)
    inside, outside = (of(bed, bed.boxes[hit], polygon) for polygon in (frame, beyond))
    assert total(outside) == pytest.approx(total(inside), rel=1e-6)
    assert total(inside) == pytest.approx(total(of(bed, bed.boxes[hit])), rel=0.05)


def test_a_mask_with_holes_estimates_nothing_in_them() -> None:
    bed = BEDS[2]
    hole = np.array([[400, 300], [700, 300], [700, 550], [400, 550]], np.float32)
    in_hole = inside(bed.boxes, hole)
    missed = some(bed, 0.6, 3) & ~in_hole
    whole = of(bed, bed.boxes[missed])
    crate = see(
        bed.photo,
        bed.boxes[missed],
        [
            Container(ContainerKind.SEGMENT, bed.polygon, 0.9),
            Container(ContainerKind.BOX, hole, 0.9),  # it stands on the bed, whose mask has a hole there
        ],
    )
    assert plants(estimate_hidden(whole, 0)) - plants(estimate_hidden(crate, 0)) > 0.3 * in_hole.sum()
    assert estimate_hidden(crate, 1) == ()


def inside(boxes: Boxes, polygon: Polygon) -> NDArray[np.bool_]:
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.array([cv2.pointPolygonTest(polygon, point.tolist(), False) > 0 for point in middles])


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_one_solid_colour_hides_no_plant(colour: int) -> None:
    bed = replace(BEDS[1], photo=np.full_like(BEDS[1].photo, colour))
    rows = estimate_hidden(of(bed, bed.boxes), 0)
    assert plants(rows) - sum(row.occluded for row in rows) == 0
    assert estimate_hidden(of(bed, bed.boxes[:0]), 0) == ()


def test_a_containers_hidden_plants_are_the_rounded_sum_of_its_rows() -> None:
    bed = BEDS[1]
    counts, _ = count_containers(of(bed, bed.boxes[some(bed, 0.7, 1)]), estimate_hidden)
    (count,) = counts
    assert count.hidden == round(plants(count.estimates))
    assert len(count.estimates) == 4
