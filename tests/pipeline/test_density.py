"""Maps of tiles become one map of the photo, and no plant is counted twice or lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.density import CELL, stitch
from pipeline.tiles import Tile, plan_tiles


def uniform(tile: Tile, side: int, value: float) -> np.ndarray:
    """What a network of input `side` says of a tile that is the same everywhere; its padding is empty."""
    cells = np.zeros((side // CELL, side // CELL), np.float32)
    cells[: -(-tile.height // CELL), : -(-tile.width // CELL)] = value
    return cells


@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    overlap=st.floats(0, 0.6),
    value=st.floats(0.001, 3),
)
def test_a_uniform_bed_stays_uniform_whatever_the_tiles(
    width: int, height: int, overlap: float, value: float
) -> None:
    tiles = plan_tiles(width, height, 128, overlap)
    whole = stitch([(tile, uniform(tile, 128, value)) for tile in tiles], width, height)
    assert whole.shape == (-(-height // CELL), -(-width // CELL))
    assert whole == pytest.approx(value, rel=1e-5)


@given(order=st.permutations(range(9)))
def test_the_order_of_tiles_changes_nothing(order: list[int]) -> None:
    tiles = plan_tiles(300, 300, 128, 0.25)
    random = np.random.default_rng(1)
    parts = [(tile, random.random((16, 16), np.float32)) for tile in tiles]
    assert len(parts) == len(order)
    expected = stitch(parts, 300, 300)
    assert stitch([parts[i] for i in order], 300, 300) == pytest.approx(expected, rel=1e-5)


def test_the_tile_in_whose_middle_a_cell_lies_is_believed() -> None:
    left, right = Tile(0, 0, 128, 128), Tile(64, 0, 128, 128)
    whole = stitch([(left, uniform(left, 128, 1.0)), (right, uniform(right, 128, 3.0))], 192, 128)
    row = whole[0]
    assert row[:8] == pytest.approx(1.0)
    assert row[16:] == pytest.approx(3.0)
    assert (np.diff(row[8:16]) > 0).all()


def test_what_a_network_says_of_its_padding_is_no_plant() -> None:
    small = Tile(0, 0, 40, 24)
    loud = np.full((16, 16), 5.0, np.float32)
    loud[:3, :5] = 0.1
    assert stitch([(small, loud)], 40, 24).sum() == pytest.approx(1.5)
