"""Tiles are drawn with known chances, from every kind of frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.records import Domain, Frame, Season
from pipeline.audit.sample import allocate, draw_tiles, inclusion_probabilities, systematic
from tests.pipeline.audits import a_population

HERE = Domain(1, Season.MAM)


@pytest.mark.parametrize(
    ("sizes", "number", "chances"),
    [
        ([1, 1, 1, 1], 2, [0.5, 0.5, 0.5, 0.5]),
        ([1, 2, 3, 4], 2, [0.2, 0.4, 0.6, 0.8]),
        ([1, 1, 8], 2, [0.5, 0.5, 1.0]),  # 16/10 is certain, the rest share one tile
        ([1, 1, 8, 30], 3, [0.5, 0.5, 1.0, 1.0]),
        ([3, 5], 2, [1.0, 1.0]),
        ([3, 5], 7, [1.0, 1.0]),
    ],
)
def test_chances_follow_the_size_and_none_is_more_than_certain(
    sizes: list[float], number: int, chances: list[float]
) -> None:
    np.testing.assert_allclose(inclusion_probabilities(np.array(sizes, float), number), chances)


@given(st.lists(st.floats(0.5, 30), min_size=1, max_size=60), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_a_draw_has_exactly_the_number_asked_for_and_no_frame_twice(
    sizes: list[float], number: int, seed: int
) -> None:
    number = min(number, len(sizes))
    chances = inclusion_probabilities(np.array(sizes), number)
    drawn = systematic(chances, np.random.default_rng(seed))

    assert chances.sum() == pytest.approx(number)
    assert ((chances > 0) & (chances <= 1)).all()
    assert len(drawn) == len(set(drawn)) == number


def test_every_frame_is_drawn_as_often_as_its_chance_says() -> None:
    chances = inclusion_probabilities(np.array([1.0, 2, 2, 3, 5, 7, 40]), 3)
    rng = np.random.default_rng(11)
    draws = 4000
    drawn = np.bincount([i for _ in range(draws) for i in systematic(chances, rng)], minlength=7)

    # Four standard deviations of a share of so many draws.
    np.testing.assert_allclose(drawn / draws, chances, atol=4 * np.sqrt(0.25 / draws))


@given(st.lists(st.tuples(st.integers(1, 40), st.floats(1, 500)), min_size=1, max_size=4), st.integers(1, 80))
def test_every_stratum_gets_tiles_and_none_more_than_it_has(
    strata: list[tuple[int, float]], tiles: int
) -> None:
    given_ = allocate(strata, tiles)
    least = [min(2, frames) for frames, _ in strata]

    assert all(low <= got <= frames for low, got, (frames, _) in zip(least, given_, strata, strict=True))
    assert sum(given_) == max(sum(least), min(tiles, sum(frames for frames, _ in strata)))


def test_tiles_beyond_the_least_go_where_the_plants_are() -> None:
    assert allocate([(100, 900.0), (100, 100.0), (100, 1000.0)], 20) == [9, 2, 9]


def test_near_and_far_dense_and_sparse_all_occur_and_every_domain_has_its_share() -> None:
    other = Domain(2, Season.MAM)
    frames = a_population(seed=3, frames=200)
    tiles = draw_tiles([(HERE, f) for f in frames] + [(other, f) for f in frames], 30, seed=5)

    for domain in (HERE, other):
        own = [tile for tile in tiles if tile.stratum.domain == domain]
        assert len(own) == 15
        assert {(tile.stratum.far, tile.stratum.dense) for tile in own} == {
            (far, dense) for far in (True, False) for dense in (True, False)
        }
    assert len({(tile.stratum.domain, tile.frame) for tile in tiles}) == 30


def test_the_strata_hold_all_frames_and_all_plants() -> None:
    frames = a_population(seed=4, frames=150)
    strata = {tile.stratum for tile in draw_tiles([(HERE, frame) for frame in frames], 30, seed=6)}

    assert sum(stratum.frames for stratum in strata) == 150
    assert sum(stratum.plants for stratum in strata) == pytest.approx(sum(f.expected for f in frames))


def test_the_same_seed_draws_the_same_tiles_and_another_others() -> None:
    population = [(HERE, frame) for frame in a_population(seed=5, frames=120)]

    assert draw_tiles(population, 30, seed=1) == draw_tiles(population, 30, seed=1)
    assert draw_tiles(population, 30, seed=1) != draw_tiles(population, 30, seed=2)


def test_where_there_are_fewer_frames_than_tiles_all_are_drawn_for_certain() -> None:
    frames = a_population(seed=6, frames=12)
    tiles = draw_tiles([(HERE, frame) for frame in frames], 30, seed=1)

    assert {tile.frame for tile in tiles} == set(frames)
    assert {tile.probability for tile in tiles} == {1.0}


def test_a_frame_in_which_nothing_was_seen_has_a_chance() -> None:
    empty = Frame(1, 0, 0, 100, 100, seen=0, hidden=0.0, plant_px=20.0)
    full = [Frame(1, 100 * i, 0, 100 * i + 100, 100, 15, 0.0, 20.0) for i in range(1, 30)]
    drawn = [
        empty in [tile.frame for tile in draw_tiles([(HERE, f) for f in (empty, *full)], 10, seed)]
        for seed in range(300)
    ]

    assert any(drawn)
    assert not all(drawn)
