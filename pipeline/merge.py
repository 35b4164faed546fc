"""The ways to merge what neighbouring tiles saw twice, by the names that the settings use.

The default is ours. SAHI's two are there to compare with, and for who counted with them before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.boxes import drop_duplicates, shares
from pipeline.config import PipelineConfig
from pipeline.types import Detections, Thing

SAHI_THRESHOLD = 0.5

Merge = Callable[[Detections, PipelineConfig, float], Detections]


def merge(found: Detections, config: PipelineConfig, sure_from: float) -> Detections:
    """One box of every plant; boxes that score less than `sure_from` change nothing about the others."""
    return MERGES[config.merge](found, config, sure_from)


def _cut_aware(found: Detections, config: PipelineConfig, sure_from: float) -> Detections:
    return drop_duplicates(found, config.max_iou, config.max_cut_overlap, sure_from)


def _sahi(postprocess: str, metric: str) -> Merge:
    """Merged by SAHI's class of this name with this metric, whatever the order of the boxes."""

    def merge(found: Detections, _: PipelineConfig, sure_from: float) -> Detections:
        from sahi.postprocess import combine

        how = getattr(combine, postprocess)(SAHI_THRESHOLD, metric, class_agnostic=True)
        found = found.take(np.lexsort((*found.boxes.T[::-1], found.classes, -found.scores)))
        # Merged together, doubtful boxes would make sure ones grow.
        sure = _merged(found.take(found.scores >= sure_from), how)
        doubtful = found.take(found.scores < sure_from)
        known = (shares(doubtful.boxes, sure.boxes, metric) >= SAHI_THRESHOLD).any(axis=1)
        return Detections.concat([sure, _merged(doubtful.take(np.flatnonzero(~known)), how)])

    return merge


def _merged(found: Detections, how: Callable[[list[Any]], list[Any]]) -> Detections:
    from sahi.prediction import ObjectPrediction

    if not len(found):
        return found
    rows = zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True)
    kept = how(
        [
            ObjectPrediction(bbox=box, score=score, category_id=kind, category_name=Thing(kind).name)
            for box, score, kind in rows
        ]
    )
    return from_sahi(kept)


def from_sahi(found: list[Any]) -> Detections:
    """SAHI's `ObjectPrediction`s as ours."""
    return Detections(
        np.array([item.bbox.to_xyxy() for item in found], np.float32).reshape(-1, 4),
        np.array([item.score.value for item in found], np.float32),
        np.array([item.category.id for item in found], np.int16),
        np.zeros(len(found), np.bool_),
    )


MERGES: dict[str, Merge] = {
    "cut-aware": _cut_aware,
    "nms": _sahi("NMSPostprocess", "IOU"),
    "greedynmm": _sahi("GreedyNMMPostprocess", "IOS"),
}
