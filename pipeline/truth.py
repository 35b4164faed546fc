"""Labelled photos in COCO form: read, checked, and brought into our own types.

Conventions, beyond COCO's own: boxes are in pixels of the upright photo; `bbox_foliage` (foliage without
the pot) is used where a plant has one; `visibility` below `VISIBLE` or `ignore: 1` marks a plant that no
detector need find, and that is no false alarm either; `images[].totals.plants_in_frame` is the count that
a perfect counter gives, hidden plants included. A file without these extras counts its boxes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import TruthError
from pipeline.types import Boxes

VISIBLE = 0.25
PLANT_NAMES = frozenset({"plant", "planta", "item"})


@dataclass(frozen=True, slots=True, eq=False)
class TruthPhoto:
    """What a labelled photo shows. `boxes` holds every plant with a visible pixel."""

    file: Path
    width: int
    height: int
    split: str | None
    total: int  # plants in the frame, hidden ones included
    boxes: Boxes
    visible: NDArray[np.bool_]  # True where a perfect detector finds the plant


def load_truth(coco_json: Path, images: Path, split: str | None = None) -> list[TruthPhoto]:
    """The labelled photos, in the file's order. Raises TruthError that names the first thing wrong."""
    try:
        data = json.loads(coco_json.read_text(encoding="utf-8"))
        plants = {int(c["id"]) for c in data["categories"] if str(c["name"]).lower() in PLANT_NAMES}
        by_image: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for annotation in data["annotations"]:
            if int(annotation["category_id"]) in plants:
                by_image[int(annotation["image_id"])].append(annotation)
        wanted = [item for item in data["images"] if split is None or item.get("split") == split]
        _require_unique(coco_json, [int(item["id"]) for item in data["images"]])
        photos = [_photo(item, by_image[int(item["id"])], images) for item in wanted]
    except OSError as error:
        raise TruthError(f"{coco_json} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise TruthError(f"{coco_json} is not JSON: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TruthError(f"{coco_json} is not a COCO file: {error!r} is missing or wrong") from error
    if not plants:
        raise TruthError(f"{coco_json} has no category named {', '.join(sorted(PLANT_NAMES))}")
    if not photos:
        raise TruthError(f"{coco_json} has no photo{f' of split {split!r}' if split else ''}")
    return photos


def _require_unique(coco_json: Path, ids: list[int]) -> None:
    twice = {number for number in ids if ids.count(number) > 1}
    if twice:
        raise TruthError(f"{coco_json} uses image id {min(twice)} for two photos")


def _photo(item: dict[str, Any], annotations: list[dict[str, Any]], images: Path) -> TruthPhoto:
    file = images / str(item["file_name"])
    width, height = int(item["width"]), int(item["height"])
    if not file.is_file():
        raise TruthError(f"the labelled photo {file} is missing; check --images")
    boxes = np.array([_corners(a, item) for a in annotations], np.float32).reshape(-1, 4)
    visible = np.array([_is_visible(a) for a in annotations], np.bool_)
    total = item.get("totals", {}).get("plants_in_frame", len(annotations))
    return TruthPhoto(file, width, height, item.get("split"), int(total), boxes, visible)


def _corners(annotation: dict[str, Any], item: dict[str, Any]) -> list[float]:
    x, y, w, h = map(float, annotation.get("bbox_foliage") or annotation["bbox"])
    width, height = item["width"], item["height"]
    # Half a pixel of rounding is common, a box beyond the photo is another photo's.
    if w < 0 or h < 0 or min(x, y) < -1 or x + w > width + 1 or y + h > height + 1:
        raise TruthError(f"a box of {item['file_name']} lies outside the photo: {[x, y, w, h]}")
    return [x, y, x + w, y + h]


def _is_visible(annotation: dict[str, Any]) -> bool:
    return not annotation.get("ignore") and float(annotation.get("visibility", 1.0)) >= VISIBLE
