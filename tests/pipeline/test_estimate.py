from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.estimators.perspective import BANDS, ENOUGH_PLANTS, estimate_hidden
from pipeline.evidence import Evidence, gather
from pipeline.look import View
from pipeline.regions import assign, map_regions
from pipeline.types import Boxes, Container, ContainerKind, Estimate, Pixels
from tests.pipeline.scenes import Bed, draw_bed, found


def estimate(bed: Bed, boxes: Boxes, photo: Pixels | None = None) -> tuple[Estimate, ...]:
    """The rows of the bed, of whose plants the detector found `boxes`."""
    photo = bed.photo if photo is None else photo
    return estimate_hidden(see(photo, boxes, [Container(ContainerKind.SEGMENT, bed.polygon, 0.9)]), 0)


def see(
    photo: Pixels, boxes: Boxes, containers: list[Container], owner: NDArray[np.intp] | None = None
) -> Evidence:
    """What the photo says when all boxes are sure."""
    if owner is None:
        owner = assign(boxes, map_regions(containers, photo.shape[1], photo.shape[0]))
    return gather(photo, View(found(boxes), 1.0), containers, np.ones(len(boxes), np.bool_), owner)


def plants(rows: tuple[Estimate, ...]) -> float:
    return sum(row.plants for row in rows)


def some(bed: Bed, share: float, seed: int) -> NDArray[np.bool_]:
    """Which plants a detector finds that finds this share of them, here and there."""
    hit: NDArray[np.bool_] = np.random.default_rng(seed).random(len(bed.boxes)) < share
    return hit


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("missed", [0.1, 0.2, 0.4])
def test_most_of_the_plants_without_a_box_are_estimated_and_none_is_invented(
    missed: float, seed: int
) -> None:
    bed = draw_bed(missing=0.2, seed=seed)
    hit = some(bed, 1 - missed, seed)
    hidden = plants(estimate(bed, bed.boxes[hit]))
    missing = int((~hit).sum())
    # It errs on the careful side: plants of a colour seen on few others go unnoticed.
    assert 0.2 * missing <= hidden <= 1.1 * missing


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("missing", [0.0, 0.2, 0.4])
def test_where_pots_were_taken_away_nothing_is_counted(missing: float, seed: int) -> None:
    bed = draw_bed(missing=missing, seed=seed)
    rows = estimate(bed, bed.boxes)
    # Gaps open no area; what the far rows may hide behind others is no matter of gaps.
    assert plants(rows) - sum(row.occluded for row in rows) < 0.005 * len(bed.boxes)
    assert plants(rows) < 0.01 * len(bed.boxes)


def test_a_whole_corner_sold_is_a_hole_and_a_whole_corner_missed_is_plants() -> None:
    full, sold = draw_bed(seed=4), draw_bed(seed=4)
    corner = (full.boxes[:, 0] > 600) & (full.boxes[:, 1] > 400)
    assert corner.sum() > 25
    soil = sold.photo[:50, :50]
    for x1, y1, x2, y2 in np.round(full.boxes[corner]).astype(int).tolist():
        hole = sold.photo[y1 - 2 : y2 + 3, x1 - 2 : x2 + 3]
        hole[:] = np.tile(soil, (3, 3, 1))[: hole.shape[0], : hole.shape[1]]
    assert plants(estimate(full, full.boxes[~corner])) > 0.4 * corner.sum()
    assert plants(estimate(full, full.boxes[~corner], sold.photo)) < 0.05 * corner.sum()


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 21])
def test_finding_one_plant_more_raises_the_total_by_little_more_than_one(seed: int) -> None:
    bed = draw_bed(missing=0.1, seed=2)
    hit = some(bed, 0.8, seed)
    before = hit.sum() + plants(estimate(bed, bed.boxes[hit]))
    hit[np.random.default_rng(seed).choice(np.flatnonzero(~hit))] = True
    after = hit.sum() + plants(estimate(bed, bed.boxes[hit]))
    # It is counted now instead of being guessed; that its colour is known now may show one more.
    assert -1 <= after - before <= 2.5


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_twice_the_pixels_give_the_same_estimate(seed: int) -> None:
    bed = draw_bed(missing=0.2, seed=seed)
    hit = some(bed, 0.8, seed)
    big = bed.doubled()
    one, two = estimate(bed, bed.boxes[hit]), estimate(big, big.boxes[hit])
    assert plants(two) == pytest.approx(plants(one), rel=0.12)
    for a, b in zip(one, two, strict=True):
        assert b.cell_px == pytest.approx(4 * a.cell_px, rel=0.1)
        assert b.residual_px == pytest.approx(4 * a.residual_px, rel=0.1)
        assert (b.y_start, b.y_end) == pytest.approx((2 * a.y_start, 2 * a.y_end), abs=4)


