"""Where a photo needs a closer look, and how two looks become one. Pure.

Under a tilted camera the far rows of a bed are small. Where plants look smaller than a network likes, only
that part of the photo is looked at again, at a finer scale. Inside the part the closer look replaces the
first one. At its border both looks see the same plants, hardly ever in exactly the same place: there boxes
of the two are paired, and of each pair one stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import centres, shares, sizes
from pipeline.density import Cells
from pipeline.tiles import Tile
from pipeline.types import Boxes, Detections

# Cells of the density map per side of a block; a part to be looked at again is made of blocks.
BLOCK = 16
# Median plant sizes in pixels as the network sees them: look again below the first, aiming at the second.
TOO_SMALL, COMFORTABLE = 16.0, 36.0
# A closer look that enlarges less than this is not worth its time.
WORTH_ANOTHER_LOOK = 1.25
# Fewer plants than this say nothing of the sizes in their block, and of those around it.
ENOUGH_IN_A_BLOCK, ENOUGH_AROUND = 5, 20
# Boxes of two looks that share this much (intersection over union) are one plant: small ones agree badly.
SAME_PLANT = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one look at a photo found, merged, in photo pixels: plants, dead or alive, and empty pots."""

    found: Detections
    zooms: NDArray[np.float32]  # (n,): pixels that the network saw per photo pixel, box by box
    cell: float  # photo pixels per side of a cell, of which `grid` rows and columns cover the photo
    grid: tuple[int, int]
    density: Cells | None = None  # plants per cell


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some cells of a photo, True in `cells` (rows, columns), each `side` photo pixels wide and high."""

    cells: NDArray[np.bool_]
    side: float

    @property
    def area(self) -> float:
        """Photo pixels."""
        return float(self.cells.sum()) * self.side**2

    def holds(self, points: NDArray[np.float32]) -> NDArray[np.bool_]:
        """(n,) for points (n, 2) in photo pixels."""
        column, row = (np.floor(points / np.float32(self.side)).astype(np.intp)).T
        rows, columns = self.cells.shape
        held: NDArray[np.bool_] = self.cells[row.clip(0, rows - 1), column.clip(0, columns - 1)]
        return held

    def meets(self, tile: Tile) -> bool:
        """Whether any of it lies in the tile, which is in photo pixels."""
        left, top = int(tile.x / self.side), int(tile.y / self.side)
        right, bottom = -(-(tile.x + tile.width) // self.side), -(-(tile.y + tile.height) // self.side)
        return bool(self.cells[top : int(bottom), left : int(right)].any())

    def border_near(self, boxes: Boxes) -> NDArray[np.bool_]:
        """(n,): which boxes, made twice as large, lie partly inside and partly outside."""
        rows, columns = self.cells.shape
        middles, reach = centres(boxes), boxes[:, 2:] - boxes[:, :2]
        low = np.floor((middles - reach) / self.side).astype(np.intp)
        high = np.ceil((middles + reach) / self.side).astype(np.intp)
        left, right = low[:, 0].clip(0, columns), high[:, 0].clip(0, columns)
        top, bottom = low[:, 1].clip(0, rows), high[:, 1].clip(0, rows)
        held = np.pad(self.cells.astype(np.intp).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        inside = held[bottom, right] - held[top, right] - held[bottom, left] + held[top, left]
        near: NDArray[np.bool_] = (inside > 0) & (inside < (bottom - top) * (right - left))
        return near


def too_small(look: Look, sure_from: float) -> tuple[Part, float] | None:
    """Where plants look too small, and how many times closer they would be comfortable to see; None where
    there are no such plants."""
    sure = look.found.scores >= sure_from
    apparent = (sizes(look.found.boxes) * look.zooms)[sure]
    column, row = np.floor(centres(look.found.boxes) / (BLOCK * look.cell)).astype(np.intp).T
    small = np.zeros(tuple(-(-cells // BLOCK) for cells in look.grid), np.bool_)
    for y, x in np.ndindex(*small.shape):
        here, in_rows = (row == y) & (column == x), np.abs(row - y) <= 1
        around = in_rows & (np.abs(column - x) <= 1)
        if around.any():  # A closer look where there is nothing at all would be in vain.
            small[y, x] = _typical(apparent, (here[sure], around[sure], in_rows[sure])) < TOO_SMALL
    if not small.any():
        return None
    cells = small.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)[: look.grid[0], : look.grid[1]]
    part = Part(cells, look.cell)
    inside = apparent[part.holds(centres(look.found.boxes)[sure])]
    typical = float(np.median(inside)) if len(inside) else TOO_SMALL
    return part, COMFORTABLE / max(1.0, typical)


def _typical(apparent: NDArray[np.float32], groups: tuple[NDArray[np.bool_], ...]) -> float:
    """The median size in the first group with enough plants, else of all; infinite where these are few. The
    first group is a block."""
    for number, some in enumerate((*groups, np.ones_like(apparent, np.bool_))):
        if some.sum() >= (ENOUGH_AROUND if number else ENOUGH_IN_A_BLOCK):
            return float(np.median(apparent[some]))
    return np.inf


def core(tile: Tile, step: int, width: int, height: int) -> Tile:
    """The middle of a tile, which no other tile of a plan with this step shows better."""
    margin = ((tile.width - step) // 2, (tile.height - step) // 2)
    left = tile.x + margin[0] * (tile.x > 0)
    top = tile.y + margin[1] * (tile.y > 0)
    right = tile.x + tile.width - margin[0] * (tile.x + tile.width < width)
    bottom = tile.y + tile.height - margin[1] * (tile.y + tile.height < height)
    return Tile(left, top, right - left, bottom - top)


def combined(first: Look, closer: Look, part: Part) -> Look:
    """The closer look inside the part, the first one outside, and each plant on the border once."""
    kept, kept_closer = ~part.holds(centres(first.found.boxes)), part.holds(centres(closer.found.boxes))
    at = np.flatnonzero(part.border_near(first.found.boxes))
    at_closer = np.flatnonzero(part.border_near(closer.found.boxes))
    for i, j in _pairs(first.found.take(at), closer.found.take(at_closer)):
        one, other = at[i], at_closer[j]
        # Inside, and where it is whole, the closer look knows better.
        kept_closer[other] = not kept[one] and (not closer.found.cut[other] or first.found.cut[one])
        kept[one] = not kept_closer[other]
    return Look(
        Detections.concat([first.found.take(kept), closer.found.take(kept_closer)]),
        np.concatenate([first.zooms[kept], closer.zooms[kept_closer]]),
        first.cell,
        first.grid,
        _summed(first, closer, part),
    )


def _pairs(first: Detections, closer: Detections) -> list[tuple[int, int]]:
    """Which boxes of two looks are one plant, those that share most first, whatever their order."""
    shared = shares(first.boxes, closer.boxes, "IOU")
    one, other = np.nonzero(shared >= SAME_PLANT)
    order = np.lexsort((*closer.boxes[other].T, *first.boxes[one].T, -shared[one, other]))
    free, free_closer = np.ones(len(first), np.bool_), np.ones(len(closer), np.bool_)
    pairs = []
    for i, j in zip(one[order].tolist(), other[order].tolist(), strict=True):
        if free[i] and free_closer[j]:
            free[i] = free_closer[j] = False
            pairs.append((i, j))
    return pairs


def _summed(first: Look, closer: Look, part: Part) -> Cells | None:
    """The first look's map outside the part; inside, the plants of the closer look's finer cells, each in the
    cell that its middle lies in."""
    if first.density is None or closer.density is None:
        return first.density
    rows, columns = closer.density.shape
    row, column = (
        ((np.arange(many) + 0.5) * closer.cell / first.cell).astype(np.intp).clip(0, most - 1)
        for many, most in zip((rows, columns), first.density.shape, strict=True)
    )
    summed = np.zeros(first.density.shape, np.float64)
    np.add.at(summed, (row[:, None], column[None]), closer.density)
    return np.where(part.cells, summed, first.density).astype(np.float32)
