"""Average precision as COCO defines it, by the library that the field compares itself with.

AP50 is the area under precision over recall at an IoU of 0.5, AP the mean of that at 0.5, 0.55, … 0.95,
precision being read at 101 recalls. Unlike COCO's own 100 boxes a photo, every box takes part.
Figures and method: Lin et al. 2014, "Microsoft COCO: Common Objects in Context".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from pipeline.types import Boxes

Name = TypeVar("Name")

# COCO sets plants aside by their area: what lies outside this range is neither asked for nor a false alarm.
ASKED_AREA = [0.0, 1e10]
NOT_ASKED = -1.0


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The boxes of one photo, doubtful ones included, and its plants. `asked[i]` says that plant i must
    be found; a box on another plant is neither hit nor false alarm."""

    boxes: Boxes
    scores: NDArray[np.float32]
    truth: Boxes
    asked: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """0–1; None where no plant is asked for."""

    ap50: float | None
    ap: float | None


def average_precision(photos: Sequence[Judged]) -> AveragePrecision:
    """Over all these photos together."""
    return average_precisions({"plants": photos})["plants"]


def average_precisions(groups: Mapping[Name, Sequence[Judged]]) -> dict[Name, AveragePrecision]:
    """The same for several groups of plants, each by itself, in one go."""
    most = max((len(photos) for photos in groups.values()), default=0)
    if not any(photo.asked.any() for photos in groups.values() for photo in photos):
        return dict.fromkeys(groups, AveragePrecision(None, None))
    frame: dict[str, Any] = {
        "images": [{"id": 1 + i} for i in range(most)],
        "categories": [{"id": 1 + i, "name": str(i)} for i in range(len(groups))],
    }
    truth = COCO(frame | {"annotations": _numbered(_plants(groups))})
    found = COCO(frame | {"annotations": _numbered(_boxes(groups))})
    judge = COCOeval_faster(truth, found, "bbox", print_function=_say_nothing)
    judge.params.areaRng, judge.params.areaRngLbl = [ASKED_AREA], ["asked"]
    judge.params.maxDets = [max(1, *(len(p.boxes) for photos in groups.values() for p in photos))]
    judge.evaluate()
    judge.accumulate()
    # (IoU thresholds, recalls, groups, areas, limits); -1 where a group asks for nothing.
    precision = np.asarray(judge.eval["precision"])[:, :, :, 0, 0]
    return {name: _read(precision[:, :, i]) for i, name in enumerate(groups)}


def _read(precision: NDArray[np.float64]) -> AveragePrecision:
    if (precision < 0).all():
        return AveragePrecision(None, None)
    return AveragePrecision(float(precision[0].mean()), float(precision.mean()))


def _plants(groups: Mapping[Name, Sequence[Judged]]) -> Iterator[dict[str, Any]]:
    for category, photos in enumerate(groups.values(), start=1):
        for image, photo in enumerate(photos, start=1):
            for box, asked in zip(_sides(photo.truth), photo.asked.tolist(), strict=True):
                area = box[2] * box[3] if asked else NOT_ASKED
                yield {"image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": 0}


def _boxes(groups: Mapping[Name, Sequence[Judged]]) -> Iterator[dict[str, Any]]:
    for category, photos in enumerate(groups.values(), start=1):
        for image, photo in enumerate(photos, start=1):
            for box, score in zip(_sides(photo.boxes), photo.scores.tolist(), strict=True):
                yield {
                    "image_id": image,
                    "category_id": category,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "score": score,
                    "iscrowd": 0,
                }


def _numbered(annotations: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return [annotation | {"id": number} for number, annotation in enumerate(annotations, start=1)]


def _sides(boxes: Boxes) -> list[list[float]]:
    """Corners to COCO's x y width height."""
    sides = boxes.astype(np.float64)
    sides[:, 2:] -= sides[:, :2]
    listed: list[list[float]] = sides.tolist()
    return listed


def _say_nothing(*_: object) -> None:
    """The library tells of its progress; a command's output is its results."""
