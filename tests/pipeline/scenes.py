"""Drawn scenes: photos whose every plant is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.types import Boxes, Detections, Pixels, Polygon, Thing
from pipeline.weights import ModelCard
from tests.pipeline.networks import CELL


class BlobDetector:
    """Boxes bright blobs: no weights, exact answers, for tiles of any size."""

    min_score = 0.3
    card = ModelCard("blobs", "1", "detect", Path("none"), "0", ("plant",), 4096, 4096, 0, 0.3)

    def __call__(self, tiles: Sequence[Pixels]) -> list[Detections]:
        return [self._detect(tile) for tile in tiles]

    def _detect(self, tile: Pixels) -> Detections:
        mask = (tile[..., 1] > 127).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        x, y, width, height, area = stats[1:].astype(np.float32).T
        boxes = np.stack([x, y, x + width, y + height], axis=1)
        # The larger the surer, so that the half of a plant never scores like the whole.
        scores = np.clip(area / 4000, 0.3, 1).astype(np.float32)
        return Detections(boxes, scores, np.zeros(count - 1, np.int16), np.zeros(count - 1, np.bool_))


def blobs(width: int, height: int, pitch: int, radius: int, seed: int = 0) -> tuple[Pixels, int]:
    """White discs on black, jittered about a grid, none touching another; and how many they are."""
    random = np.random.default_rng(seed)
    photo = np.zeros((height, width, 3), np.uint8)
    play = (pitch - 2 * radius - 3) // 2
    count = 0
    for y in range(pitch // 2, height - pitch // 2 + 1, pitch):
        for x in range(pitch // 2, width - pitch // 2 + 1, pitch):
            dx, dy = random.integers(-play, play + 1, 2).tolist()
            cv2.circle(photo, (x + dx, y + dy), radius - int(random.integers(0, 3)), (255, 255, 255), -1)
            count += 1
    return photo, count


def pots(columns: int, rows: int, plants: int) -> Pixels:
    """A dim bed on the tiny networks' lattice with `plants` bright discs in it, on a black floor."""
    photo = np.zeros(((rows + 2) * CELL, (columns + 2) * CELL, 3), np.uint8)
    photo[CELL:-CELL, CELL:-CELL] = 60
    for number in range(plants):
        row, column = divmod(number, columns)
        at = (column + 1) * CELL + CELL // 2, (row + 1) * CELL + CELL // 2
        cv2.circle(photo, at, CELL * 3 // 8, (250, 250, 250), -1)
    return photo


def sorted_pots(columns: int, rows: int, things: Sequence[Thing]) -> Pixels:
    """The same bed with a green disc for a plant, a blue one for an empty pot, a red one for a dead plant."""
    colours = {Thing.PLANT: (0, 250, 0), Thing.EMPTY_POT: (250, 0, 0), Thing.DEAD_PLANT: (0, 0, 250)}
    photo = pots(columns, rows, 0)
    for number, thing in enumerate(things):
        row, column = divmod(number, columns)
        at = (column + 1) * CELL + CELL // 2, (row + 1) * CELL + CELL // 2
        cv2.circle(photo, at, CELL * 3 // 8, colours[thing], -1)
    return photo


@dataclass(frozen=True, slots=True, eq=False)
class Bed:
    """A bed of soil under a tilted camera: far rows are small. One box per plant that stands there."""

    photo: Pixels
    boxes: Boxes
    polygon: Polygon

    def doubled(self) -> Bed:
        """The same bed photographed with twice the pixels."""
        photo = cv2.resize(self.photo, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        return replace(self, photo=photo.astype(np.uint8), boxes=self.boxes * 2, polygon=self.polygon * 2)


def draw_bed(*, missing: float = 0.0, seed: int = 1) -> Bed:
    """About 260 plants in 1000×800 pixels; a share `missing` of the pots was taken away and left soil."""
    random = np.random.default_rng(seed)
    photo = _soil(1000, 800, random)
    boxes: list[tuple[float, float, float, float]] = []
    y = 60.0
    while y < 760:
        pitch = 34 + (y - 60) / 700 * 34  # pixels between pots, linear in the row
        y += pitch / 2
        offset = random.uniform(0, pitch / 2)
        for x in np.arange(40 + pitch / 2 + offset, 960 - pitch / 2, pitch).tolist():
            if random.random() < missing:
                continue
            radius = pitch * 0.45 * random.uniform(0.93, 1.05)
            _plant(photo, (x, y), radius, random)
            boxes.append((x - radius, y - radius, x + radius, y + radius))
        y += pitch / 2
    polygon = np.array([[40, 60], [960, 60], [960, min(y + 5, 799)], [40, min(y + 5, 799)]], np.float32)
    return Bed(photo, np.array(boxes, np.float32), polygon)


def _soil(width: int, height: int, random: np.random.Generator) -> Pixels:
    grain = random.normal(0, 10, (height, width, 1))
    clods = cv2.resize(random.normal(0, 10, (height // 8, width // 8)), (width, height))[..., None]
    soil = np.array([50, 70, 95]) + grain + clods
    return np.clip(soil, 0, 255).astype(np.uint8)


def _plant(photo: Pixels, at: tuple[float, float], radius: float, random: np.random.Generator) -> None:
    """A tuft of green: a dark disc with lighter leaves over it."""
    x, y = at
    green = np.array([50, 120, 60]) + random.normal(0, 8, 3)
    cv2.circle(photo, (round(x), round(y)), round(radius), tuple((green * 0.8).tolist()), -1, cv2.LINE_AA)
    for turn in np.linspace(0, 360, 7)[:-1].tolist():
        angle = np.deg2rad(turn)
        leaf = (round(x + radius * 0.5 * np.cos(angle)), round(y + radius * 0.5 * np.sin(angle)))
        axes = (max(1, round(radius * 0.45)), max(1, round(radius * 0.2)))
        colour = tuple((green * random.uniform(0.9, 1.25)).clip(0, 255).tolist())
        cv2.ellipse(photo, leaf, axes, turn, 0, 360, colour, -1, cv2.LINE_AA)


def found(boxes: Boxes | list[list[float]], score: float = 0.9, cut: bool = False) -> Detections:
    """Detections of one class with one score."""
    array: NDArray[np.float32] = np.asarray(boxes, np.float32).reshape(-1, 4)
    many = len(array)
    return Detections(
        array, np.full(many, score, np.float32), np.zeros(many, np.int16), np.full(many, cut, np.bool_)
    )
