"""What a detector's boxes are worth in plants. Pure.

A detector is never sure: of the boxes that score 0.3 about half are plants, and behind every ten plants
that score 0.9 may stand an eleventh that nobody can see. On labelled photos both are the same question:
how many plants, on average, come with a box of this score and this size? The answers, fitted so that
their sum over a photo gives its true number of plants, are the worth of a box. They are kept on a grid of
scores and sizes and read between its points by bilinear interpolation. Boxes outside every container are
worth less, since nothing speaks for them but their score; they have a curve of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """`worth[i, j]` plants come with a box of score `scores[i]` and size `sizes[j]` pixels in a container,
    `loose[i]` with one outside every container. A network with a density output is believed for the share
    `map_share` of a count, after its sums were multiplied by `map_gain`."""

    version: str
    scores: Vector  # ascending; boxes below the first are worth nothing
    sizes: Vector  # ascending
    worth: NDArray[np.float64]  # (scores, sizes)
    loose: Vector  # (scores,)
    spread: float  # how many times wider than `pipeline.interval` thinks the intervals must be
    map_share: float = 0.0  # 0–1
    map_gain: float = 1.0

    @property
    def floor(self) -> float:
        """The lowest score of a box that says anything."""
        return float(self.scores[0])

    def worth_of(
        self, scores: NDArray[np.float32], sizes: NDArray[np.float32], contained: NDArray[np.bool_]
    ) -> Vector:
        """(n,): plants that come with each box. Scores are 0–1, sizes in pixels; `contained` says which
        boxes stand in a container."""
        inside = grid_basis(self.scores, self.sizes, scores, sizes) @ self.worth.ravel()
        outside = score_basis(self.scores, scores) @ self.loose
        plants: Vector = np.where(contained, inside, outside)
        return np.where(scores < self.floor, 0.0, plants)

    @staticmethod
    def parse(content: Any) -> Calibration:
        """From a model card. Raises KeyError, TypeError or ValueError for what cannot be meant."""
        scores = np.asarray(content["scores"], np.float64)
        sizes = np.asarray(content["sizes"], np.float64)
        worth = np.asarray(content["worth"], np.float64)
        loose = np.asarray(content["loose"], np.float64)
        spread = float(content["spread"])
        if not (_ascending(scores) and _ascending(sizes)):
            raise ValueError("calibration: scores and sizes must be ascending, two or more, above 0")
        if worth.shape != (len(scores), len(sizes)) or not np.isfinite(worth).all() or (worth < 0).any():
            raise ValueError("calibration: worth must be a row per score with a number >= 0 per size")
        if loose.shape != scores.shape or not np.isfinite(loose).all() or (loose < 0).any():
            raise ValueError("calibration: loose must hold a number >= 0 per score")
        if not 0 < spread < 100:
            raise ValueError(f"calibration: spread is {spread}, which is no number between 0 and 100")
        density = content.get("density", {})
        share, gain = float(density.get("share", 0.0)), float(density.get("gain", 1.0))
        if not 0 <= share <= 1 or not 0.2 < gain < 5:
            raise ValueError(f"calibration: density is {density}, where share is 0–1 and gain 0.2–5")
        return Calibration(str(content["version"]), scores, sizes, worth, loose, spread, share, gain)


def _ascending(values: Vector) -> bool:
    return values.ndim == 1 and len(values) >= 2 and bool((np.diff(values, prepend=0.0) > 0).all())


def grid_basis(
    score_knots: Vector, size_knots: Vector, scores: NDArray[np.float32], sizes: NDArray[np.float32]
) -> NDArray[np.float64]:
    """(n, grid points): each box as a mixture of the grid points around it; rows sum to 1.

    Sizes are taken by their logarithm. Values beyond the grid count as its border.
    """
    by_score = score_basis(score_knots, scores)
    by_size = _hats(np.log(np.maximum(sizes, 1e-3).astype(np.float64)), np.log(size_knots))
    mixture: NDArray[np.float64] = by_score[:, :, None] * by_size[:, None, :]
    return mixture.reshape(len(by_score), by_score.shape[1] * by_size.shape[1])


def score_basis(knots: Vector, scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, knots): the same by score alone."""
    return _hats(np.asarray(scores, np.float64), knots)


def _hats(values: Vector, knots: Vector) -> NDArray[np.float64]:
    """(n, knots): linear interpolation as weights."""
    inside = np.clip(values, knots[0], knots[-1])
    left = np.clip(np.searchsorted(knots, inside, side="right") - 1, 0, len(knots) - 2)
    share = (inside - knots[left]) / (knots[left + 1] - knots[left])
    weights = np.zeros((len(values), len(knots)))
    rows = np.arange(len(values))
    weights[rows, left] = 1 - share
    weights[rows, left + 1] = share
    return weights
