"""The correction that hand counts give: right on average, and as sure as it says."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.ratio import HandCount, biases, correct, t_quantile
from pipeline.audit.records import Domain, Frame, Season, Stratum, Tile
from pipeline.audit.sample import draw_tiles
from tests.pipeline.audits import a_population, true_plants

HERE = Domain(1, Season.MAM)


def a_tile(machine: int, stratum: Stratum, probability: float, photo: int = 1) -> Tile:
    return Tile(stratum, Frame(photo, 0, 0, 100, 100, machine, 0.0, 25.0), probability)


def counted(tiles: list[Tile], plants: Callable[[Frame], int | None]) -> list[HandCount]:
    return [HandCount(tile, plants(tile.frame)) for tile in tiles]


def test_the_factor_is_the_difference_estimator() -> None:
    near = Stratum(HERE, far=False, dense=True, frames=10, plants=100.0)
    far = Stratum(HERE, far=True, dense=True, frames=4, plants=50.0)
    counts = [
        HandCount(a_tile(10, near, 0.2), 12),  # stands for five frames: + 10
        HandCount(a_tile(8, near, 0.25), 8),  # 0
        HandCount(a_tile(12, far, 0.5), 10),  # - 4
        HandCount(a_tile(9, far, 1.0), 12),  # + 3
    ]
    (bias,) = biases(counts)

    assert bias.factor == pytest.approx(1 + 9 / 150)
    assert (bias.machine, bias.hand, bias.tiles, bias.photos) == (39, 42, 4, 1)
    # Within strata: 10 and 0, -4 and 3. With two tiles each, 2 · Σ (z - mean)² = (z1 - z2)².
    assert bias.standard_error == pytest.approx(math.sqrt(10**2 + 7**2) / 150)
    half = bias.standard_error * t_quantile(0.95, 2)
    assert (bias.low, bias.high) == (pytest.approx(bias.factor - half), pytest.approx(bias.factor + half))


def test_photos_that_differ_widen_the_interval() -> None:
    stratum = Stratum(HERE, far=False, dense=True, frames=100, plants=1000.0)
    hand = {1: 12, 2: 8, 3: 10}
    counts = [HandCount(a_tile(10, stratum, 0.12, photo), hand[photo]) for photo in (1, 2, 3) * 4]
    (bias,) = biases(counts)
    same = biases([HandCount(count.tile, 12 - 2 * (i % 3)) for i, count in enumerate(counts)])

    assert bias.factor == pytest.approx(1.0)
    # Photos 1 and 2 are off by 4 tiles · 2 plants / 0.12 each: √(3/2 · 2 · 66.7²) / 1000.
    assert bias.standard_error == pytest.approx(math.sqrt(3) * 8 / 0.12 / 1000)
    assert same[0].factor == pytest.approx(1.0)
    assert bias.high - bias.low > 2 * (12 / 11) ** 0.5 * 1.8 * math.sqrt(12 * (8 / 3)) / 0.12 / 1000


@pytest.mark.parametrize("factor", [0.75, 1.0, 1.2])
def test_the_factor_is_right_on_average_over_draws_whatever_the_machine_gets_wrong(factor: float) -> None:
    frames = a_population(seed=1, frames=150)
    truth = true_plants(frames, factor, seed=2)
    truly = sum(truth.values()) / sum(frame.expected for frame in frames)
    population = [(HERE, frame) for frame in frames]
    draws = [
        biases(counted(draw_tiles(population, 20, seed), truth.__getitem__))[0].factor for seed in range(400)
    ]

    # Three standard errors of the mean of so many draws.
    assert np.mean(draws) == pytest.approx(truly, abs=3 * np.std(draws) / math.sqrt(len(draws)))
    assert np.std(draws) < 0.08


@pytest.mark.parametrize(("factor", "unlike"), [(0.8, 0.0), (1.0, 0.0), (1.1, 0.1)])
def test_nine_intervals_of_ten_hold_the_factor_of_all_photos(factor: float, unlike: float) -> None:
    held = []
    for trial in range(300):
        frames = a_population(seed=trial, frames=120)
        truth = true_plants(frames, factor, seed=trial + 1000, unlike=unlike)
        truly = sum(truth.values()) / sum(frame.expected for frame in frames)
        tiles = draw_tiles([(HERE, frame) for frame in frames], 30, seed=trial)
        (bias,) = biases(counted(tiles, truth.__getitem__))
        held.append(bias.low <= truly <= bias.high)

    # The larger of two standard errors is taken, so somewhat more than 90 % is as it should be.
    assert 0.87 <= np.mean(held) <= 0.99


def test_intervals_hold_for_photos_of_the_weeks_to_come() -> None:
    held = []
    for trial in range(200):
        frames = a_population(seed=trial, frames=120, photos=8)
        truth = true_plants(frames, 1.1, seed=trial + 1000, unlike=0.15)
        tiles = draw_tiles([(HERE, frame) for frame in frames], 30, seed=trial)
        (bias,) = biases(counted(tiles, truth.__getitem__))
        held.append(bias.low <= 1.1 <= bias.high)

    assert 0.82 <= np.mean(held) <= 0.98


def test_a_tile_that_was_not_counted_is_taken_to_be_like_its_stratum() -> None:
    stratum = Stratum(HERE, far=False, dense=True, frames=20, plants=200.0)
    tiles = [a_tile(10, stratum, 0.5, photo) for photo in range(12)]
    every = biases([HandCount(tile, 12) for tile in tiles])[0]
    some = biases([HandCount(tile, 12 if i % 2 else None) for i, tile in enumerate(tiles)])[0]

    assert every.factor == some.factor == pytest.approx(1 + 12 * 2 / 0.5 / 200)
    assert (every.tiles, some.tiles) == (12, 6)


def test_a_stratum_nobody_counted_is_taken_to_be_like_the_others() -> None:
    near = Stratum(HERE, far=False, dense=True, frames=20, plants=200.0)
    far = Stratum(HERE, far=True, dense=True, frames=20, plants=100.0)
    counts = [HandCount(a_tile(10, near, 0.5, photo), 11) for photo in range(10)]
    counts += [HandCount(a_tile(5, far, 0.5, photo), None) for photo in range(3)]

    assert biases(counts)[0].factor == pytest.approx(1 + 10 * 1 / 0.5 / 200)


def test_too_few_tiles_are_refused_whoever_insists() -> None:
    stratum = Stratum(HERE, far=False, dense=True, frames=20, plants=200.0)
    nine = biases([HandCount(a_tile(10, stratum, 0.5, photo), 12) for photo in range(9)])[0]
    ten = biases([HandCount(a_tile(10, stratum, 0.5, photo), 12) for photo in range(10)])[0]

    assert nine.refusal == "9 counted tiles are too few, 10 are needed"
    assert ten.refusal is None
    assert ten.doubt is None


@pytest.mark.parametrize(
    ("hand", "photos", "words"),
    [
        (lambda i: 10 + 2 * (-1) ** i, 6, "includes 1"),
        (lambda i: 40, 6, "something is broken"),
        (lambda i: 12, 2, "2 photos"),
        (lambda i: 12, 1, "one photo"),
    ],
)
def test_what_should_not_be_applied_says_why(hand: Callable[[int], int], photos: int, words: str) -> None:
    stratum = Stratum(HERE, far=False, dense=True, frames=24, plants=240.0)
    counts = [HandCount(a_tile(10, stratum, 0.5, i // 2 % photos), hand(i)) for i in range(12)]
    (bias,) = biases(counts)

    assert bias.refusal is None
    assert bias.doubt is not None
    assert words in bias.doubt


@pytest.mark.parametrize("answers", [[], [None, None], [3], [3, None]])
def test_little_or_nothing_counted_gives_no_certainty_and_no_crash(answers: list[int | None]) -> None:
    stratum = Stratum(HERE, far=False, dense=False, frames=4, plants=8.0)
    found = biases([HandCount(a_tile(2, stratum, 0.5), answer) for answer in answers])

    assert len(found) == bool(answers)
    assert all(bias.refusal and bias.standard_error == math.inf for bias in found)


def test_photos_without_a_plant_leave_nothing_to_correct() -> None:
    stratum = Stratum(HERE, far=False, dense=False, frames=12, plants=0.0)
    (bias,) = biases([HandCount(a_tile(0, stratum, 1.0, i), 1) for i in range(12)])

    assert bias.refusal is not None
    assert "nothing to correct" in bias.refusal


def test_products_and_seasons_are_judged_apart() -> None:
    other = Domain(1, Season.JJA)
    strata = [Stratum(domain, far=False, dense=True, frames=12, plants=120.0) for domain in (HERE, other)]
    counts = [HandCount(a_tile(10, s, 1.0, i), 11 + k) for k, s in enumerate(strata) for i in range(12)]

    assert {bias.domain: round(bias.factor, 6) for bias in biases(counts)} == {other: 1.2, HERE: 1.1}


@pytest.mark.parametrize(
    ("freedom", "t"), [(1, 6.3138), (2, 2.9200), (3, 2.3534), (5, 2.0150), (12, 1.7823), (30, 1.6973)]
)
def test_students_t_is_that_of_the_tables(freedom: int, t: float) -> None:
    assert t_quantile(0.95, freedom) == pytest.approx(t, rel=1e-3)


def test_a_correction_moves_the_total_and_its_bounds() -> None:
    added = correct(1000, 940, 1080, factor=1.1, standard_error=0.02)
    unsure = 1.6448536 * 0.02 * 1000

    assert added.plants == 100
    assert added.low == math.floor(1100 - math.hypot(66, unsure))
    assert added.high == math.ceil(1100 + math.hypot(88, unsure))


@given(
    st.integers(0, 5000),
    st.integers(0, 500),
    st.integers(0, 500),
    st.floats(0.3, 3.0),
    st.floats(0, 0.5),
)
def test_a_corrected_count_is_a_count(
    total: int, below: int, above: int, factor: float, error: float
) -> None:
    added = correct(total, max(0, total - below), total + above, factor, error)

    assert 0 <= added.low <= total + added.plants <= added.high
    assert added.plants == round(total * factor) - total


def test_a_factor_of_one_without_doubt_changes_nothing() -> None:
    added = correct(300, 280, 330, factor=1.0, standard_error=0.0)

    assert (added.plants, added.low, added.high) == (0, 280, 330)
