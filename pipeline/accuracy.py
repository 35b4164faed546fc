"""How good boxes, scores and counts are, against the truth. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Boxes

MATCH_IOU = 0.5
NOTHING = -1
SCORE_BINS = 10
# Rows of the table of overlaps that are held at once: a crowded photo has 5,000 boxes and 2,000 plants.
BLOCK = 256


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Detections of one photo against its plants. `hit[i]` and `ignored[i]` speak of detection i;
    a detection on a plant too hidden to be asked for is ignored: neither hit nor false alarm."""

    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    plant: NDArray[np.intp]  # per detection, the plant that it found, or NOTHING
    found: NDArray[np.bool_]  # per plant of the truth

    @property
    def false(self) -> NDArray[np.bool_]:
        return ~self.hit & ~self.ignored


def match(boxes: Boxes, scores: NDArray[np.float32], truth: Boxes, visible: NDArray[np.bool_]) -> Matches:
    """Greedy, best score first, one plant per detection, visible plants before hidden ones (as COCO
    does with its ignore flag), at an IoU of at least 0.5."""
    hit, ignored = np.zeros(len(boxes), np.bool_), np.zeros(len(boxes), np.bool_)
    plant, free = np.full(len(boxes), NOTHING, np.intp), np.ones(len(truth), np.bool_)
    near = _overlapping(boxes, truth)
    for i in np.argsort(-scores, kind="stable"):
        candidates, overlap = near[i]
        open_ = free[candidates]
        candidates, overlap = candidates[open_], overlap[open_]
        if not len(candidates):
            continue
        # A visible plant first, then the larger overlap.
        best = candidates[np.lexsort((-overlap, ~visible[candidates]))[0]]
        free[best], plant[i] = False, best
        hit[i], ignored[i] = visible[best], not visible[best]
    return Matches(hit, ignored, plant, ~free)


def _overlapping(boxes: Boxes, truth: Boxes) -> list[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """Per box, the plants that it overlaps enough to be one of them, and by how much."""
    pairs = []
    for start in range(0, len(boxes), BLOCK):
        for row in iou(boxes[start : start + BLOCK], truth):
            candidates = np.flatnonzero(row >= MATCH_IOU)
            pairs.append((candidates, row[candidates]))
    return pairs


def iou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """(n, m): intersection over union of each box with each."""
    a, b = first.astype(np.float64)[:, None], second.astype(np.float64)[None]
    top_left, bottom_right = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    shared = np.prod(np.clip(bottom_right - top_left, 0, None), axis=-1)
    areas = np.prod(a[..., 2:] - a[..., :2], axis=-1) + np.prod(b[..., 2:] - b[..., :2], axis=-1)
    ratio: NDArray[np.float64] = shared / np.maximum(areas - shared, 1e-9)
    return ratio


@dataclass(frozen=True, slots=True)
class BoxScore:
    """Boxes against the plants that must be found. A share is None where nothing was found, or asked for."""

    hits: int
    false: int
    asked: int

    @property
    def precision(self) -> float | None:
        return self.hits / (self.hits + self.false) if self.hits + self.false else None

    @property
    def recall(self) -> float | None:
        return self.hits / self.asked if self.asked else None


@dataclass(frozen=True, slots=True)
class ScoreBin:
    """Boxes with scores in [low, high), and the share of them that are plants."""

    low: float
    high: float
    boxes: int
    score: float  # their mean score
    precision: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether a score is the chance of being a plant. `ece` (0–1) is the expected calibration error: the
    distance between score and precision, averaged over the boxes (Guo et al. 2017); None without boxes."""

    bins: tuple[ScoreBin, ...]
    ece: float | None


def reliability(scores: NDArray[np.float32], hit: NDArray[np.bool_]) -> Reliability:
    """Of boxes that are hits or false alarms; ignored ones prove nothing. Empty bins are left out."""
    number = np.clip((scores.astype(np.float64) * SCORE_BINS).astype(np.intp), 0, SCORE_BINS - 1)
    bins = tuple(
        ScoreBin(
            low=which / SCORE_BINS,
            high=(which + 1) / SCORE_BINS,
            boxes=int((number == which).sum()),
            score=float(scores[number == which].mean()),
            precision=float(hit[number == which].mean()),
        )
        for which in np.unique(number).tolist()
    )
    if not bins:
        return Reliability((), None)
    return Reliability(bins, sum(b.boxes * abs(b.score - b.precision) for b in bins) / len(scores))


@dataclass(frozen=True, slots=True)
class CountError:
    """Counted against true plants over photos. Shares are 0–1; the bias is that of the sum. What cannot
    be told is None: a percentage of no plants, R² of photos that all hold the same number."""

    photos: int
    truth: int
    counted: float
    mae: float | None
    mape: float | None
    bias: float | None
    r2: float | None
    coverage: float | None  # share of photos whose truth lies in the interval
    width: float | None  # mean width of the interval, as a share of the count


def count_error(
    truth: Sequence[int],
    counted: Sequence[float],
    bounds: Sequence[tuple[int, int]] = (),
    *,
    enough: int = 1,
) -> CountError:
    """Photos with fewer plants than `enough` have no percentage, but count towards MAE and bias."""
    t, c = np.asarray(truth, np.float64), np.asarray(counted, np.float64)
    errors, some = np.abs(c - t), t >= max(1, enough)
    spread = float(np.square(t - t.mean()).sum()) if len(t) else 0.0
    inside = [low <= true <= high for true, (low, high) in zip(truth, bounds, strict=False)]
    widths = [(high - low) / max(1, count) for count, (low, high) in zip(counted, bounds, strict=False)]
    return CountError(
        photos=len(t),
        truth=int(t.sum()),
        counted=float(c.sum()),
        mae=float(errors.mean()) if len(t) else None,
        mape=float((errors[some] / t[some]).mean()) if some.any() else None,
        bias=float((c.sum() - t.sum()) / t.sum()) if t.sum() else None,
        r2=1 - float(np.square(c - t).sum()) / spread if spread else None,
        coverage=float(np.mean(inside)) if bounds else None,
        width=float(np.mean(widths)) if bounds else None,
    )
