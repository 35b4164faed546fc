"""Tiles of a photo that lie outside every container, and when they are looked at all the same. Pure.

Floor, walls and sky are a part of most photos. But containers are found by a network, too, which may miss
one: where plants stand loose in what was looked at, or where no container was found, nothing is skipped.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.regions import LOOSE, RegionMap, assign
from pipeline.tiles import Tile
from pipeline.types import Boxes

# Of the plants found so far; with more of them in no container, the containers are not to be believed.
MOST_LOOSE = 0.02


def outside(tiles: list[Tile], regions: RegionMap, zoom: float, least: float) -> NDArray[np.bool_]:
    """(n,): which tiles, in pixels of the photo at this zoom, hold a share of containers below `least`.

    None of them where there is no container at all.
    """
    inside = cv2.integral((regions.labels > 0).astype(np.uint8))
    if not inside[-1, -1]:
        return np.zeros(len(tiles), np.bool_)
    rows, columns = regions.labels.shape
    corners = np.array([(t.x, t.y, t.x + t.width, t.y + t.height) for t in tiles], np.float64)
    scaled = np.round(corners * (regions.scale / zoom)).astype(np.intp)
    x1, y1, x2, y2 = np.minimum(scaled, [columns, rows, columns, rows]).T
    held = inside[y2, x2] - inside[y1, x2] - inside[y2, x1] + inside[y1, x1]
    bare: NDArray[np.bool_] = held < least * np.maximum((x2 - x1) * (y2 - y1), 1)
    return bare


def stand_loose(plants: Boxes, regions: RegionMap) -> bool:
    """Whether so many plants, in photo pixels, stand in no container that some container was missed."""
    loose = int((assign(plants, regions) == LOOSE).sum()) if len(plants) else 0
    return loose > MOST_LOOSE * len(plants)
