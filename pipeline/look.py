"""Look at a photo for plants: at the right size, tile by tile, each plant once.

A network knows plants of the sizes that it was trained on. A photo from twice as many pixels shows the
same bed with plants twice as large, so photos are first brought to one size. Where plants turn out
smaller than the network's comfort, that part of the photo is looked at again, closer; where they turn out
larger than the overlap of the tiles, tiles are added that show them whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import sizes
from pipeline.closer import WORTH_ANOTHER_LOOK, Look, Part, combined, core, too_small
from pipeline.config import PipelineConfig
from pipeline.density import CELL, Cells, stitch
from pipeline.detect import Detector
from pipeline.merge import merge
from pipeline.regions import RegionMap
from pipeline.sweep import Sweep, detect_in_containers, detect_tiled, zoomed
from pipeline.tiles import Tile, plan_tiles
from pipeline.types import Detections, Pixels, Thing

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


def look(
    pixels: Pixels,
    detector: Detector,
    config: PipelineConfig,
    regions: Callable[[], RegionMap] | None = None,
) -> View:
    """Every plant of the photo, sure ones and doubtful ones, and the empty pots.

    With `regions`, which may have to wait for them, tiles outside every container are skipped
    (pipeline/outside.py).
    """
    height, width = pixels.shape[:2]
    seen, zoom = zoomed(pixels, first_zoom(width, height, config))
    sight = _first_look((seen, zoom), detector, config, regions)
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


def _first_look(
    view: tuple[Pixels, float],
    detector: Detector,
    config: PipelineConfig,
    regions: Callable[[], RegionMap] | None,
) -> Look:
    """`view` is the whole photo at a zoom, and that zoom."""
    seen, zoom = view
    if regions is None or not config.skip_below:
        raw, density = detect_tiled(seen, detector, config)
    else:
        raw, density = detect_in_containers(view, detector, config, regions)
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
    sweep = Sweep(pixels, detector, zoom)
    sweep.over(tiles)
    found = merge(sweep.found(), config, detector.min_score)
    wide, high = round(width * zoom), round(height * zoom)
    maps = [(_enlarged(tile, zoom, width, height), cells) for tile, cells in sweep.maps]
    density = stitch(maps, wide, high) if maps else None
    grid = (-(-high // CELL), -(-wide // CELL))
    return Look(found, np.full(len(found), zoom, np.float32), CELL / zoom, grid, density)


def _enlarged(tile: Tile, zoom: float, width: int, height: int) -> Tile:
    """A tile of the photo in seen pixels; one that ends with the photo still does."""
    size = round(tile.width * zoom), round(tile.height * zoom)
    ends_x, ends_y = tile.x + tile.width == width, tile.y + tile.height == height
    x = max(0, round(width * zoom) - size[0]) if ends_x else round(tile.x * zoom)
    y = max(0, round(height * zoom) - size[1]) if ends_y else round(tile.y * zoom)
    return Tile(x, y, *size)
