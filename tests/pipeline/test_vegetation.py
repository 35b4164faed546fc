from __future__ import annotations

import numpy as np

from pipeline.vegetation import plant_likeness
from tests.pipeline.scenes import draw_bed

GREEN, BROWN, GREY = (60, 130, 70), (50, 70, 95), (128, 128, 128)


def stripes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Green, brown and grey thirds; plants were found in half of the green, none in half of the brown."""
    pixels = np.zeros((90, 90, 3), np.uint8)
    pixels[:30], pixels[30:60], pixels[60:] = GREEN, BROWN, GREY
    plants, other = np.zeros((90, 90), np.uint8), np.zeros((90, 90), np.uint8)
    plants[:28, :45] = other[32:58, :45] = 1
    return pixels, plants, other


def test_colours_are_learnt_from_the_photo_itself() -> None:
    likeness = plant_likeness(*stripes())
    assert likeness.shape == (90, 90)
    assert likeness.dtype == np.float32
    assert (likeness[2:28] > 0.9).all()  # also where nobody had looked
    assert (likeness[32:58] < 0.1).all()


def test_a_colour_seen_on_neither_side_is_no_evidence() -> None:
    assert np.all(plant_likeness(*stripes())[62:] == 0.5)


def test_plants_may_have_any_colour() -> None:
    pixels, plants, other = stripes()
    assert (plant_likeness(pixels, other, plants)[32:58] > 0.9).all()


def test_without_samples_nothing_is_known() -> None:
    pixels, plants, other = stripes()
    none = np.zeros_like(plants)
    for sides in ((none, other), (plants, none), (none, none)):
        assert np.all(plant_likeness(pixels, *sides) == 0.5)


def test_missed_plants_among_the_other_samples_do_not_hide_their_like() -> None:
    pixels, plants, other = stripes()
    other[:28, 45:] = 1  # as many green pixels as were found, counted as no plant
    likeness = plant_likeness(pixels, plants, other)
    assert (likeness[2:28] > 0.5).all()
    assert (likeness[32:58] < 0.1).all()


def test_drawn_plants_and_soil_are_told_apart() -> None:
    bed = draw_bed()
    found, soil = np.zeros((2, *bed.photo.shape[:2]), np.uint8)
    soil[:55] = 1
    unseen = np.zeros_like(found)
    for number, (x1, y1, x2, y2) in enumerate(bed.boxes.astype(int).tolist()):
        middle = (
            slice((3 * y1 + y2) // 4, (y1 + 3 * y2) // 4),
            slice((3 * x1 + x2) // 4, (x1 + 3 * x2) // 4),
        )
        (found if number % 2 else unseen)[middle] = 1
    likeness = plant_likeness(bed.photo, found, soil)
    assert np.mean(likeness[unseen > 0] > 0.5) > 0.97
    assert np.mean(likeness[soil > 0] > 0.5) < 0.03
