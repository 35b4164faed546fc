"""Two looks at one photo become one, and every plant stays one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.boxes import centres
from pipeline.closer import BLOCK, COMFORTABLE, Look, Part, combined, core, too_small
from pipeline.tiles import Tile, plan_tiles
from pipeline.types import Boxes, Detections
from tests.pipeline.scenes import found

CELL = 10.0
GRID = (24, 32)
WIDTH, HEIGHT = GRID[1] * CELL, GRID[0] * CELL


def look_of(detections: Detections, zoom: float = 1.0, density: float | None = None) -> Look:
    """A first look; with `density` as many plants in each cell."""
    cells = None if density is None else np.full(GRID, density, np.float32)
    return Look(detections, np.full(len(detections), zoom, np.float32), CELL, GRID, cells)


def squares(middles: list[tuple[float, float]], side: float) -> Boxes:
    at = np.array(middles, np.float32).reshape(-1, 2)
    return np.concatenate([at - side / 2, at + side / 2], axis=1)


parts = st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=3, max_size=3).map(
    lambda rows: Part(np.array(rows).repeat(8, axis=0).repeat(8, axis=1), CELL)
)


@st.composite
def two_looks(draw: st.DrawFn) -> tuple[Look, Look]:
    """A bed of which both looks see every plant, each a little off; sizes and steps do not fit the cells."""
    side, step = draw(st.sampled_from([(9.0, 11.0), (14.0, 15.0), (26.0, 29.0)]))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    off = draw(st.floats(0, step))
    middles = [(x, y) for y in np.arange(off, HEIGHT, step) for x in np.arange(off, WIDTH, step)]
    boxes = squares(middles, side)
    off_first, off_closer = (random.uniform(-0.12, 0.12, (len(boxes), 2)) * side for _ in range(2))
    return (
        look_of(found(boxes + np.tile(off_first, 2).astype(np.float32), 0.6)),
        look_of(found(boxes + np.tile(off_closer, 2).astype(np.float32), 0.9), zoom=2.0),
    )


@given(two_looks(), parts)
@settings(max_examples=60, deadline=None)
def test_every_plant_that_both_looks_see_counts_once_wherever_the_border_runs(
    looks: tuple[Look, Look], part: Part
) -> None:
    first, closer = looks
    both = combined(first, closer, part)
    assert len(both.found) == len(both.zooms) == len(first.found)
    # One box for each plant: whichever look it is from, it lies nearest to that plant of the first look.
    apart = np.linalg.norm(
        centres(both.found.boxes)[:, None] - centres(first.found.boxes)[None], axis=2
    ).argmin(axis=1)
    assert sorted(apart.tolist()) == list(range(len(first.found)))
    # Well inside every plant is from the closer look, well outside from the first one.
    deep = ~part.border_near(both.found.boxes)
    inside = part.holds(centres(both.found.boxes))
    assert (both.zooms[deep & inside] == 2.0).all()
    assert (both.zooms[deep & ~inside] == 1.0).all()


@given(two_looks(), parts, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_boxes_never_matters(looks: tuple[Look, Look], part: Part, random: object) -> None:
    first, closer = looks
    order = np.arange(len(first.found))
    random.shuffle(order)  # type: ignore[attr-defined]
    one = combined(first, closer, part).found.boxes
    other = combined(
        replace(first, found=first.found.take(order)), replace(closer, found=closer.found.take(order)), part
    ).found.boxes
    assert sorted(map(tuple, one.tolist())) == sorted(map(tuple, other.tolist()))


UPPER = Part(np.arange(GRID[0])[:, None].repeat(GRID[1], axis=1) < 12, CELL)  # y < 120


def test_inside_the_closer_look_decides_and_outside_the_first_one() -> None:
    first = look_of(found(squares([(50, 50), (50, 200)], 10)))
    closer = look_of(found(squares([(100, 50), (120, 50), (100, 200)], 10)), zoom=2.0)
    both = combined(first, closer, UPPER)
    assert centres(both.found.boxes).tolist() == [[50, 200], [100, 50], [120, 50]]
    assert both.zooms.tolist() == [1, 2, 2]


@pytest.mark.parametrize(("y_first", "y_closer"), [(119, 121), (121, 119), (118, 119), (121, 122)])
def test_a_plant_on_the_border_counts_once_whichever_side_each_look_puts_it_on(
    y_first: float, y_closer: float
) -> None:
    first, closer = look_of(found(squares([(50, y_first)], 10))), found(squares([(50, y_closer)], 10))
    both = combined(first, look_of(closer, zoom=2.0), UPPER)
    assert both.zooms.tolist() == [2.0 if y_first < 120 else 1.0]


def test_a_plant_that_only_the_closer_looks_tile_cut_is_taken_whole() -> None:
    first = look_of(found(squares([(50, 118)], 20)))
    cut = look_of(found(squares([(50, 116)], 16), cut=True), zoom=2.0)
    assert combined(first, cut, UPPER).zooms.tolist() == [1.0]


def test_the_map_of_the_closer_look_fills_the_part_and_only_it() -> None:
    first = look_of(Detections.empty(), density=1.0)
    finer = Look(
        Detections.empty(), np.empty(0, np.float32), CELL / 2.5, (60, 80), np.full((60, 80), 0.4, np.float32)
    )
    both = combined(first, finer, UPPER)
    assert both.density is not None
    assert both.density.shape == GRID
    assert both.density[12:].tolist() == [[1.0] * GRID[1]] * 12
    # 2.5 × 2.5 finer cells in one: whole ones go to the cell that their middle lies in, none is lost.
    assert both.density[:12].sum() == pytest.approx(0.4 * 60 / 2 * 80)
    assert np.unique(both.density[:12].round(4)) == pytest.approx([1.6, 2.4, 3.6])
    assert combined(first, replace(finer, density=None), UPPER).density is first.density


def rows_of(sides: list[float], zoom: float = 1.0) -> Look:
    """One dense strip of plants per side, 128 photo pixels high."""
    boxes = [
        [x, top * 128 + y, x + side, top * 128 + y + side]
        for top, side in enumerate(sides)
        for y in np.arange(2, 126 - side, side + 3)
        for x in np.arange(2, 1020 - side, side + 3)
    ]
    grid = (len(sides) * BLOCK, 1024 // 8)
    return Look(found(boxes), np.full(len(boxes), zoom, np.float32), 8.0, grid)


def test_only_the_blocks_with_small_plants_are_looked_at_again() -> None:
    part, closer = too_small(rows_of([10, 12, 30, 60]), 0.5) or pytest.fail("nothing was too small")
    assert part.cells.all(axis=1).tolist() == [True] * 2 * BLOCK + [False] * 2 * BLOCK
    assert not part.cells[2 * BLOCK :].any()
    assert closer == pytest.approx(COMFORTABLE / 10)  # most are of the farthest strip
    assert too_small(rows_of([30, 30, 60]), 0.5) is None
    assert too_small(rows_of([10, 10], zoom=2.0), 0.5) is None  # seen twice as large
    assert too_small(rows_of([10, 12], zoom=1.0), 0.95) is None  # no sure plant


def test_a_few_plants_and_none_at_all_say_nothing() -> None:
    few = look_of(found(squares([(50 + 12 * n, 50) for n in range(19)], 8)))
    assert too_small(replace(few, found=few.found.take(np.arange(4)), zooms=few.zooms[:4]), 0.5) is None
    assert too_small(look_of(Detections.empty()), 0.5) is None


@given(st.integers(200, 900), st.integers(200, 900), st.sampled_from([0.0, 0.25, 0.4]))
@settings(max_examples=30, deadline=None)
def test_the_middles_of_the_tiles_leave_nothing_out(width: int, height: int, overlap: float) -> None:
    side = 150
    seen = np.zeros((height, width), np.bool_)
    for tile in plan_tiles(width, height, side, overlap):
        middle = core(tile, side - int(side * overlap), width, height)
        assert tile.x <= middle.x
        assert middle.x + middle.width <= tile.x + tile.width
        seen[middle.y : middle.y + middle.height, middle.x : middle.x + middle.width] = True
    assert seen.all()


def test_a_tile_meets_the_part_that_lies_in_it() -> None:
    assert UPPER.meets(Tile(0, 110, 50, 50))
    assert not UPPER.meets(Tile(0, 120, 50, 50))
    assert UPPER.area == 120 * WIDTH
