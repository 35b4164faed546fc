"""Cut a large photo into overlapping tiles. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Boxes

# A detector ends the box of a cut plant a little before the edge that cuts it.
EDGE_MARGIN = 2.0
# Only where almost every plant is larger than the overlap; close-ups at the default overlap need half of one.
MOST_MORE = 3


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


def crosses_edge(
    boxes: Boxes, tile: Tile, width: int, height: int, margin: float = EDGE_MARGIN
) -> NDArray[np.bool_]:
    """Which boxes, in tile pixels, touch a side of the tile that the photo continues past."""
    x1, y1, x2, y2 = boxes.T
    touches: NDArray[np.bool_] = (
        ((x1 <= margin) & (tile.x > 0))
        | ((y1 <= margin) & (tile.y > 0))
        | ((x2 >= tile.width - margin) & (tile.x + tile.width < width))
        | ((y2 >= tile.height - margin) & (tile.y + tile.height < height))
    )
    return touches


def tiles_for_whole_plants(
    cut: Boxes, tiles: list[Tile], width: int, height: int, margin: float = EDGE_MARGIN
) -> list[Tile]:
    """More tiles for plants larger than the overlap, which no tile of the plan can show whole.

    `cut` (n, 4) are the boxes, in photo pixels, that tile edges cut. One that lies inside another tile was
    seen whole there, or is no plant. Around each other one comes a tile, the largest first; there are
    never more than `MOST_MORE` new tiles for an old one.
    """
    missing = cut[~shown_whole(cut, tiles, width, height, margin)]
    areas = np.prod(missing[:, 2:] - missing[:, :2], axis=1)
    more: list[Tile] = []
    for box in missing[np.lexsort((*missing.T[::-1], -areas))]:
        if len(more) == MOST_MORE * len(tiles):
            break
        # The plant goes on where the tile cut it.
        reach = (box[2:] - box[:2]) / 4
        grown = np.concatenate([box[:2] - reach, box[2:] + reach]).clip(0, [width, height] * 2)
        if not shown_whole(grown[None].astype(np.float32), more, width, height, margin).any():
            more.append(_around(box, tiles[0], width, height))
    return more


def shown_whole(
    boxes: Boxes, tiles: list[Tile], width: int, height: int, margin: float = EDGE_MARGIN
) -> NDArray[np.bool_]:
    """(n,): which boxes, in photo pixels, lie in a tile and touch none of its edges inside the photo."""
    whole = np.zeros(len(boxes), np.bool_)
    for tile in tiles:
        in_tile = boxes - np.array([tile.x, tile.y, tile.x, tile.y], np.float32)
        inside = (in_tile >= 0).all(axis=1) & (in_tile <= (tile.width, tile.height) * 2).all(axis=1)
        whole |= inside & ~crosses_edge(in_tile, tile, width, height, margin)
    return whole


def _around(box: NDArray[np.float32], like: Tile, width: int, height: int) -> Tile:
    """The tile, as large as another, with a box in its middle, moved inside the photo."""
    x, y = ((box[:2] + box[2:]) / 2).tolist()
    left = min(max(0, round(x - like.width / 2)), width - like.width)
    top = min(max(0, round(y - like.height / 2)), height - like.height)
    return Tile(left, top, like.width, like.height)
