"""What the plant detector learns from: random tiles of the photos, at random scales."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from tools.train.augment import Random, degrade
from tools.train.finding import GREY
from tools.train.loss import PlantLoss
from tools.train.network import as_tensor
from tools.train.truth import Boxes, LabelledPhoto, Pixels, cached_pixels

SIDE = 512  # px, of the tiles that the exported network gets
LEARNT_SIDE = 384  # px, of the tiles it learns from: more photos per batch for the same work
TILES = 12  # per batch
SCALE_SPREAD, SCALES = 0.3, (0.5, 1.8)  # of the logarithm, around the photo as it is; limits
LEARNT_VISIBILITY = 0.2  # a plant that shows less is neither learnt nor held against the network
KEPT_SHARE = 0.3  # of a box; cut off by the tile so that less remains, it is ignored
SMALLEST = 4.0  # px, longer side in the tile; smaller ones are ignored


@dataclass(frozen=True)
class PlantBatch:
    pixels: Tensor  # (n, 3, LEARNT_SIDE, LEARNT_SIDE) float32, RGB 0-1
    truth: list[Tensor]  # per tile (k, 4): x1 y1 x2 y2 in px of the tile
    ignored: list[Tensor]  # likewise


@dataclass(frozen=True)
class Example:
    pixels: Pixels
    truth: Boxes
    ignored: Boxes


class PlantTask:
    """Batches and loss for `engine.Trainer`."""

    def __init__(self, photos: list[LabelledPhoto], cache: Path, model: nn.Module) -> None:
        self.photos, self.cache = photos, cache
        self.criterion = PlantLoss(model.model[-1])

    def batch(self, random: Random) -> PlantBatch:
        chosen = random.choice(len(self.photos), TILES, replace=len(self.photos) < TILES)
        examples = [self._example(self.photos[index], random) for index in chosen]
        return PlantBatch(
            as_tensor([one.pixels for one in examples]),
            [torch.from_numpy(one.truth) for one in examples],
            [torch.from_numpy(one.ignored) for one in examples],
        )

    def loss(self, model: nn.Module, batch: PlantBatch) -> tuple[Tensor, dict[str, float]]:
        outputs = model(batch.pixels)
        return self.criterion(outputs, batch.truth, batch.ignored)

    def _example(self, photo: LabelledPhoto, random: Random) -> Example:
        pixels = cached_pixels(photo, self.cache)
        view = random_view(pixels.shape[1], pixels.shape[0], photo.plants.boxes, random)
        size = (LEARNT_SIDE, LEARNT_SIDE)
        tile = cv2.warpAffine(pixels, view, size, flags=cv2.INTER_LINEAR, borderValue=(GREY, GREY, GREY))
        learnt = map_boxes(photo.plants.visible(LEARNT_VISIBILITY), view)
        blind = map_boxes(photo.plants.hardly_visible(LEARNT_VISIBILITY), view)
        truth, remains = split_by_cut(learnt)
        shown, _ = clip(blind)
        return Example(degrade(tile, random), truth, np.concatenate([remains, shown]))


def random_view(width: int, height: int, plants: Boxes, random: Random) -> np.ndarray:
    """(2, 3) affine map from photo to tile: three times of four around some plant, sometimes mirrored."""
    scale = np.clip(np.exp(random.normal(0, SCALE_SPREAD)), *SCALES)
    stretch = np.exp(random.normal(0, 0.06))
    across, down = scale * stretch, scale / stretch
    reach = LEARNT_SIDE / 2
    if len(plants) and random.random() < 0.75:
        box = plants[random.integers(len(plants))]
        centre = (box[:2] + box[2:]) / 2 + random.uniform(-reach, reach, 2) / scale
    else:
        centre = random.uniform(0, 1, 2) * (width, height)
    margin = np.minimum(reach / np.array([across, down]), np.array([width, height]) / 2)
    centre = np.clip(centre, margin, (width, height) - margin)
    if random.random() < 0.5:
        across = -across
    if random.random() < 0.05:
        down = -down
    return np.array([[across, 0, reach - across * centre[0]], [0, down, reach - down * centre[1]]])


def map_boxes(boxes: Boxes, view: np.ndarray) -> Boxes:
    """Boxes (n, 4) through an affine `view` without rotation."""
    x = boxes[:, 0::2] * view[0, 0] + view[0, 2]
    y = boxes[:, 1::2] * view[1, 1] + view[1, 2]
    return np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], 1).astype(np.float32)


def clip(boxes: Boxes) -> tuple[Boxes, np.ndarray]:
    """Boxes of which something lies in the tile, cut to it, and the share of the area that remains."""
    cut = boxes.clip(0, LEARNT_SIDE)
    sides = cut[:, 2:] - cut[:, :2]
    inside = (sides > 0).all(1)
    share = sides.prod(1) / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-6)
    return cut[inside], share[inside]


def split_by_cut(boxes: Boxes) -> tuple[Boxes, Boxes]:
    """Boxes to learn, cut to the tile, and remains too small to judge."""
    cut, share = clip(boxes)
    enough = (share >= KEPT_SHARE) & ((cut[:, 2:] - cut[:, :2]).max(1, initial=0) >= SMALLEST)
    return cut[enough], cut[~enough]
