"""At which size a photo is looked at, and that boxes come back in its own pixels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.closer import COMFORTABLE
from pipeline.config import ModelChoice, PipelineConfig
from pipeline.look import MOST_ZOOM_OF_A_PART, first_zoom, look
from pipeline.types import Detections, Pixels
from pipeline.weights import ModelCard

NOWHERE = ModelChoice(Path("none.json"))
CONFIG = PipelineConfig(NOWHERE, NOWHERE)


@dataclass
class BlobDetector:
    """Boxes bright blobs, and remembers how large it saw them."""

    card: ModelCard = field(
        default_factory=lambda: ModelCard("b", "1", "detect", Path(), "", ("plant",), 512, 512, 0, 0.5)
    )
    min_score: float = 0.5
    seen: list[float] = field(default_factory=list)

    def __call__(self, tiles: list[Pixels]) -> list[Detections]:
        return [self._detect(tile) for tile in tiles]

    def _detect(self, tile: Pixels) -> Detections:
        _, mask = cv2.threshold(tile[..., 0], 127, 255, cv2.THRESH_BINARY)
        n, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        x, y, w, h, _ = stats[1:].astype(np.float32).T
        self.seen += w.tolist()
        boxes = np.stack([x, y, x + w, y + h], axis=1).reshape(-1, 4)
        return Detections(boxes, np.ones(n - 1, np.float32), np.zeros(n - 1, np.int16), np.zeros(n - 1, bool))


class MassDetector(BlobDetector):
    """With a density map as well: each plant is spread over the cells that it covers, whatever its size. It
    knows the two sizes of `far_and_near` by their scale."""

    def _detect(self, tile: Pixels) -> Detections:
        found = super()._detect(tile)
        mass = np.zeros(tile.shape[:2], np.float32)
        mask = (tile[..., 0] > 127).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
        widest = max(9.0, float(stats[1:, 2].max(initial=0)))
        for label, (_, _, w, h, area) in enumerate(stats[1:].tolist(), start=1):
            whole = max(area, min(w, h) ** 2, max(w, h) ** 2 if max(w, h) < 0.6 * widest else 0)
            mass[labels == label] = 1 / whole
        high, wide = (-(-side // 8) for side in tile.shape[:2])
        padded = np.pad(mass, ((0, high * 8 - mass.shape[0]), (0, wide * 8 - mass.shape[1])))
        return replace(found, density=padded.reshape(high, 8, wide, 8).sum(axis=(1, 3)))


def bed(width: int, height: int, side: int, pitch: int) -> tuple[Pixels, int]:
    """Bright squares on black, and how many."""
    photo = np.zeros((height, width, 3), np.uint8)
    corners = [
        (x, y) for y in range(pitch, height - pitch, pitch) for x in range(pitch, width - pitch, pitch)
    ]
    for x, y in corners:
        photo[y : y + side, x : x + side] = 255
    return photo, len(corners)


@pytest.mark.parametrize(
    ("size", "zoom"), [((1600, 1200), 1.3), ((600, 500), 1.3), ((4000, 3000), 0.52), ((3000, 4000), 0.52)]
)
def test_photos_are_brought_to_one_size_and_small_ones_not_enlarged_without_end(
    size: tuple[int, int], zoom: float
) -> None:
    assert first_zoom(*size, CONFIG) == pytest.approx(zoom)


@pytest.mark.parametrize("factor", [1, 2])
def test_twice_the_pixels_give_the_same_count_and_boxes_in_the_photos_own_pixels(factor: int) -> None:
    photo, plants = bed(1600 * factor, 1200 * factor, side=40 * factor, pitch=80 * factor)
    view = look(photo, BlobDetector(), CONFIG)

    assert len(view.found) == plants
    np.testing.assert_allclose(
        np.median(view.found.boxes[:, 2] - view.found.boxes[:, 0]), 40 * factor, rtol=0.05
    )
    np.testing.assert_allclose(np.median(view.apparent_sizes), 52, rtol=0.05)


def test_plants_that_turn_out_too_small_are_looked_at_again_closer() -> None:
    photo, plants = bed(4000, 3000, side=20, pitch=100)
    detector = BlobDetector()
    view = look(photo, detector, CONFIG)

    assert len(view.found) == plants
    assert view.zoom == pytest.approx(0.52)
    assert view.zooms == pytest.approx(np.full(plants, COMFORTABLE / 20), rel=0.1)
    assert np.median(detector.seen[:plants]) == pytest.approx(10.4, abs=1)
    assert np.median(view.apparent_sizes) == pytest.approx(COMFORTABLE, rel=0.1)


def test_a_photo_may_be_taken_as_it_is() -> None:
    photo, plants = bed(900, 700, side=10, pitch=50)
    view = look(photo, BlobDetector(), PipelineConfig(NOWHERE, NOWHERE, view_side=0))

    assert (len(view.found), view.zoom) == (plants, 1.0)
    assert set(np.unique(view.found.boxes[:, 0] % 50)) == {0.0}


def far_and_near(seed: int = 0) -> tuple[Pixels, int, int]:
    """Small squares in the far third of a photo, large ones below; the border between runs through a row."""
    random = np.random.default_rng(seed)
    photo, counts = np.zeros((1500, 2000, 3), np.uint8), [0, 0]
    for which, (top, bottom, side, pitch) in enumerate([(10, 560, 9, 26), (590, 1420, 44, 80)]):
        for y in range(top, bottom, pitch):
            for x in range(20, 1990 - side, pitch):
                dx, dy = random.integers(0, pitch // 4, 2).tolist()
                photo[y + dy : y + dy + side, x + dx : x + dx + side] = 255
                counts[which] += 1
    return photo, counts[0], counts[1]


@pytest.mark.parametrize("seed", range(4))
def test_only_the_part_with_small_plants_is_looked_at_closer_and_each_plant_counts_once(seed: int) -> None:
    photo, small, large = far_and_near(seed)
    detector = BlobDetector()
    view = look(photo, detector, replace(CONFIG, view_side=1000))

    assert len(view.found) == small + large
    assert view.zooms is not None
    is_small = view.found.boxes[:, 3] - view.found.boxes[:, 1] < 20
    assert (is_small.sum(), (~is_small).sum()) == (small, large)
    # Most far plants were seen closer, most near ones were not, and each says how large it was seen.
    assert np.mean(view.zooms[is_small] > 1.9) > 0.95
    assert np.mean(view.zooms[~is_small] == 0.5) > 0.6
    assert np.median(view.apparent_sizes[is_small]) == pytest.approx(9 * MOST_ZOOM_OF_A_PART, rel=0.15)
    assert np.median(view.apparent_sizes[~is_small]) == pytest.approx(44 * 0.5, rel=0.1)
    # No more of the near part was shown again than the tiles on the border have.
    assert sum(side > 80 for side in detector.seen) < large


def test_a_density_map_is_finer_where_the_look_was_closer_and_no_plant_is_lost() -> None:
    photo, small, large = far_and_near()
    view = look(photo, MassDetector(), replace(CONFIG, view_side=1000))

    assert view.density is not None
    assert view.density.shape == (94, 125)  # of 8 seen pixels at the first look
    assert view.density.sum() == pytest.approx(small + large, rel=0.02)
    assert view.density[: 576 // 16].sum() == pytest.approx(small, rel=0.02)


def test_plants_larger_than_the_overlap_count_once() -> None:
    photo, plants = bed(1900, 1300, side=330, pitch=400)
    view = look(photo, BlobDetector(), replace(CONFIG, view_side=0))
    assert len(view.found) == plants
    np.testing.assert_allclose(view.found.boxes[:, 2] - view.found.boxes[:, 0], 330)
