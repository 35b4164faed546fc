"""Look at a photo for plants: at the right size, tile by tile, each plant once.

A network knows plants of the sizes that it was trained on. A photo from twice as many pixels shows the
same bed with plants twice as large, so photos are first brought to one size. Where plants turn out
smaller than the network's comfort, the photo is looked at again, closer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import sizes
from pipeline.config import PipelineConfig
from pipeline.density import CELL, Cells, stitch
from pipeline.detect import Detector
from pipeline.merge import merge
from pipeline.things import plants_and_pots
from pipeline.tiles import Tile, crosses_edge, plan_tiles
from pipeline.types import Detections, Pixels

BATCH = 16
# Beyond this, enlarging shows nothing that is not there. On validation photos 1.3 was best of 0.7 to 2.
MOST_ZOOM = 1.3
# Median plant sizes in pixels as the network sees them: look again below the first, aiming at the second.
TOO_SMALL, COMFORTABLE = 18.0, 36.0
WORTH_ANOTHER_LOOK = 1.25
# Fewer plants than this say nothing of their size.
ENOUGH_PLANTS = 20
LARGEST_VIEW = 60e6  # pixels of an enlarged photo, to bound the memory


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Plants of one photo in photo pixels, merged, dead ones included, and the zoom (seen pixels per photo
    pixel). `pots` are the empty pots.

    `density` (rows, columns) are the plants per cell of `density_cell` photo pixels, from a network that
    tells them.
    """

    found: Detections
    zoom: float
    density: Cells | None = None
    density_cell: float = 0.0
    pots: Detections = field(default_factory=Detections.empty)

    @property
    def apparent_sizes(self) -> NDArray[np.float32]:
        """(n,): side in pixels as the network saw it."""
        return sizes(self.found.boxes) * np.float32(self.zoom)


def look(pixels: Pixels, detector: Detector, config: PipelineConfig) -> View:
    """Every plant of the photo, sure ones and doubtful ones, and the empty pots."""
    height, width = pixels.shape[:2]
    zoom = first_zoom(width, height, config)
    view = _look_at(pixels, zoom, detector, config)
    closer = min(_closer(view, detector.min_score), MOST_ZOOM, (LARGEST_VIEW / (height * width)) ** 0.5)
    if config.view_side and closer > WORTH_ANOTHER_LOOK * zoom:
        return _look_at(pixels, closer, detector, config)
    return view


def first_zoom(width: int, height: int, config: PipelineConfig) -> float:
    """Seen pixels per photo pixel at the first look."""
    return min(MOST_ZOOM, config.view_side / max(height, width)) if config.view_side else 1.0


def _closer(view: View, min_score: float) -> float:
    """The zoom at which the plants would be of a comfortable size; the present one if they are."""
    seen = view.apparent_sizes[view.found.scores >= min_score]
    if len(seen) < ENOUGH_PLANTS or np.median(seen) >= TOO_SMALL:
        return view.zoom
    return view.zoom * COMFORTABLE / float(np.median(seen))


def _look_at(pixels: Pixels, zoom: float, detector: Detector, config: PipelineConfig) -> View:
    seen, zoom = zoomed(pixels, zoom)
    raw, density = detect_tiled(seen, detector, config)
    merged = merge(raw, config, detector.min_score)
    merged = replace(merged, boxes=merged.boxes / np.float32(zoom))
    plants, pots = plants_and_pots(merged, detector.min_score)
    return View(plants, zoom, density, CELL / zoom, pots)


def zoomed(pixels: Pixels, zoom: float) -> tuple[Pixels, float]:
    """The photo at about this zoom, and the true zoom after rounding to whole pixels."""
    height, width = pixels.shape[:2]
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    if size == (width, height):
        return pixels, 1.0
    way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    seen = cv2.resize(pixels, size, interpolation=way).astype(np.uint8, copy=False)
    return seen, size[0] / width


def detect_tiled(
    pixels: Pixels, detector: Detector, config: PipelineConfig
) -> tuple[Detections, Cells | None]:
    """Every box of every tile, in pixels of the whole, not yet merged, and the tiles' densities as one."""
    height, width = pixels.shape[:2]
    tiles = plan_tiles(width, height, config.tile, config.overlap)
    parts, maps = [], []
    for start in range(0, len(tiles), BATCH):
        batch = tiles[start : start + BATCH]
        crops = [pixels[t.y : t.y + t.height, t.x : t.x + t.width] for t in batch]
        found = detector(crops)
        parts += [_placed(part, t, width, height) for t, part in zip(batch, found, strict=True)]
        maps += [(t, part.density) for t, part in zip(batch, found, strict=True) if part.density is not None]
    return Detections.concat(parts), stitch(maps, width, height) if maps else None


def _placed(part: Detections, tile: Tile, width: int, height: int) -> Detections:
    """A tile's boxes in pixels of the whole, clipped to the tile, with the cut ones marked."""
    cut = crosses_edge(part.boxes, tile, width, height)
    limits = np.array([tile.width, tile.height, tile.width, tile.height], np.float32)
    clipped = np.clip(part.boxes, 0, limits)
    real = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    return replace(part, boxes=clipped, cut=cut).take(real).shift(tile.x, tile.y)
