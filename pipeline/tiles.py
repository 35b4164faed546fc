"""Cut a large photo into overlapping tiles. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Boxes

# A detector ends the box of a cut plant a little before the edge that cuts it.
EDGE_MARGIN = 2.0


class Tile(NamedTuple):
    """A rectangle of the photo, in pixels."""

    x: int
    y: int
    width: int
    height: int


def plan_tiles(width: int, height: int, tile: int, overlap: float) -> list[Tile]:
    """Cover the photo with tiles of one size; the last of a row moves back inside.

    `overlap` is a share of the tile, below 1. The plan is the one of
    `sahi.slicing.get_slice_bboxes` for the same figures, so results can be compared tile by tile.
    """
    step = tile - int(tile * overlap)
    return [
        Tile(x, y, min(tile, width), min(tile, height))
        for y in _starts(height, tile, step)
        for x in _starts(width, tile, step)
    ]


def _starts(length: int, tile: int, step: int) -> list[int]:
    if length <= tile:
        return [0]
    last = length - tile
    return [*range(0, last, step), last]


def crosses_edge(boxes: Boxes, tile: Tile, width: int, height: int) -> NDArray[np.bool_]:
    """Which boxes, in tile pixels, touch a side of the tile that the photo continues past."""
    x1, y1, x2, y2 = boxes.T
    touches: NDArray[np.bool_] = (
        ((x1 <= EDGE_MARGIN) & (tile.x > 0))
        | ((y1 <= EDGE_MARGIN) & (tile.y > 0))
        | ((x2 >= tile.width - EDGE_MARGIN) & (tile.x + tile.width < width))
        | ((y2 >= tile.height - EDGE_MARGIN) & (tile.y + tile.height < height))
    )
    return touches
