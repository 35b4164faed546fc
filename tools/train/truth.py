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

PLANT, EMPTY = 1, 2  # categories of coco.json
# What a pot can hold, each pot one of them.
PLANT_CLASSES = ("plant", "empty_container", "dead_plant")
CONTAINER_CLASSES = ("segment", "box", "plug_tray")
CONTAINER_CATEGORIES = (3, 4, 5)  # of coco.json, in the order of CONTAINER_CLASSES


class Split(StrEnum):
    TRAIN = "train"
    VAL = "val"
    TEST = "test"


@dataclass(frozen=True, eq=False)
class TruePlants:
    """All plants and empty pots of a photo that show at least one pixel. `visibility` is 0 where only the
    pot of a plant shows."""

    boxes: Boxes  # of the foliage; of an empty pot, of the pot
    visibility: NDArray[np.float32]  # (n,): visible share of the foliage or of the empty pot, 0-1
    kinds: NDArray[np.intp]  # (n,): index into PLANT_CLASSES
    middles: NDArray[np.float32]  # (m, 2): x y of every plant, dead or not, seen or not

    @property
    def are_plants(self) -> NDArray[np.bool_]:
        return self.kinds != PLANT_CLASSES.index("empty_container")

    def visible(self, at_least: float) -> Boxes:
        """Plants, dead or not."""
        return self.boxes[self.are_plants & (self.visibility >= at_least)]

    def hardly_visible(self, below: float) -> Boxes:
        return self.boxes[self.are_plants & (self.visibility < below)]


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
            _plants(by_photo[image["id"]], image.get("hidden_plants", [])),
            _containers(by_photo[image["id"]]),
        )
        for image in coco["images"]
    ]


def _plants(annotations: list[dict], hidden: list[dict]) -> TruePlants:
    shown = [one for one in annotations if one["category_id"] in (PLANT, EMPTY)]
    # Without visible foliage the box of the pot says where a detection is not to be judged.
    boxes = np.array([_box(one) for one in shown], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    plants = [one for one in (*shown, *hidden) if one["category_id"] == PLANT and one.get("bbox_amodal")]
    whole = np.array([one["bbox_amodal"] for one in plants], np.float32).reshape(-1, 4)
    return TruePlants(
        boxes,
        np.array([_visibility(one) for one in shown], np.float32),
        np.array([_kind(one) for one in shown], np.intp),
        whole[:, :2] + whole[:, 2:] / 2,
    )


def _box(one: dict) -> list[float]:
    return one["bbox"] if one["category_id"] == EMPTY else one["bbox_foliage"] or one["bbox"]


def _visibility(one: dict) -> float:
    return one["visibility"] if one["category_id"] == EMPTY or one["bbox_foliage"] else 0.0


def _kind(one: dict) -> int:
    if one["category_id"] == EMPTY:
        return PLANT_CLASSES.index("empty_container")
    return PLANT_CLASSES.index("dead_plant" if one["attributes"]["dead"] else "plant")


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
