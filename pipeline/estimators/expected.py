"""Plants that were not seen for certain, by what doubtful boxes and crowded scores are worth. Pure.

The plants of a container are the summed worth of all its boxes, doubtful ones included; those not seen
are what remains after the boxes that were counted as seen. A box that only looks like a plant takes away
from the estimate what it adds to the seen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import centres
from pipeline.calibration import Calibration
from pipeline.evidence import Evidence
from pipeline.types import Detections, Estimate, Polygon

METHOD = "expected"
BANDS = 4


def estimator(calibration: Calibration) -> Callable[[Evidence, int], tuple[Estimate, ...]]:
    """Estimates by what this calibration says boxes are worth."""

    def estimate(evidence: Evidence, index: int) -> tuple[Estimate, ...]:
        worth = calibration.worth_of(evidence.found.scores, evidence.apparent_sizes, evidence.contained)
        own = evidence.of(index)
        unseen = worth[own] - evidence.sure[own]
        return estimate_unseen(evidence.found.take(own), unseen, evidence.polygon(index), calibration.version)

    return estimate


def estimate_unseen(
    found: Detections,
    unseen: NDArray[np.float64],
    polygon: Polygon,
    version: str,
) -> tuple[Estimate, ...]:
    """Unseen plants among one container's boxes, one row per band of its height from far to near.

    `unseen` (n,) is what each box is worth beyond the plant that it counts as. No area is measured, so
    the rows' areas are zero.
    """
    edges = band_edges(polygon)
    band = bands_of(centres(found.boxes)[:, 1], edges)
    per_band: NDArray[np.float64] = np.bincount(band, weights=unseen, minlength=BANDS).astype(np.float64)
    plants = shared_out(per_band)
    return tuple(
        Estimate(
            method=METHOD,
            version=version,
            band=number + 1,
            y_start=float(edges[number]),
            y_end=float(edges[number + 1]),
            residual_px=0.0,
            suppressed_px=0.0,
            cell_px=0.0,
            plants=float(plants[number]),
        )
        for number in range(BANDS)
    )


def band_edges(polygon: Polygon) -> NDArray[np.float64]:
    """(BANDS + 1,): the rows between the bands of a container, top to bottom, in photo pixels."""
    return np.linspace(float(polygon[:, 1].min()), float(polygon[:, 1].max()), BANDS + 1)


def bands_of(rows: NDArray[np.float32], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    """(n,): the band of each row of the photo; what leans out of the container counts to its end."""
    band: NDArray[np.intp] = np.clip(np.searchsorted(edges, rows, side="right") - 1, 0, BANDS - 1)
    return band


def shared_out(plants: NDArray[np.float64]) -> NDArray[np.float64]:
    """No band holds less than nothing, and together they hold the total, or nothing if that is negative."""
    total = max(0.0, float(plants.sum()))
    positive: NDArray[np.float64] = np.clip(plants, 0, None)
    if positive.any():
        positive *= total / positive.sum()
    return positive
