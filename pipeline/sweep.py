"""Tiles of one photo through the detector. What comes back is in pixels of the photo, not yet merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from pipeline.config import PipelineConfig
from pipeline.density import Cells, stitch
from pipeline.detect import Detector
from pipeline.outside import outside, stand_loose
from pipeline.regions import RegionMap
from pipeline.tiles import EDGE_MARGIN, Tile, crosses_edge, plan_tiles, shown_whole, tiles_for_whole_plants
from pipeline.types import Boxes, Detections, Pixels, Thing

# Of more tiles for large plants: one around what was cut may cut the plant again, further out.
ROUNDS = 2


@dataclass(slots=True)
class Sweep:
    """Tiles are enlarged by `zoom` before the detector sees them."""

    pixels: Pixels
    detector: Detector
    zoom: float = 1.0
    tiles: list[Tile] = field(default_factory=list)
    parts: list[Detections] = field(default_factory=list)
    maps: list[tuple[Tile, Cells]] = field(default_factory=list)

    def over(self, tiles: Iterable[Tile]) -> None:
        """Look at these tiles, which are asked for as the detector takes them."""
        for tile, part in self._detect(tiles):
            self.tiles.append(tile)
            self.parts.append(_placed(part, tile, self.zoom, self.pixels))
            if part.density is not None:
                self.maps.append((tile, part.density))

    def found(self) -> Detections:
        """The boxes of all tiles. Plants larger than the overlap come from tiles of their own."""
        found, size = Detections.concat(self.parts), (self.pixels.shape[1], self.pixels.shape[0])
        margin = EDGE_MARGIN / self.zoom
        larger, seen, latest = Detections.empty(), list(self.tiles), found
        for _ in range(ROUNDS):
            more = tiles_for_whole_plants(latest.boxes[latest.cut], seen, *size, margin)
            if not more:
                break
            parts = [_placed(part, tile, self.zoom, self.pixels) for tile, part in self._detect(more)]
            latest = Detections.concat(parts)
            larger, seen = Detections.concat([larger, latest]), seen + more
        # Of smaller plants these tiles would only be one more opinion, here and not there.
        larger = larger.take(~shown_whole(larger.boxes, self.tiles, *size, margin))
        return Detections.concat([found, larger])

    def _detect(self, tiles: Iterable[Tile]) -> Iterator[tuple[Tile, Detections]]:
        """Crops are made as the detector takes them: never more than it works on at once."""
        taken: list[Tile] = []

        def crops() -> Iterator[Pixels]:
            for tile in tiles:
                taken.append(tile)
                crop = self.pixels[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
                yield zoomed(crop, self.zoom)[0]

        found = self.detector(crops())
        return zip(taken, found, strict=True)


def detect_tiled(
    pixels: Pixels, detector: Detector, config: PipelineConfig
) -> tuple[Detections, Cells | None]:
    """Every box of every tile, and the tiles' densities as one."""
    sweep = Sweep(pixels, detector)
    sweep.over(_plan(pixels, config))
    return _seen(sweep)


def detect_in_containers(
    view: tuple[Pixels, float], detector: Detector, config: PipelineConfig, regions: Callable[[], RegionMap]
) -> tuple[Detections, Cells | None]:
    """The same without the tiles that lie outside every container, unless plants stand loose.

    `view` is the photo at a zoom, and that zoom. `regions` waits for the containers: tiles away from the
    border of the photo are looked at before they are known, for a bed lies there if there is one.
    """
    (pixels, zoom), far = view, list[Tile]()
    sweep = Sweep(pixels, detector)

    def near() -> Iterator[Tile]:
        middle, rim = _middle_and_rim(_plan(pixels, config), pixels)
        yield from middle
        bare = outside(rim, regions(), zoom, config.skip_below)
        far.extend(tile for tile, is_bare in zip(rim, bare, strict=True) if is_bare)
        yield from (tile for tile, is_bare in zip(rim, bare, strict=True) if not is_bare)

    sweep.over(near())
    if far and stand_loose(_sure_plants(sweep.parts, detector.min_score) / np.float32(zoom), regions()):
        sweep.over(far)
    return _seen(sweep)


def _middle_and_rim(tiles: list[Tile], pixels: Pixels) -> tuple[list[Tile], list[Tile]]:
    """The tiles that touch no border of the photo, and those that do."""
    height, width = pixels.shape[:2]
    inner = [t.x > 0 and t.y > 0 and t.x + t.width < width and t.y + t.height < height for t in tiles]
    middle = [tile for tile, is_inner in zip(tiles, inner, strict=True) if is_inner]
    return middle, [tile for tile, is_inner in zip(tiles, inner, strict=True) if not is_inner]


def _plan(pixels: Pixels, config: PipelineConfig) -> list[Tile]:
    return plan_tiles(pixels.shape[1], pixels.shape[0], config.tile, config.overlap)


def _seen(sweep: Sweep) -> tuple[Detections, Cells | None]:
    height, width = sweep.pixels.shape[:2]
    maps = sorted(sweep.maps, key=lambda part: part[0])  # sums of fractions depend on their order
    return sweep.found(), stitch(maps, width, height) if maps else None


def _sure_plants(parts: list[Detections], min_score: float) -> Boxes:
    found = Detections.concat(parts)
    sure = (found.scores >= min_score) & (found.classes != Thing.EMPTY_POT)
    return found.take(sure).boxes


def zoomed(pixels: Pixels, zoom: float) -> tuple[Pixels, float]:
    """The photo at about this zoom, and the true zoom after rounding to whole pixels."""
    height, width = pixels.shape[:2]
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    if size == (width, height):
        return pixels, 1.0
    way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    seen = cv2.resize(pixels, size, interpolation=way).astype(np.uint8, copy=False)
    return seen, size[0] / width


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
