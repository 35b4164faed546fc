"""How good boxes and counts are, against the truth. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Boxes

MATCH_IOU = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Detections of one photo against its plants. `hit[i]` and `ignored[i]` speak of detection i;
    a detection on a plant too hidden to be asked for is ignored: neither hit nor false alarm."""

    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    found: NDArray[np.bool_]  # per plant of the truth

    @property
    def false(self) -> NDArray[np.bool_]:
        return ~self.hit & ~self.ignored


def match(boxes: Boxes, scores: NDArray[np.float32], truth: Boxes, visible: NDArray[np.bool_]) -> Matches:
    """Greedy, best score first, one plant per detection, visible plants before hidden ones (as COCO
    does with its ignore flag), at an IoU of at least 0.5."""
    overlap = iou(boxes, truth)
    hit, ignored = np.zeros(len(boxes), np.bool_), np.zeros(len(boxes), np.bool_)
    free = np.ones(len(truth), np.bool_)
    for i in np.argsort(-scores, kind="stable"):
        candidates = np.flatnonzero(free & (overlap[i] >= MATCH_IOU))
        if not len(candidates):
            continue
        # A visible plant first, then the larger overlap.
        best = candidates[np.lexsort((-overlap[i, candidates], ~visible[candidates]))[0]]
        free[best] = False
        hit[i], ignored[i] = visible[best], not visible[best]
    return Matches(hit, ignored, ~free)


def iou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """(n, m): intersection over union of each box with each."""
    a, b = first.astype(np.float64)[:, None], second.astype(np.float64)[None]
    top_left, bottom_right = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    shared = np.prod(np.clip(bottom_right - top_left, 0, None), axis=-1)
    areas = np.prod(a[..., 2:] - a[..., :2], axis=-1) + np.prod(b[..., 2:] - b[..., :2], axis=-1)
    ratio: NDArray[np.float64] = shared / np.maximum(areas - shared, 1e-9)
    return ratio


@dataclass(frozen=True, slots=True)
class CountError:
    """Counted against true plants over photos. Shares are 0–1; the bias is that of the sum."""

    photos: int
    truth: int
    counted: int
    mae: float
    mape: float
    bias: float
    r2: float
    coverage: float | None  # share of photos whose truth lies in the interval
    width: float | None  # mean width of the interval, as a share of the count


def count_error(
    truth: Sequence[int], counted: Sequence[int], bounds: Sequence[tuple[int, int]] = ()
) -> CountError:
    """Photos without plants count towards MAE and bias, but have no percentage."""
    t, c = np.asarray(truth, np.float64), np.asarray(counted, np.float64)
    errors, some = np.abs(c - t), t > 0
    spread = float(np.square(t - t.mean()).sum()) if len(t) else 0.0
    inside = [low <= true <= high for true, (low, high) in zip(truth, bounds, strict=False)]
    widths = [(high - low) / max(1, count) for count, (low, high) in zip(counted, bounds, strict=False)]
    return CountError(
        photos=len(t),
        truth=int(t.sum()),
        counted=int(c.sum()),
        mae=float(errors.mean()) if len(t) else 0.0,
        mape=float((errors[some] / t[some]).mean()) if some.any() else 0.0,
        bias=float((c.sum() - t.sum()) / t.sum()) if t.sum() else 0.0,
        r2=1 - float(np.square(c - t).sum()) / spread if spread else 0.0,
        coverage=float(np.mean(inside)) if bounds else None,
        width=float(np.mean(widths)) if bounds else None,
    )
