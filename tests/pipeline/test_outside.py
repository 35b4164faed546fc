from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import ModelChoice, PipelineConfig
from pipeline.look import look
from pipeline.outside import MOST_LOOSE, outside, stand_loose
from pipeline.regions import RegionMap, map_regions
from pipeline.tiles import Tile, plan_tiles
from pipeline.types import Container, ContainerKind, Detections, Pixels
from tests.pipeline.scenes import BlobDetector, blobs

WIDTH, HEIGHT = 1200, 900
NONE = ModelChoice(Path("none"))
CONFIG = PipelineConfig(NONE, NONE, tile=200, overlap=0.25, view_side=0)


def left_part(right: float) -> Container:
    outline = np.array([[0, 0], [right, 0], [right, HEIGHT], [0, HEIGHT]], np.float32)
    return Container(ContainerKind.SEGMENT, outline, 0.9)


@dataclass
class Watched:
    """A detector of blobs that remembers how many tiles it was shown."""

    inner: BlobDetector = field(default_factory=BlobDetector)
    tiles: int = 0

    @property
    def card(self) -> object:
        return self.inner.card

    @property
    def min_score(self) -> float:
        return self.inner.min_score

    def __call__(self, tiles: Iterable[Pixels]) -> list[Detections]:
        crops = list(tiles)
        self.tiles += len(crops)
        return self.inner(crops)


def regions_of(*containers: Container) -> RegionMap:
    return map_regions(list(containers), WIDTH, HEIGHT)


def test_tiles_with_too_little_of_a_container_lie_outside_at_any_zoom() -> None:
    for zoom in (1.0, 0.5, 1.3):
        tiles = [Tile(round(x * zoom), 0, round(200 * zoom), round(200 * zoom)) for x in (0, 400, 599, 800)]
        assert outside(tiles, regions_of(left_part(600)), zoom, 0.02).tolist() == [False, False, True, True]


def test_without_any_container_nothing_lies_outside() -> None:
    assert not outside(plan_tiles(WIDTH, HEIGHT, 200, 0.25), regions_of(), 1.0, 0.02).any()


def test_a_plant_on_the_rim_stands_in_its_container() -> None:
    on_the_rim = np.array([[590, 100, 620, 130]], np.float32)
    assert not stand_loose(on_the_rim, regions_of(left_part(600)))
    assert stand_loose(on_the_rim + 100, regions_of(left_part(600)))
    assert not stand_loose(np.empty((0, 4), np.float32), regions_of(left_part(600)))


def test_one_loose_plant_in_a_hundred_is_no_reason_to_look_everywhere() -> None:
    plants = np.tile(np.array([[100, 100, 130, 130]], np.float32), (round(2 / MOST_LOOSE), 1))
    plants[0] += 800
    assert not stand_loose(plants, regions_of(left_part(600)))
    plants[:3] = plants[0]
    assert stand_loose(plants, regions_of(left_part(600)))


@pytest.fixture
def half_a_bed() -> tuple[Pixels, int]:
    """Plants in the left half of the photo, and how many."""
    photo, _ = blobs(WIDTH, HEIGHT, pitch=40, radius=15)
    photo[:, 590:] = 0
    return photo, len(look(photo, BlobDetector(), CONFIG).found)


def test_bare_floor_is_skipped_and_no_plant_lost(half_a_bed: tuple[Pixels, int]) -> None:
    photo, plants = half_a_bed
    everywhere, where_containers_are = Watched(), Watched()
    assert len(look(photo, everywhere, CONFIG).found) == plants
    seen = look(photo, where_containers_are, CONFIG, lambda: regions_of(left_part(600)))
    assert len(seen.found) == plants
    assert where_containers_are.tiles < 0.8 * everywhere.tiles


def test_a_missed_container_is_looked_at_all_the_same(half_a_bed: tuple[Pixels, int]) -> None:
    photo, plants = half_a_bed
    # Of the bed only a strip was found: plants beside it stand loose, so the rest is looked at.
    assert len(look(photo, BlobDetector(), CONFIG, lambda: regions_of(left_part(120))).found) == plants


def test_nothing_is_skipped_when_told_so(half_a_bed: tuple[Pixels, int]) -> None:
    photo, _ = half_a_bed
    everywhere = Watched()
    look(photo, everywhere, replace(CONFIG, skip_below=0.0), lambda: regions_of(left_part(600)))
    assert everywhere.tiles == len(plan_tiles(WIDTH, HEIGHT, 200, 0.25))
