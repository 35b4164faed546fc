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
from tools.train.loss import PlantLoss, TileTruth
from tools.train.network import as_tensor, forward
from tools.train.truth import Boxes, LabelledPhoto, Pixels, cached_pixels

SIDE = 512  # px, of the tiles that the exported network gets
LEARNT_SIDE = 384  # px, of the tiles it learns from: more photos per batch for the same work
TILES = 12  # per batch
SCALE, SCALE_SPREAD, SCALES = (
    1.2,
    0.28,
    (0.5, 2.0),
)  # middle, as photos are looked at; of the logarithm; limits
CELL, BESIDE = 8, 2  # px per side of a cell of the density; cells around a tile whose plants reach into it
LEARNT_VISIBILITY = 0.2  # a plant that shows less is neither learnt nor held against the network
KEPT_SHARE = 0.3  # of a box; cut off by the tile so that less remains, it is ignored
SMALLEST = 4.0  # px, longer side in the tile; smaller ones are ignored


@dataclass(frozen=True)
class PlantBatch:
    pixels: Tensor  # (n, 3, LEARNT_SIDE, LEARNT_SIDE) float32, RGB 0-1
    tiles: list[TileTruth]


class PlantTask:
    """Batches and loss for `engine.Trainer`."""

    def __init__(self, photos: list[LabelledPhoto], cache: Path, model: nn.Module) -> None:
        self.photos, self.cache = photos, cache
        self.criterion = PlantLoss(model.model[-1])

    def batch(self, random: Random) -> PlantBatch:
        chosen = random.choice(len(self.photos), TILES, replace=len(self.photos) < TILES)
        examples = [self._example(self.photos[index], random) for index in chosen]
        return PlantBatch(as_tensor([pixels for pixels, _ in examples]), [truth for _, truth in examples])

    def loss(self, model: nn.Module, batch: PlantBatch) -> tuple[Tensor, dict[str, float]]:
        return self.criterion(forward(model, batch.pixels), batch.tiles)

    def _example(self, photo: LabelledPhoto, random: Random) -> tuple[Pixels, TileTruth]:
        pixels, plants = cached_pixels(photo, self.cache), photo.plants
        view = random_view(pixels.shape[1], pixels.shape[0], plants.boxes, random)
        size = (LEARNT_SIDE, LEARNT_SIDE)
        tile = cv2.warpAffine(pixels, view, size, flags=cv2.INTER_LINEAR, borderValue=(GREY, GREY, GREY))
        shown = plants.visibility >= LEARNT_VISIBILITY
        learnt = map_boxes(plants.boxes, view)
        cut, enough = judge_cut(learnt)
        kept = shown & enough
        inside = (cut[:, 2:] > cut[:, :2]).all(1)
        truth = TileTruth(
            boxes=torch.from_numpy(cut[kept]),
            kinds=torch.from_numpy(plants.kinds[kept]),
            ignored=torch.from_numpy(cut[inside & ~kept]),
            density=torch.from_numpy(density_of(plants.middles, view)),
        )
        return degrade(tile, random), truth


def random_view(width: int, height: int, plants: Boxes, random: Random) -> np.ndarray:
    """(2, 3) affine map from photo to tile: three times of four around some plant, sometimes mirrored."""
    scale = np.clip(SCALE * np.exp(random.normal(0, SCALE_SPREAD)), *SCALES)
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


def judge_cut(boxes: Boxes) -> tuple[Boxes, np.ndarray]:
    """Boxes cut to the tile, empty where they lie outside, and (n,) which show enough to be judged."""
    cut = boxes.clip(0, LEARNT_SIDE)
    sides = cut[:, 2:] - cut[:, :2]
    share = sides.prod(1) / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-6)
    return cut, (share >= KEPT_SHARE) & (sides.max(1, initial=0) >= SMALLEST)


def density_of(middles: np.ndarray, view: np.ndarray) -> np.ndarray:
    """(rows, columns) plants per cell of the tile from the middles (n, 2) of all plants in the photo.

    Each plant is shared out over the nine cells around it; what the photo does not show is not counted.
    """
    places = middles * view[[0, 1], [0, 1]] + view[:, 2]
    cells = LEARNT_SIDE // CELL + 2 * BESIDE
    edges = (np.arange(cells + 1) - BESIDE) * CELL
    plants = np.histogram2d(places[:, 1], places[:, 0], bins=(edges, edges))[0].astype(np.float32)
    spread = cv2.blur(plants, (3, 3), borderType=cv2.BORDER_CONSTANT)
    return spread[BESIDE:-BESIDE, BESIDE:-BESIDE].copy()
