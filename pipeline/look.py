"""Look at a photo for plants: at the right size, tile by tile, each plant once.

A network knows plants of the sizes that it was trained on. A photo from twice as many pixels shows the
same bed with plants twice as large, so photos are first brought to one size. Where plants turn out
smaller than the network's comfort, that part of the photo is looked at again, closer; where they turn out
larger than the overlap of the tiles, tiles are added that show them whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import sizes
from pipeline.closer import WORTH_ANOTHER_LOOK, Look, Part, combined, core, too_small
from pipeline.config import PipelineConfig
from pipeline.density import CELL, Cells, stitch
from pipeline.detect import Detector
from pipeline.merge import merge
from pipeline.tiles import EDGE_MARGIN, Tile, crosses_edge, plan_tiles, shown_whole, tiles_for_whole_plants
from pipeline.types import Detections, Pixels, Thing

BATCH = 16
ROUNDS = 2  # of more tiles for large plants: one around what was cut may cut the plant again, further out
# Beyond these, enlarging shows nothing that is not there. For whole photos 1.3 was best of 0.7 to 2 on
# validation photos; for parts with small plants 2.0 was best of 1.3 to 2.6 on five training photos.
MOST_ZOOM, MOST_ZOOM_OF_A_PART = 1.3, 2.0
LARGEST_VIEW = 60e6  # pixels of the enlarged parts of a photo, to bound the time


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Plants of one photo in photo pixels, merged, dead ones included, and the zoom (seen pixels per photo
    pixel) of the first look. `pots` are the empty pots.

    `density` (rows, columns) are the plants per cell of `density_cell` photo pixels, from a network that
    tells them. `zooms` (n,) are those of each plant, where they are not all the same.
    """

    found: Detections
    zoom: float
    density: Cells | None = None
    density_cell: float = 0.0
    pots: Detections = field(default_factory=Detections.empty)
    zooms: NDArray[np.float32] | None = None

    @property
    def apparent_sizes(self) -> NDArray[np.float32]:
        """(n,): side in pixels as the network saw it."""
        return sizes(self.found.boxes) * (np.float32(self.zoom) if self.zooms is None else self.zooms)


def look(pixels: Pixels, detector: Detector, config: PipelineConfig) -> View:
    """Every plant of the photo, sure ones and doubtful ones, and the empty pots."""
    height, width = pixels.shape[:2]
    seen, zoom = zoomed(pixels, first_zoom(width, height, config))
    sight = _first_look(seen, zoom, detector, config)
    small = too_small(sight, detector.min_score) if config.view_side else None
    if small is not None:
        part, closer = small
        finer = min(zoom * closer, MOST_ZOOM_OF_A_PART, (LARGEST_VIEW / part.area) ** 0.5)
        if finer > WORTH_ANOTHER_LOOK * zoom:
            sight = combined(sight, _closer_look(pixels, part, finer, detector, config), part)
    pots = sight.found.classes == Thing.EMPTY_POT
    sure = sight.found.scores >= detector.min_score
    return View(
        sight.found.take(~pots),
        zoom,
        sight.density,
        sight.cell,
        sight.found.take(pots & sure),
        sight.zooms[~pots],
    )


def first_zoom(width: int, height: int, config: PipelineConfig) -> float:
    """Seen pixels per photo pixel at the first look."""
    return min(MOST_ZOOM, config.view_side / max(height, width)) if config.view_side else 1.0


