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
        top, left = round(tile.y / CELL), round(tile.x / CELL)
        inside = cells[
            : min(-(-tile.height // CELL), rows - top), : min(-(-tile.width // CELL), columns - left)
        ]
        down = _say(inside.shape[0], tile.y > 0, tile.y + tile.height < height)
        across = _say(inside.shape[1], tile.x > 0, tile.x + tile.width < width)
        say = down[:, None] * across[None]
        window = (slice(top, top + inside.shape[0]), slice(left, left + inside.shape[1]))
        total[window] += say * inside
        weight[window] += say
    return (total / np.maximum(weight, 1e-12)).astype(np.float32)


def _say(cells: int, starts_inside: bool, ends_inside: bool) -> NDArray[np.float64]:
    """(cells,): 1 in the middle, less towards an edge that lies inside the photo, never 0."""
    place = np.arange(cells) + 0.5
    from_start = place if starts_inside else np.full(cells, np.inf)
    from_end = cells - place if ends_inside else np.full(cells, np.inf)
    weights: NDArray[np.float64] = np.minimum(np.minimum(from_start, from_end) / MARGIN, 1.0)
    return weights
