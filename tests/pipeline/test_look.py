"""At which size a photo is looked at, and that boxes come back in its own pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.config import ModelChoice, PipelineConfig
from pipeline.look import COMFORTABLE, MOST_ZOOM, first_zoom, look
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
    assert view.zoom == pytest.approx(MOST_ZOOM)
    assert np.median(detector.seen[:plants]) == pytest.approx(10.4, abs=1)
    assert np.median(view.apparent_sizes) <= COMFORTABLE


def test_a_photo_may_be_taken_as_it_is() -> None:
    photo, plants = bed(900, 700, side=10, pitch=50)
    view = look(photo, BlobDetector(), PipelineConfig(NOWHERE, NOWHERE, view_side=0))

    assert (len(view.found), view.zoom) == (plants, 1.0)
    assert set(np.unique(view.found.boxes[:, 0] % 50)) == {0.0}
