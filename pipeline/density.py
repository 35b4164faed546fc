"""Plants per cell of a photo, hidden ones included, from a network with such an output. Pure.

Crowd counters learn the number of heads in each cell of a picture instead of outlining every head
(density-map regression). A detector with that second output sees a photo tile by tile; here the tiles'
maps become one. Near the edge of a tile a network sees only half of the neighbourhood, so where tiles
overlap, the one in whose middle a cell lies has more to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.tiles import Tile

Cells = NDArray[np.float32]  # (rows, columns): plants in each cell

CELL = 8  # pixels of the network's input per side of a cell
MARGIN = 8  # cells from an inner tile edge within which a tile's say grows from nothing to all


def stitch(parts: Sequence[tuple[Tile, Cells]], width: int, height: int) -> Cells:
    """One map for a photo of `width` × `height` seen pixels from the maps of its tiles.

    Tiles start at any pixel and cells at multiples of `CELL`: a tile's map may be off by half a cell,
    which moves plants by less than their size and loses none.
    """
    rows, columns = -(-height // CELL), -(-width // CELL)
    total, weight = np.zeros((rows, columns)), np.zeros((rows, columns))
    for tile, cells in parts:
        down, across = _span(tile.y, tile.height, height), _span(tile.x, tile.width, width)
        inside = cells[: down.stop - down.start, : across.stop - across.start]
        say = _say(tile.y, tile.height, height)[:, None] * _say(tile.x, tile.width, width)
        total[down, across] += say * inside
        weight[down, across] += say
    return (total / np.maximum(weight, 1e-12)).astype(np.float32)


def _span(start: int, length: int, whole: int) -> slice:
    """The cells of a tile in those of the photo; a tile that ends with the photo ends with its last cell."""
    count = -(-length // CELL)
    first = -(-whole // CELL) - count if start + length >= whole else round(start / CELL)
    return slice(first, first + count)


def _say(start: int, length: int, whole: int) -> NDArray[np.float64]:
    """(cells,): 1 in the middle of a tile, less towards an edge inside the photo, never 0."""
    count = -(-length // CELL)
    place = np.arange(count) + 0.5
    from_start = place if start > 0 else np.full(count, np.inf)
    from_end = count - place if start + length < whole else np.full(count, np.inf)
    weights: NDArray[np.float64] = np.minimum(np.minimum(from_start, from_end) / MARGIN, 1.0)
    return weights