def test_the_rows_explain_every_hidden_plant() -> None:
    bed = draw_bed(missing=0.2)
    hit = some(bed, 0.7, 1)
    rows = estimate(bed, bed.boxes[hit])
    assert [row.band for row in rows] == list(range(1, BANDS + 1))
    assert (rows[0].y_start, rows[-1].y_end) == pytest.approx((60, bed.polygon[:, 1].max()), abs=2)
    for above, below in itertools.pairwise(rows):
        assert above.y_end == below.y_start
        assert above.cell_px < below.cell_px  # the nearer, the larger
    for row in rows:
        assert (row.method, row.version) == ("perspective", "2")
        assert 0 <= row.suppressed_px <= row.residual_px
        opened = (row.residual_px - row.suppressed_px) / row.cell_px
        assert row.plants == pytest.approx(opened + row.occluded)
        assert row.size_px == pytest.approx(31 + (row.y_start + row.y_end - 120) / 2 * row.slope, rel=0.05)
        assert row.slope == pytest.approx(0.9 * 34 / 700, rel=0.1)
    # What is covered by boxes and what is not are the whole container.
    width, height = np.ptp(bed.polygon, axis=0).tolist()
    sides = bed.boxes[hit][:, 2:] - bed.boxes[hit][:, :2]
    covered = float((sides.prod(axis=1) * np.pi / 4).sum())
    assert sum(row.residual_px for row in rows) == pytest.approx(width * height - covered, rel=0.03)


def test_too_few_plants_are_no_evidence() -> None:
    bed = draw_bed()
    assert estimate(bed, bed.boxes[: ENOUGH_PLANTS - 1]) == ()
    assert estimate(bed, np.empty((0, 4), np.float32)) == ()
    assert estimate(bed, bed.boxes[:ENOUGH_PLANTS]) != ()


def test_a_container_hidden_under_another_has_no_hidden_plants() -> None:
    bed = draw_bed()
    whole = Container(ContainerKind.BOX, bed.polygon, 0.9)
    under = Container(ContainerKind.SEGMENT, bed.polygon, 0.9)
    evidence = see(bed.photo, bed.boxes, [under, whole])
    assert (evidence.owner == 1).all()
    assert estimate_hidden(evidence, 0) == ()
    # Even were its plants said to be its own, there is no area left to hide more.
    said = see(bed.photo, bed.boxes, [under, whole], np.zeros_like(evidence.owner))
    assert estimate_hidden(said, 0) == ()


def test_plants_and_area_of_another_container_do_not_count_here() -> None:
    bed = draw_bed(seed=5)
    left = bed.polygon.copy()
    left[[1, 2], 0] = 500
    right = bed.polygon.copy()
    right[[0, 3], 0] = 500
    beds = [Container(ContainerKind.SEGMENT, polygon, 0.9) for polygon in (left, right)]
    x = bed.boxes[:, [0, 2]].mean(axis=1)
    hit = (x < 480) | some(bed, 0.7, 1)  # every plant of the left bed, some of the right one
    evidence = see(bed.photo, bed.boxes[hit], beds)
    missed = int((~hit).sum())
    assert plants(estimate_hidden(evidence, 0)) < 2
    assert 0.2 * missed < plants(estimate_hidden(evidence, 1)) < 1.1 * missed


def test_boxes_on_the_rim_of_the_photo_are_no_trouble() -> None:
    bed = draw_bed()
    rim = np.array([[-10, -10, 25, 25], [980, 780, 1020, 820], [0, 0, 0.4, 0.4]], np.float32)
    rows = estimate(bed, np.concatenate([bed.boxes, rim]))
    assert all(np.isfinite(row.plants) and row.plants >= 0 for row in rows)
