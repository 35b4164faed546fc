from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pipeline.scale import ENOUGH_FOR_A_SLOPE, LIMITS, fit_scale

Rows = NDArray[np.float32]


def pots(count: int = 200, seed: int = 0) -> tuple[Rows, Rows]:
    """Rows over a 2000-pixel bed, and sizes that grow from 40 to 80 pixels along it, with scatter."""
    random = np.random.default_rng(seed)
    rows = random.uniform(0, 2000, count).astype(np.float32)
    sizes = (40 + rows / 50) * random.normal(1, 0.05, count)
    return rows, sizes.astype(np.float32)


def test_a_line_is_found() -> None:
    fit = fit_scale(*pots())
    assert fit is not None
    assert fit.at(np.array([0, 1000, 2000], np.float32)).tolist() == pytest.approx([40, 60, 80], rel=0.05)


@pytest.mark.parametrize("wrong", [4.0, 2.0, 0.3])
def test_wrong_sizes_among_a_third_do_not_turn_it(wrong: float) -> None:
    rows, sizes = pots()
    sizes[np.random.default_rng(1).permutation(200)[:60]] *= wrong
    fit = fit_scale(rows, sizes)
    assert fit is not None
    assert fit.at(np.array([0, 1000, 2000], np.float32)).tolist() == pytest.approx([40, 60, 80], rel=0.15)


def test_few_plants_give_one_size() -> None:
    rows, sizes = pots(ENOUGH_FOR_A_SLOPE - 1)
    fit = fit_scale(rows, sizes)
    assert fit is not None
    assert fit.slope == 0
    assert fit.size == pytest.approx(float(np.median(sizes)))


def test_plants_in_one_row_give_one_size() -> None:
    rows = np.full(50, 700, np.float32) + np.arange(50, dtype=np.float32) / 10
    sizes = np.linspace(40, 60, 50, dtype=np.float32)  # would be a steep line over 5 pixels
    fit = fit_scale(rows, sizes)
    assert fit is not None
    assert fit.slope == 0
    assert fit.at(0).item() == fit.at(5000).item() == 50


def test_no_plant_gives_no_scale() -> None:
    none = np.empty(0, np.float32)
    assert fit_scale(none, none) is None


def test_far_from_the_plants_the_line_is_bounded() -> None:
    fit = fit_scale(*pots())
    assert fit is not None
    assert fit.at(1e6).item() == pytest.approx(LIMITS[1] * fit.size)
    assert fit.at(-1e6).item() == pytest.approx(LIMITS[0] * fit.size)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 100))
def test_twice_the_pixels_give_twice_the_scale(count: int, seed: int) -> None:
    rows, sizes = pots(count, seed)
    one, two = fit_scale(rows, sizes), fit_scale(rows * 2, sizes * 2)
    assert one is not None
    assert two is not None
    # A factor of two is exact in binary.
    assert (two.row, two.size, two.slope) == (one.row * 2, one.size * 2, one.slope)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(
            arrays(np.float32, n, elements=st.floats(0, 8192, width=32)),
            arrays(np.float32, n, elements=st.floats(0, 4096, width=32)),
        )
    ),
    st.floats(-10_000, 20_000, width=32),
)
def test_no_size_is_ever_zero_or_below(plants: tuple[Rows, Rows], y: float) -> None:
    rows, sizes = plants
    fit = fit_scale(rows, sizes)
    if fit is None:
        assert not (sizes > 0).any()
    else:
        assert np.isfinite(fit.at(y))
        assert fit.at(y) > 0
