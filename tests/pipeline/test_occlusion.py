"""What stands behind is added by geometry: more the flatter and the closer, none from above."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.estimators.occlusion import (
    FLATTEST,
    FOCAL,
    MOST,
    hidden_share,
    spacing,
    tilt_at,
    visible_share,
)
from pipeline.scale import ScaleFit

WIDTH, HEIGHT = 1600, 1200


def seen_from(pitch: float) -> ScaleFit:
    """Sizes as a camera pitched down by so many degrees shows them on the ground: size ∝ row − horizon."""
    horizon = HEIGHT / 2 - FOCAL * WIDTH * math.tan(math.radians(pitch))
    slope = 50 / (HEIGHT / 2 - horizon)
    return ScaleFit(HEIGHT / 2, 50.0, slope)


@pytest.mark.parametrize("pitch", [20, 35, 50, 70, 85])
@pytest.mark.parametrize("row", [100, 600, 1100])
def test_the_tilt_of_a_row_follows_from_how_sizes_grow(pitch: float, row: int) -> None:
    expected = pitch + math.degrees(math.atan2(row - HEIGHT / 2, FOCAL * WIDTH))
    expected = min(90, max(FLATTEST, expected))
    assert tilt_at(row, seen_from(pitch), (WIDTH, HEIGHT)) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("slope", [0.0, -0.1])
def test_sizes_that_do_not_grow_downwards_mean_a_view_from_above(slope: float) -> None:
    assert tilt_at(300, ScaleFit(600, 50, slope), (WIDTH, HEIGHT)) == 90


def test_from_above_nothing_is_hidden() -> None:
    assert visible_share(90, 1.0) == pytest.approx(1)
    assert hidden_share(90, 1.0) < 0.001


@given(tilt=st.floats(FLATTEST, 90), apart=st.floats(1, 4), steeper=st.floats(0, 20), wider=st.floats(0, 2))
def test_steeper_and_wider_hide_less(tilt: float, apart: float, steeper: float, wider: float) -> None:
    share = hidden_share(tilt, apart)
    assert 0 <= share <= MOST
    assert 0 <= visible_share(tilt, apart) <= 1 + 1e-9
    assert hidden_share(tilt, apart + wider) <= share + 1e-9
    assert hidden_share(min(90.0, tilt + steeper), apart) <= share + 1e-9


@given(
    row=st.floats(-1e4, 1e4),
    at=st.floats(0, 1200),
    size=st.floats(1, 500),
    slope=st.floats(-2, 2),
    cell=st.floats(0.7, 2),
)
def test_no_fit_however_wild_gives_nonsense(
    row: float, at: float, size: float, slope: float, cell: float
) -> None:
    tilt = tilt_at(row, ScaleFit(at, size, slope), (WIDTH, HEIGHT))
    assert FLATTEST <= tilt <= 90 + 1e-9
    apart = spacing(cell, tilt)
    assert 1 <= apart < 10
    assert 0 <= hidden_share(tilt, apart) <= MOST


def test_spacing_is_the_pitch_of_the_lattice() -> None:
    assert spacing(1.44, 90) == pytest.approx(1.2)
