"""Photos with exact truth: a folder with `coco.json` and `images/`."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]  # (n, 4): x1 y1 x2 y2 in pixels of the upright photo
Pixels = NDArray[np.uint8]  # (height, width, 3): blue green red

PLANT = 1  # category of coco.json
PLANT_CLASSES = ("plant",)
CONTAINER_CLASSES = ("segment", "box", "plug_tray")
CONTAINER_CATEGORIES = (3, 4, 5)  # of coco.json, in the order of CONTAINER_CLASSES


class Split(StrEnum):
    TRAIN = "train"
    VAL = "val"
    TEST = "test"


@dataclass(frozen=True, eq=False)
class TruePlants:
    """All plants of a photo that show at least one pixel. `visibility` is 0 where only the pot shows."""

    boxes: Boxes  # of the foliage
    visibility: NDArray[np.float32]  # (n,): visible share of the foliage, 0-1

    def visible(self, at_least: float) -> Boxes:
        return self.boxes[self.visibility >= at_least]

    def hardly_visible(self, below: float) -> Boxes:
        return self.boxes[self.visibility < below]


@dataclass(frozen=True, eq=False)
class TrueContainer:
    kind: int  # index into CONTAINER_CLASSES
    polygon: NDArray[np.float32]  # (k, 2) convex, in pixels of the upright photo


@dataclass(frozen=True, eq=False)
class LabelledPhoto:
    path: Path
    split: Split
    plants: TruePlants
    containers: tuple[TrueContainer, ...]


def load_photos(folder: Path) -> list[LabelledPhoto]:
    """Read `folder`/coco.json. The photos themselves stay on disk."""
    coco = json.loads((folder / "coco.json").read_text())
    by_photo: defaultdict[int, list[dict]] = defaultdict(list)
    for annotation in coco["annotations"]:
        by_photo[annotation["image_id"]].append(annotation)
    return [
        LabelledPhoto(
            folder / "images" / image["file_name"],
            Split(image["split"]),
            _plants(by_photo[image["id"]]),
            _containers(by_photo[image["id"]]),
        )
        for image in coco["images"]
    ]


def _plants(annotations: list[dict]) -> TruePlants:
    plants = [one for one in annotations if one["category_id"] == PLANT]
    # Without visible foliage the box of the pot says where a detection is not to be judged.
    boxes = np.array([one["bbox_foliage"] or one["bbox"] for one in plants], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    visibility = [one["visibility"] if one["bbox_foliage"] else 0.0 for one in plants]
    return TruePlants(boxes, np.array(visibility, np.float32))


def _containers(annotations: list[dict]) -> tuple[TrueContainer, ...]:
    return tuple(
        TrueContainer(
            CONTAINER_CATEGORIES.index(one["category_id"]),
            np.array(one["segmentation"][0], np.float32).reshape(-1, 2),
        )
        for one in annotations
        if one["category_id"] in CONTAINER_CATEGORIES
    )


def cached_pixels(photo: LabelledPhoto, cache: Path, shrink: int = 1) -> Pixels:
    """The upright photo, 1/`shrink` as wide and high, decoded once and then mapped from `cache`."""
    path = cache / f"{photo.path.stem}_{shrink}.npy"
    if not path.exists():
        pixels = cv2.imread(str(photo.path))  # applies the EXIF orientation
        if pixels is None:
            raise FileNotFoundError(photo.path)
        if shrink > 1:
            size = pixels.shape[1] // shrink, pixels.shape[0] // shrink
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, pixels)
        partial.replace(path)
    return np.load(path, mmap_mode="r")
