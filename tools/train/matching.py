"""Compare what was found with the truth: pure arithmetic on boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.train.truth import Boxes

HIT_IOU = 0.5


@dataclass(frozen=True, eq=False)
class Verdicts:
    """How each detection of one photo was judged, best score first."""

    scores: NDArray[np.float32]  # (n,), without the detections that the truth does not judge
    hits: NDArray[np.bool_]  # (n,)
    truths: int


def judge(boxes: Boxes, scores: NDArray[np.float32], truth: Boxes, unjudged: Boxes) -> Verdicts:
    """Give every detection the free truth that it overlaps most, in order of score.

    What matches none but overlaps a box of `unjudged` is neither hit nor false alarm.
    """
    order = np.argsort(-scores, kind="stable")
    overlap = iou_matrix(boxes[order], truth)
    beside = iou_matrix(boxes[order], unjudged).max(1, initial=0) >= HIT_IOU
    free = np.ones(len(truth), bool)
    hits = np.zeros(len(order), bool)
    for row in range(len(order)):
        candidates = np.where(free, overlap[row], 0)
        if len(truth) and candidates.max() >= HIT_IOU:
            free[candidates.argmax()] = False
            hits[row] = True
    judged = hits | ~beside
    return Verdicts(scores[order][judged], hits[judged], len(truth))


def precision_recall(photos: list[Verdicts]) -> tuple[float, float]:
    hits = sum(int(photo.hits.sum()) for photo in photos)
    found = sum(len(photo.hits) for photo in photos)
    truths = sum(photo.truths for photo in photos)
    return hits / max(found, 1), hits / max(truths, 1)


def average_precision(photos: list[Verdicts]) -> float:
    """Mean of the best precision at 101 recalls from 0 to 1, as COCO computes it."""
    scores = np.concatenate([photo.scores for photo in photos])
    hits = np.concatenate([photo.hits for photo in photos])[np.argsort(-scores, kind="stable")]
    truths = sum(photo.truths for photo in photos)
    recall = hits.cumsum() / max(truths, 1)
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, np.linspace(0, 1, 101))
    return float(np.append(best_from_here, 0.0)[places].mean())


def iou_matrix(first: Boxes, second: Boxes) -> NDArray[np.float32]:
    """(n, m) intersection over union of boxes (n, 4) and (m, 4)."""
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(bottom_right - top_left, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
