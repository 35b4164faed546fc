"""The two earlier estimators, as they were: what they get right, and each error that is known of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from pipeline.estimators import bands, density
from pipeline.estimators.classic import residual, without_floor
from pipeline.evidence import Evidence, gather
from pipeline.look import View
from pipeline.regions import assign, map_regions
from pipeline.types import Boxes, Container, ContainerKind, Pixels, Spacing
from tests.pipeline.scenes import found

PITCH, PLANT = 40, 36
COLUMNS, ROWS = 20, 16


def lattice() -> Boxes:
    """Plants in a square lattice, 800 × 640 pixels of them in a photo of 1000 × 800."""
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS].reshape(2, -1) + 0.5
    x, y = 100 + PITCH * columns, 80 + PITCH * rows
    half = PLANT / 2
    return np.stack([x - half, y - half, x + half, y + half], axis=1).astype(np.float32)


BED = np.array([[100, 80], [900, 80], [900, 720], [100, 720]], np.float32)


def see(boxes: Boxes, photo: Pixels, kind: ContainerKind = ContainerKind.SEGMENT) -> Evidence:
    containers = [Container(kind, BED, 0.9)]
    owner = assign(boxes, map_regions(containers, photo.shape[1], photo.shape[0]))
    sure = np.ones(len(boxes), np.bool_)
    return gather(photo, View(found(boxes), 1.0), containers, sure, owner)


def painted(bed: tuple[int, int, int]) -> Pixels:
    """A black photo with a bed of one colour."""
    photo = np.zeros((800, 1000, 3), np.uint8)
    photo[80:720, 100:900] = bed
    return photo


GREEN, PALE, DARK = (60, 160, 70), (200, 205, 210), (38, 39, 40)


def total(rows: tuple) -> float:
    return sum(row.plants for row in rows)


def test_discs_cover_more_than_twice_the_boxes() -> None:
    one = lattice()[150:151]
    evidence = see(one, painted(GREEN))
    covered = int(evidence.regions.mask(0).sum()) - int(residual(evidence, 0).sum())
    assert covered == pytest.approx(math.pi * (0.85 * PLANT) ** 2, rel=0.02)
    assert covered / PLANT**2 == pytest.approx(2.27, rel=0.02)


def test_a_single_plant_missed_between_others_leaves_less_than_a_third_of_itself() -> None:
    boxes = lattice()
    missed = np.delete(boxes, 8 * COLUMNS + 10, axis=0)
    before, after = (int(residual(see(b, painted(GREEN)), 0).sum()) for b in (boxes, missed))
    assert 0.1 < (after - before) / (PITCH**2) < 0.33


def test_bands_divide_by_nine_tenths_of_the_boxes_and_round_up() -> None:
    boxes = lattice()
    boxes = boxes[(boxes[:, 0] < 500) & (boxes[:, 1] < 400)]
    rows = bands.estimate_hidden(see(boxes, painted(GREEN)), 0)
    assert [row.band for row in rows] == [1, 2, 3, 4]
    assert [(row.y_start, row.y_end) for row in rows] == [(0, 200), (200, 400), (400, 600), (600, 800)]
    for row in rows[:2]:
        assert row.cell_px == pytest.approx(0.9 * PLANT**2)
    for row in rows[2:]:  # fewer than ten boxes
        assert row.cell_px == pytest.approx(0.9 * 2500)
    for row in rows:
        assert row.plants == math.ceil((row.residual_px - row.suppressed_px) / row.cell_px)
        assert 0 <= row.suppressed_px <= row.residual_px
    assert (rows[0].method, rows[0].version) == ("bands", "1")


def test_bands_leave_outliers_out_of_the_mean() -> None:
    boxes = lattice()
    boxes[3] = [200, 90, 500, 190]
    assert bands.plant_area(see(boxes, painted(GREEN)), (0, 200)) == pytest.approx(PLANT**2)


def test_bands_ask_the_boxes_of_every_container() -> None:
    boxes = lattice()
    far = np.array([[905 + i, 100, 985 + i, 180] for i in range(9)], np.float32)  # outside, and larger
    few = np.concatenate([boxes[:6], far])
    area = bands.plant_area(see(few, painted(GREEN)), (0, 200))
    assert area > 2 * PLANT**2


def test_an_empty_bed_of_pale_gravel_is_taken_for_plants_and_a_dark_one_is_not() -> None:
    boxes = lattice()[:40]
    pale = total(bands.estimate_hidden(see(boxes, painted(PALE)), 0))
    dark = total(bands.estimate_hidden(see(boxes, painted(DARK)), 0))
    assert pale > 100
    assert dark == 0


def test_the_floor_is_told_apart_only_by_light() -> None:
    photo = painted(GREEN)
    photo[80:720, 100:500] = DARK
    evidence = see(lattice()[-20:], photo)
    kept = without_floor(evidence, residual(evidence, 0))
    assert kept[200:600, 120:480].mean() == 0
    assert kept[200:600, 520:880].mean() == 1


def spaced(evidence: Evidence, *spacings: Spacing) -> Evidence:
    return replace(evidence, spacings=spacings)


@pytest.mark.parametrize("area", [64.0, 100.0])
def test_density_divides_the_area_by_that_of_a_plant(area: float) -> None:
    evidence = see(lattice()[: COLUMNS * ROWS // 2], painted(GREEN))
    rows = density.estimate_hidden(spaced(evidence, Spacing(ContainerKind.SEGMENT, area, 8.0)), 0)
    processed = sum(row.residual_px - row.suppressed_px for row in rows)
    per_cm = PLANT / 8.0
    assert total(rows) == pytest.approx(processed / per_cm**2 / area, rel=1e-3)
    assert processed == pytest.approx(800 * 310, rel=0.05)  # the half without boxes, less half a disc
    assert rows[0].size_px == pytest.approx(PLANT, rel=0.01)


def test_the_overlap_factor_lowers_it() -> None:
    evidence = see(lattice()[:160], painted(GREEN))
    full, less = (
        density.estimate_hidden(spaced(evidence, Spacing(ContainerKind.SEGMENT, 64, 8, overlap)), 0)
        for overlap in (1.0, 0.85)
    )
    assert total(less) == pytest.approx(0.85 * total(full))


@pytest.mark.parametrize(
    "spacing",
    [
        Spacing(ContainerKind.SEGMENT, 0, 8),
        Spacing(ContainerKind.SEGMENT, 64, 0),
        Spacing(ContainerKind.SEGMENT, -1, 8),
        Spacing(ContainerKind.SEGMENT, math.inf, 8),
        Spacing(ContainerKind.SEGMENT, 64, 8, 0),
        Spacing(ContainerKind.BOX, 64, 8),
    ],
)
def test_useless_parameters_estimate_nothing_and_say_why(spacing: Spacing) -> None:
    evidence = spaced(see(lattice(), painted(GREEN)), spacing)
    assert density.estimate_hidden(evidence, 0) == ()
    assert len(density.missing(evidence)) == 1


@pytest.mark.parametrize("boxes", [lattice()[:0], lattice()[:1], lattice()[:2], lattice()[:COLUMNS]])
@pytest.mark.parametrize("method", [bands, density])
def test_few_plants_and_solid_colours_are_no_trouble(boxes: Boxes, method: object) -> None:
    for colour in ((0, 0, 0), (255, 255, 255), GREEN):
        photo = np.full((800, 1000, 3), colour, np.uint8)
        evidence = spaced(see(boxes, photo), Spacing(ContainerKind.SEGMENT, 64, 8))
        rows = method.estimate_hidden(evidence, 0)  # type: ignore[attr-defined]
        assert all(math.isfinite(row.plants) and row.plants >= 0 for row in rows)
        assert all(0 <= row.suppressed_px <= row.residual_px for row in rows)
    assert method.estimate_hidden(evidence, -1) == ()  # type: ignore[attr-defined]