def _first_look(seen: Pixels, zoom: float, detector: Detector, config: PipelineConfig) -> Look:
    """`seen` is the whole photo at this zoom."""
    raw, density = detect_tiled(seen, detector, config)
    merged = merge(raw, config, detector.min_score)
    found = replace(merged, boxes=merged.boxes / np.float32(zoom))
    grid = (-(-seen.shape[0] // CELL), -(-seen.shape[1] // CELL))
    return Look(found, np.full(len(found), zoom, np.float32), CELL / zoom, grid, density)


def _closer_look(pixels: Pixels, part: Part, zoom: float, detector: Detector, config: PipelineConfig) -> Look:
    """Tiles of a plan for the whole photo at this zoom, of which only those are made in whose middle
    something of the part lies."""
    height, width = pixels.shape[:2]
    side = max(1, round(config.tile / zoom))  # of a tile, in photo pixels
    zoom = config.tile / side
    step = side - int(side * config.overlap)
    plan = plan_tiles(width, height, side, config.overlap)
    tiles = [tile for tile in plan if part.meets(core(tile, step, width, height))]
    raw, maps = _boxes_and_maps(pixels, tiles, zoom, detector)
    found = merge(raw, config, detector.min_score)
    wide, high = round(width * zoom), round(height * zoom)
    density = stitch([(_enlarged(tile, zoom, width, height), cells) for tile, cells in maps], wide, high)
    grid = (-(-high // CELL), -(-wide // CELL))
    return Look(found, np.full(len(found), zoom, np.float32), CELL / zoom, grid, density if maps else None)


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
    found, maps = _boxes_and_maps(pixels, tiles, 1.0, detector)
    return found, stitch(maps, width, height) if maps else None


def _boxes_and_maps(
    pixels: Pixels, tiles: list[Tile], zoom: float, detector: Detector
) -> tuple[Detections, list[tuple[Tile, Cells]]]:
    """The boxes of these tiles, seen at this zoom, in pixels of the whole, and their density maps. Plants
    larger than the overlap come from tiles of their own."""
    size = pixels.shape[1], pixels.shape[0]
    margin = EDGE_MARGIN / zoom
    parts, maps = _through(pixels, tiles, zoom, detector)
    found = Detections.concat(parts)
    larger, seen = Detections.empty(), list(tiles)
    still_cut = found
    for _ in range(ROUNDS):
        more = tiles_for_whole_plants(still_cut.boxes[still_cut.cut], seen, *size, margin)
        if not more:
            break
        still_cut = Detections.concat(_through(pixels, more, zoom, detector)[0])
        larger, seen = Detections.concat([larger, still_cut]), seen + more
    # Of smaller plants these tiles would only be one more opinion, here and not there.
    larger = larger.take(~shown_whole(larger.boxes, tiles, *size, margin))
    return Detections.concat([found, larger]), maps


def _through(
    pixels: Pixels, tiles: Sequence[Tile], zoom: float, detector: Detector
) -> tuple[list[Detections], list[tuple[Tile, Cells]]]:
    """The boxes of each tile and the density map of each tile that has one."""
    parts, maps = [], []
    for start in range(0, len(tiles), BATCH):
        batch = tiles[start : start + BATCH]
        crops = [zoomed(pixels[t.y : t.y + t.height, t.x : t.x + t.width], zoom)[0] for t in batch]
        found = detector(crops)
        parts += [_placed(part, t, zoom, pixels) for t, part in zip(batch, found, strict=True)]
        maps += [(t, part.density) for t, part in zip(batch, found, strict=True) if part.density is not None]
    return parts, maps


def _placed(part: Detections, tile: Tile, zoom: float, pixels: Pixels) -> Detections:
    """A tile's boxes, seen at this zoom, in pixels of the whole, clipped to the tile, with the cut ones
    marked."""
    height, width = pixels.shape[:2]
    boxes = part.boxes / np.float32(zoom)
    cut = crosses_edge(boxes, tile, width, height, EDGE_MARGIN / zoom)
    limits = np.array([tile.width, tile.height, tile.width, tile.height], np.float32)
    clipped = np.clip(boxes, 0, limits)
    real = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    return replace(part, boxes=clipped, cut=cut).take(real).shift(tile.x, tile.y)


def _enlarged(tile: Tile, zoom: float, width: int, height: int) -> Tile:
    """A tile of the photo in seen pixels; one that ends with the photo still does."""
    size = round(tile.width * zoom), round(tile.height * zoom)
    ends_x, ends_y = tile.x + tile.width == width, tile.y + tile.height == height
    x = max(0, round(width * zoom) - size[0]) if ends_x else round(tile.x * zoom)
    y = max(0, round(height * zoom) - size[1]) if ends_y else round(tile.y * zoom)
    return Tile(x, y, *size)
