"""Scores against the truth, by hand-made cases and by properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.accuracy import count_error, iou, match


def boxes(*corners: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(corners, np.float32).reshape(-1, 4)


ALL = np.ones(9, np.bool_)


def test_one_plant_is_hit_once_and_the_second_box_on_it_is_a_false_alarm() -> None:
    found = boxes((0, 0, 10, 10), (0, 1, 10, 10))
    result = match(found, np.array([0.6, 0.9], np.float32), boxes((0, 0, 10, 10)), ALL[:1])

    assert result.hit.tolist() == [False, True]
    assert result.false.tolist() == [True, False]


def test_a_box_on_a_plant_too_hidden_to_ask_for_is_neither_hit_nor_false() -> None:
    result = match(boxes((0, 0, 10, 10)), np.ones(1, np.float32), boxes((0, 0, 10, 10)), ~ALL[:1])

    assert not result.hit.any()
    assert not result.false.any()
    assert result.ignored.all()


def test_a_visible_plant_is_preferred_to_a_hidden_one_that_fits_better() -> None:
    truth = boxes((0, 0, 10, 10), (0, 0, 10, 8))
    result = match(boxes((0, 0, 10, 10)), np.ones(1, np.float32), truth, np.array([False, True]))

    assert result.hit.tolist() == [True]
    assert result.found.tolist() == [False, True]


def test_overlap_below_one_half_is_no_match() -> None:
    result = match(boxes((0, 0, 10, 10)), np.ones(1, np.float32), boxes((5.1, 0, 15, 10)), ALL[:1])
    assert result.false.all()


@pytest.mark.parametrize(("found", "truth"), [(0, 0), (0, 3), (3, 0)])
def test_nothing_found_or_nothing_there(found: int, truth: int) -> None:
    some = boxes(*[(20 * i, 0, 20 * i + 9, 9) for i in range(3)])
    result = match(some[:found], np.ones(found, np.float32), some[:truth], ALL[:truth])
    assert len(result.hit) == found
    assert len(result.found) == truth
    assert not result.hit.any()


def test_iou_of_equal_half_and_apart() -> None:
    table = iou(boxes((0, 0, 10, 10)), boxes((0, 0, 10, 10), (0, 0, 10, 5), (50, 50, 60, 60)))
    np.testing.assert_allclose(table, [[1.0, 0.5, 0.0]])


def test_errors_are_those_of_a_hand_calculation() -> None:
    error = count_error([100, 200], [110, 180], [(90, 120), (185, 195)])

    assert (error.mae, error.truth, error.counted) == (15.0, 300, 290)
    assert error.mape == pytest.approx(0.10)
    assert error.bias == pytest.approx(-10 / 300)
    assert error.coverage == 0.5
    assert error.width == pytest.approx((30 / 110 + 10 / 180) / 2)
    assert error.r2 == pytest.approx(1 - 500 / 5000)


def test_a_photo_without_plants_has_no_percentage_but_counts_in_the_bias() -> None:
    error = count_error([0, 100], [10, 100])
    assert error.mape == 0
    assert error.bias == pytest.approx(0.1)
    assert error.coverage is None


@given(st.lists(st.integers(0, 500), min_size=1, max_size=20))
def test_counting_right_is_no_error(truth: list[int]) -> None:
    error = count_error(truth, truth, [(n, n) for n in truth])
    share = 0 if any(truth) else None  # no percentage of no plants
    assert (error.mae, error.mape, error.bias, error.coverage) == (0, share, share, 1)
