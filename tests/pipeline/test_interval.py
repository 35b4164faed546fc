from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.interval import add, bounds

PLANTS = st.integers(0, 100_000)


def width(seen: int, hidden: int) -> int:
    low, high = bounds(seen, hidden)
    return high - low


@settings(max_examples=50, deadline=None)
@given(PLANTS, PLANTS, st.booleans())
def test_the_interval_holds_the_total_and_no_negative_plants(seen: int, hidden: int, doubtful: bool) -> None:
    low, high = bounds(seen, hidden, doubtful=doubtful)
    assert 0 <= low <= seen + hidden <= high
    assert isinstance(low, int)
    assert isinstance(high, int)


@settings(max_examples=50, deadline=None)
@given(PLANTS, PLANTS)
def test_another_plant_never_lowers_a_bound(seen: int, hidden: int) -> None:
    low, high = bounds(seen, hidden)
    for more in (bounds(seen + 1, hidden), bounds(seen, hidden + 1)):
        assert more[0] >= low
        assert more[1] >= high


@settings(max_examples=50, deadline=None)
@given(PLANTS, PLANTS)
def test_doubt_and_guessing_widen(seen: int, hidden: int) -> None:
    low, high = bounds(seen, hidden)
    doubtful_low, doubtful_high = bounds(seen, hidden, doubtful=True)
    assert doubtful_low <= low
    assert doubtful_high >= high
    assert width(0, seen + hidden) >= width(seen + hidden, 0)


@settings(max_examples=50, deadline=None)
@given(PLANTS, PLANTS, st.floats(0.1, 5), st.floats(0.1, 5))
def test_a_model_that_is_farther_off_gets_wider_intervals(seen: int, hidden: int, a: float, b: float) -> None:
    small, large = sorted((a, b))
    low, high = bounds(seen, hidden, small)
    wide_low, wide_high = bounds(seen, hidden, large)
    assert 0 <= wide_low <= low <= seen + hidden <= high <= wide_high


def test_even_nothing_is_not_certain() -> None:
    assert bounds(0, 0) == (0, 1)


@pytest.mark.parametrize("plants", [100, 1000, 10_000])
def test_a_plant_seen_is_worth_more_than_a_plant_guessed(plants: int) -> None:
    assert width(plants, 0) < width(0, plants)
    # Errors shared by a photo do not average out, however many plants it shows.
    assert width(plants, 0) / plants > 0.05


COUNTS = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 900), st.integers(0, 900)).map(
        lambda one: (one[0], max(0, one[0] - one[1]), one[0] + one[2])
    ),
    min_size=1,
    max_size=30,
)


@given(COUNTS)
def test_a_sum_lies_between_independence_and_everything_going_wrong_at_once(
    counts: list[tuple[int, int, int]],
) -> None:
    low, high = add(counts)
    total = sum(middle for middle, _, _ in counts)
    assert sum(low for _, low, _ in counts) <= low <= total <= high <= sum(high for _, _, high in counts)
    independent = math.sqrt(sum((high - middle) ** 2 for middle, _, high in counts))
    assert high - total >= independent - 1e-6


def test_one_count_keeps_its_interval() -> None:
    assert add([(100, 90, 120)]) == (90, 120)


def test_many_places_are_surer_together_than_one_by_one() -> None:
    low, high = add([(100, 80, 120)] * 100)
    assert (10_000 - low) / 10_000 < 0.2 * 0.6
    assert high - 10_000 == 10_000 - low


def test_errors_in_common_do_not_average_out() -> None:
    low, high = add([(100, 80, 120)] * 100, in_common=1.0)
    assert (low, high) == (8000, 12000)
