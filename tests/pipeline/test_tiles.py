from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sahi.slicing import get_slice_bboxes

from pipeline.tiles import (
    EDGE_MARGIN,
    MOST_MORE,
    Tile,
    crosses_edge,
    plan_tiles,
    shown_whole,
    tiles_for_whole_plants,
)

SIDES = st.integers(1, 2000)
TILES = st.integers(48, 700)
OVERLAPS = st.floats(0, 0.6)


@settings(max_examples=40, deadline=None)
@given(SIDES, SIDES, TILES, OVERLAPS)
def test_the_plan_is_that_of_sahi(width: int, height: int, tile: int, overlap: float) -> None:
    theirs = get_slice_bboxes(height, width, tile, tile, False, overlap, overlap)
    ours = [[t.x, t.y, t.x + t.width, t.y + t.height] for t in plan_tiles(width, height, tile, overlap)]
    assert ours == theirs


@settings(max_examples=40, deadline=None)
@given(SIDES, SIDES, TILES, OVERLAPS)
def test_every_pixel_lies_in_a_tile_and_every_tile_in_the_photo(
    width: int, height: int, tile: int, overlap: float
) -> None:
    tiles = plan_tiles(width, height, tile, overlap)
    columns, rows = np.zeros(width, bool), np.zeros(height, bool)
    for x, y, across, down in tiles:
        assert x >= 0 <= y
        assert x + across <= width
        assert y + down <= height
        columns[x : x + across] = rows[y : y + down] = True
    assert columns.all()
    assert rows.all()
    # A full grid of columns and rows, so what covers both sides covers the photo.
    assert len(set(tiles)) == len(tiles) == len({t.x for t in tiles}) * len({t.y for t in tiles})


@settings(max_examples=40, deadline=None)
@given(SIDES, SIDES, TILES, OVERLAPS)
def test_neighbours_share_at_least_the_overlap(width: int, height: int, tile: int, overlap: float) -> None:
    starts = sorted({t.x for t in plan_tiles(width, height, tile, overlap)})
    shared = [a + tile - b for a, b in itertools.pairwise(starts)]
    assert all(pixels >= int(tile * overlap) for pixels in shared)


@pytest.mark.parametrize("extra", [1, 2, 127, 128, 129, 383, 384, 385])
def test_the_strip_left_at_the_edge_gets_a_whole_tile(extra: int) -> None:
    tiles = plan_tiles(512 + extra, 512, 512, 0.25)
    assert tiles[-1] == Tile(extra, 0, 512, 512)


def test_a_photo_smaller_than_the_tile_is_one_tile_of_its_own_size() -> None:
    assert plan_tiles(300, 200, 512, 0.25) == [Tile(0, 0, 300, 200)]
    assert plan_tiles(300, 512, 512, 0.25) == [Tile(0, 0, 300, 512)]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 50, 30, 80], True),  # left
        ([50, 1, 80, 40], True),  # top
        ([70, 40, 99, 60], True),  # right
        ([40, 70, 60, 100], True),  # bottom
        ([EDGE_MARGIN + 0.1, 40, 60, 60], False),
        ([40, 40, 100 - EDGE_MARGIN - 0.1, 60], False),
        ([-5, 40, 20, 60], True),  # a network may say more than the tile holds
    ],
)
def test_a_box_at_an_inner_edge_is_cut(box: list[float], expected: bool) -> None:
    middle = Tile(100, 100, 100, 100)
    assert crosses_edge(np.array([box], np.float32), middle, 300, 300).tolist() == [expected]


def test_no_box_is_cut_where_the_photo_itself_ends() -> None:
    at_all_sides = np.array([[0, 0, 100, 100], [0, 0, 10, 10], [90, 90, 100, 100]], np.float32)
    assert not crosses_edge(at_all_sides, Tile(0, 0, 100, 100), 100, 100).any()
    corner = crosses_edge(at_all_sides, Tile(0, 0, 100, 100), 300, 300)
    assert corner.tolist() == [True, False, True]
    assert crosses_edge(np.empty((0, 4), np.float32), Tile(0, 0, 100, 100), 300, 300).tolist() == []


PLAN = plan_tiles(1000, 600, 256, 0.25)  # tiles start at 0, 192, 384, 576, 744 and 0, 192, 344


def test_a_plant_larger_than_the_overlap_gets_a_tile_of_its_own() -> None:
    halves = np.array([[150, 60, 256, 190], [192, 60, 280, 190]], np.float32)  # of one plant at 150–280
    (more,) = tiles_for_whole_plants(halves, PLAN, 1000, 600)
    plant = np.array([[150, 60, 280, 190]], np.float32)
    assert not shown_whole(plant, PLAN, 1000, 600)[0]
    assert shown_whole(plant, [more], 1000, 600)[0]
    assert (more.width, more.height) == (256, 256)


def test_what_another_tile_showed_whole_needs_no_tile_and_a_corner_may() -> None:
    small = np.array([[200, 60, 256, 120], [192, 60, 250, 120], [580, 200, 640, 260]], np.float32)
    assert tiles_for_whole_plants(small, PLAN, 1000, 600) == []
    # In the photo's own corner nothing is cut, whatever its size.
    assert shown_whole(np.array([[0, 0, 250, 250]], np.float32), PLAN, 1000, 600).tolist() == [True]


def test_larger_plants_come_first_and_the_tiles_have_a_bound() -> None:
    random = np.random.default_rng(3)
    at = random.uniform(0, 400, (400, 2))
    boxes = np.concatenate([at, at + random.uniform(100, 200, (400, 2))], axis=1).astype(np.float32)
    more = tiles_for_whole_plants(boxes, PLAN, 1000, 600)
    assert len(more) <= MOST_MORE * len(PLAN)
    assert more == tiles_for_whole_plants(boxes[::-1], PLAN, 1000, 600)
    for tile in more:
        assert 0 <= tile.x <= 1000 - tile.width
        assert 0 <= tile.y <= 600 - tile.height
    assert tiles_for_whole_plants(boxes[:0], PLAN, 1000, 600) == []


def test_a_plant_as_large_as_a_tile_is_no_endless_matter() -> None:
    giant = np.array([[0, 0, 1000, 600]], np.float32)
    assert len(tiles_for_whole_plants(giant, PLAN, 1000, 600)) == 1
    assert tiles_for_whole_plants(giant, [Tile(0, 0, 1000, 600)], 1000, 600) == []
