"""One photo, from file to result. Runs inside a worker process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import draw
from pipeline.boxes import drop_duplicates
from pipeline.config import PipelineConfig
from pipeline.decode import decode
from pipeline.detect import Detector, Segmenter, load_detector, load_segmenter
from pipeline.errors import StorageError
from pipeline.estimate import Evidence, estimate_hidden
from pipeline.exif import read_info
from pipeline.interval import bounds
from pipeline.regions import RegionMap, assign, map_regions
from pipeline.tiles import Tile, crosses_edge, plan_tiles
from pipeline.types import (
    Container,
    ContainerCount,
    ContainerKind,
    Detections,
    Photo,
    PhotoResult,
    PhotoStatus,
    Pixels,
)

BATCH = 16
# More plants than this outside every container, as a share of all, and the photo is looked at.
LOOSE_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Counter:
    """The models of one process, loaded once."""

    detector: Detector
    segmenter: Segmenter
    config: PipelineConfig

    @staticmethod
    def load(config: PipelineConfig) -> Counter:
        """Raises ModelError."""
        return Counter(load_detector(config), load_segmenter(config), config)

    @property
    def model(self) -> str:
        return f"{self.detector.card.label}+{self.segmenter.card.label}"

    def count(self, photo: Photo) -> PhotoResult:
        """Count one photo. Raises PhotoError when the file cannot be counted."""
        config, clock = self.config, _Clock()
        with clock.stage("decode"):
            info = read_info(photo.path)
            pixels = decode(photo.path, max_pixels=int(config.max_megapixels * 1e6), min_side=config.min_side)
        with clock.stage("containers"):
            containers = self.segmenter(pixels)
            regions = map_regions(containers, pixels.shape[1], pixels.shape[0])
        with clock.stage("detect"):
            raw = detect_tiled(pixels, self.detector, config)
        with clock.stage("merge"):
            found = drop_duplicates(raw, config.max_iou, config.max_cut_overlap)
            owner = assign(found.boxes, regions)
        with clock.stage("estimate"):
            counts, owner = count_containers(pixels, containers, found, (owner, regions))
        warnings = tuple(find_doubts(counts))
        if warnings:
            counts = tuple(_widened(count) for count in counts)
        low, high = bounds(sum(c.seen for c in counts), sum(c.hidden for c in counts), bool(warnings))
        result = PhotoResult(
            photo=photo,
            info=replace(info, width=pixels.shape[1], height=pixels.shape[0]),
            status=PhotoStatus.WARNING if warnings else PhotoStatus.COMPLETED,
            warnings=warnings,
            counts=counts,
            detections=found,
            owner=owner,
            low=low,
            high=high,
            model=self.model,
            seconds=clock.total,
        )
        with clock.stage("overlay"):
            result = _with_overlay(result, pixels, config.overlay_dir)
        return replace(result, seconds=clock.total, stages=dict(clock.stages))


def _with_overlay(result: PhotoResult, pixels: Pixels, folder: Path | None) -> PhotoResult:
    """The picture is for people; when it cannot be written, the count still stands, and says so."""
    if folder is None:
        return result
    try:
        return replace(result, overlay=draw.save_overlay(pixels, result, folder))
    except StorageError as error:
        return replace(result, status=PhotoStatus.WARNING, warnings=(*result.warnings, str(error)))


def detect_tiled(pixels: Pixels, detector: Detector, config: PipelineConfig) -> Detections:
    """Every box of every tile, in photo pixels, not yet merged."""
    height, width = pixels.shape[:2]
    tiles = plan_tiles(width, height, config.tile, config.overlap)
    parts = []
    for start in range(0, len(tiles), BATCH):
        batch = tiles[start : start + BATCH]
        crops = [pixels[t.y : t.y + t.height, t.x : t.x + t.width] for t in batch]
        parts += [_placed(part, t, width, height) for t, part in zip(batch, detector(crops), strict=True)]
    return Detections.concat(parts)


def _placed(part: Detections, tile: Tile, width: int, height: int) -> Detections:
    """A tile's boxes in photo pixels, clipped to the tile, with the cut ones marked."""
    cut = crosses_edge(part.boxes, tile, width, height)
    limits = np.array([tile.width, tile.height, tile.width, tile.height], np.float32)
    clipped = np.clip(part.boxes, 0, limits)
    real = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    return replace(part, boxes=clipped, cut=cut).take(real).shift(tile.x, tile.y)


def count_containers(
    pixels: Pixels,
    containers: list[Container],
    found: Detections,
    placed: tuple[NDArray[np.intp], RegionMap],
) -> tuple[tuple[ContainerCount, ...], NDArray[np.intp]]:
    """Seen and hidden plants per container; plants in none come last, as one loose "container".

    Also returns the owners with the loose plants pointing at it.
    """
    owner, regions = placed
    evidence = Evidence.gather(pixels, found.boxes, owner, regions)
    counts = []
    for index, container in enumerate(containers):
        scores = found.scores[owner == index]
        estimates = estimate_hidden(evidence, index)
        hidden = round(sum(row.plants for row in estimates))
        low, high = bounds(len(scores), hidden)
        mean = float(scores.mean()) if len(scores) else None
        is_empty = len(scores) + hidden == 0
        counts.append(ContainerCount(container, len(scores), hidden, low, high, is_empty, mean, estimates))
    loose = owner < 0
    if loose.any():
        counts.append(_loose_count(found.take(loose), pixels))
        owner = np.where(loose, len(containers), owner)
    return tuple(counts), owner


def _widened(count: ContainerCount) -> ContainerCount:
    """A photo to be looked at casts doubt on each of its containers."""
    low, high = bounds(count.seen, count.hidden, doubtful=True)
    return replace(count, low=low, high=high)


def _loose_count(found: Detections, pixels: Pixels) -> ContainerCount:
    height, width = pixels.shape[:2]
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    low, high = bounds(len(found), 0, doubtful=True)
    container = Container(ContainerKind.LOOSE, frame, float(found.scores.mean()))
    return ContainerCount(container, len(found), 0, low, high, False, float(found.scores.mean()))


def find_doubts(counts: tuple[ContainerCount, ...]) -> Iterator[str]:
    """One sentence for each reason to look at the photo before trusting its count."""
    seen = sum(count.seen for count in counts)
    loose = sum(count.seen for count in counts if count.container.kind is ContainerKind.LOOSE)
    if not counts:
        yield "no container and no plant was found; check that the photo shows a bed"
    elif seen == 0:
        yield "containers were found but no plant in them; check the photo, or that they are empty"
    elif loose == seen:
        yield "no container was found around the plants; check that the photo shows the whole bed"
    elif loose > LOOSE_SHARE * seen:
        yield f"{loose} of {seen} plants stand outside every container; check the overlay"


@dataclass(slots=True)
class _Clock:
    """Seconds per stage of one photo."""

    started: float = field(default_factory=time.perf_counter)
    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        before = time.perf_counter()
        yield
        self.stages[name] = time.perf_counter() - before

    @property
    def total(self) -> float:
        return time.perf_counter() - self.started
