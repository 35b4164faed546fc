"""What the container segmenter learns from: whole photos, warped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from ultralytics.utils.loss import v8SegmentationLoss

from tools.train.augment import Random, degrade
from tools.train.finding import GREY
from tools.train.network import as_tensor, forward
from tools.train.truth import LabelledPhoto, Pixels, cached_pixels

SIDE = 512  # px, of the letterboxed photo
VIEWS = 8  # per batch
MASK_STEP = 4  # px of input per mask pixel
SHRINK = 2  # of the cached photos: never enlarged by much at this side
SMALLEST = 0.0015  # share of the picture: less of a container than this is not learnt

Homography = NDArray[np.float64]  # (3, 3), from photo to network input


@dataclass(frozen=True)
class ContainerBatch:
    pixels: Tensor  # (n, 3, SIDE, SIDE) float32, RGB 0-1
    photo: Tensor  # (k,) which picture of the batch each container is in
    kind: Tensor  # (k,)
    boxes: Tensor  # (k, 4): centre x, centre y, width, height as shares of SIDE
    masks: Tensor  # (k, SIDE / 4, SIDE / 4)


class ContainerTask:
    """Batches and loss for `engine.Trainer`."""

    def __init__(self, photos: list[LabelledPhoto], cache: Path, model: nn.Module) -> None:
        self.photos, self.cache = photos, cache
        self.criterion = v8SegmentationLoss(model)

    def batch(self, random: Random) -> ContainerBatch:
        chosen = random.choice(len(self.photos), VIEWS, replace=len(self.photos) < VIEWS)
        return collate([self._example(self.photos[index], random) for index in chosen])

    def loss(self, model: nn.Module, batch: ContainerBatch) -> tuple[Tensor, dict[str, float]]:
        outputs = forward(model, batch.pixels)
        target = {
            "batch_idx": batch.photo,
            "cls": batch.kind,
            "bboxes": batch.boxes,
            "masks": batch.masks,
        }
        loss, parts = self.criterion(outputs, target)
        return loss.sum() / VIEWS, {name: value.item() for name, value in parts.items()}

    def _example(self, photo: LabelledPhoto, random: Random) -> Example:
        half = cached_pixels(photo, self.cache, SHRINK)
        height, width = half.shape[0] * SHRINK, half.shape[1] * SHRINK
        view = random_view(width, height, random)
        shown = cv2.warpPerspective(
            half,
            view.homography @ np.diag([SHRINK, SHRINK, 1.0]),
            (SIDE, SIDE),
            flags=cv2.INTER_AREA if random.random() < 0.5 else cv2.INTER_LINEAR,
            borderValue=(GREY, GREY, GREY),
        )
        shown = degrade(shown, random)
        outside = np.full_like(shown, GREY)
        cv2.fillConvexPoly(outside, np.round(view.window).astype(np.int32), (0, 0, 0))
        shown = np.where(outside == GREY, outside, shown)
        return Example(shown, *seen_containers(photo, view))


@dataclass(frozen=True)
class Example:
    pixels: Pixels
    kinds: list[int]
    boxes: list[NDArray[np.float32]]  # (4,): centre x, centre y, width, height as shares of SIDE
    masks: list[NDArray[np.uint8]]  # (SIDE / 4, SIDE / 4)


@dataclass(frozen=True)
class View:
    homography: Homography
    window: NDArray[np.float32]  # (4, 2) convex: what of the input shows the photo, the rest is grey


def letterbox(width: float, height: float, side: int = SIDE, place: float = 0.0) -> Homography:
    """Fit a photo into a square of `side` px without distortion.

    `place` says where: 0 at the upper left, 0.5 in the middle, 1 at the lower right.
    """
    scale = side / max(width, height)
    left, top = (side - width * scale) * place, (side - height * scale) * place
    return np.array([[scale, 0, left], [0, scale, top], [0, 0, 1]])


def random_view(width: int, height: int, random: Random) -> View:
    """A random part of the photo as if it were a photo of its own: zoomed, turned, tilted, mirrored."""
    share = random.uniform(0.45, 1.0) if random.random() < 0.75 else 1.0
    stretch = np.exp(random.normal(0, 0.15))
    part = np.minimum([width, height], np.array([width * stretch, height / stretch]) * share)
    corner = random.uniform(0, 1, 2) * ([width, height] - part)
    local = np.array([[1, 0, -corner[0]], [0, 1, -corner[1]], [0, 0, 1.0]])

    # Tilt: the corners of the part move on their own by up to 8 %.
    box = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * part
    moved = box + random.uniform(-0.08, 0.08, (4, 2)) * part
    local = cv2.getPerspectiveTransform(box.astype(np.float32), moved.astype(np.float32)) @ local
    if random.random() < 0.5:
        local = np.array([[-1, 0, part[0]], [0, 1, 0], [0, 0, 1.0]]) @ local
    if random.random() < 0.1:  # a camera held the other way
        turn = np.array([[0, -1, part[1]], [1, 0, 0], [0, 0, 1.0]])
        local, part = turn @ local, part[::-1]
    place = 0.0 if random.random() < 0.5 else random.random()  # of the photo within the input
    fit = letterbox(part[0], part[1], SIDE, place)
    homography = fit @ local

    photo = cv2.perspectiveTransform(_rectangle(width, height)[None], homography)[0]
    frame = cv2.perspectiveTransform(_rectangle(*part)[None], fit)[0]
    return View(homography, _clip(photo, frame))


def seen_containers(
    photo: LabelledPhoto, view: View
) -> tuple[list[int], list[NDArray[np.float32]], list[NDArray[np.uint8]]]:
    """Kinds, boxes and masks of the containers in a view."""
    kinds, boxes, masks = [], [], []
    for container in photo.containers:
        polygon = cv2.perspectiveTransform(container.polygon[None], view.homography)[0]
        polygon = _clip(polygon, view.window)
        if len(polygon) < 3 or cv2.contourArea(polygon) < SMALLEST * SIDE**2:
            continue
        low, high = polygon.min(0), polygon.max(0)
        mask = np.zeros((SIDE // MASK_STEP, SIDE // MASK_STEP), np.uint8)
        # Mask pixel i covers input pixels 4 i to 4 i + 3.
        cv2.fillConvexPoly(mask, np.round((polygon - (MASK_STEP - 1) / 2) / MASK_STEP).astype(np.int32), 1)
        kinds.append(container.kind)
        boxes.append(np.concatenate([(low + high) / 2, high - low]).astype(np.float32) / SIDE)
        masks.append(mask)
    return kinds, boxes, masks


def collate(examples: list[Example]) -> ContainerBatch:
    counts = torch.tensor([len(one.kinds) for one in examples])
    boxes = [box for one in examples for box in one.boxes]
    masks = [mask for one in examples for mask in one.masks]
    step = SIDE // MASK_STEP
    return ContainerBatch(
        as_tensor([one.pixels for one in examples]),
        torch.repeat_interleave(torch.arange(len(examples)), counts).float(),
        torch.tensor([kind for one in examples for kind in one.kinds], dtype=torch.float32),
        torch.from_numpy(np.array(boxes, np.float32).reshape(-1, 4)),
        torch.from_numpy(np.array(masks, np.uint8).reshape(-1, step, step)),
    )


def _rectangle(width: float, height: float) -> NDArray[np.float32]:
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)


def _clip(polygon: NDArray[np.float32], window: NDArray[np.float32]) -> NDArray[np.float32]:
    """What of a convex polygon lies in a convex window, (k, 2); empty if nothing does."""
    area, shared = cv2.intersectConvexConvex(polygon.astype(np.float32), window.astype(np.float32))
    return shared.reshape(-1, 2) if area > 0 else np.empty((0, 2), np.float32)
