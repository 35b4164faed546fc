"""What the boxes found say of a photo: how large plants look, how sure they are, how the camera was held.
Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import centres, sizes
from pipeline.evidence import Evidence
from pipeline.regions import LOOSE
from pipeline.types import Boxes, ContainerKind

# Fewer plants than these, in one container and in all, say nothing of a slope.
ENOUGH_IN_ONE, ENOUGH = 8, 30
_ROUNDS = 12
# Of a median, where scatter is normal: its spread, and the variance it has beside a mean's.
_MAD, _MEDIAN_VARIANCE = 1.4826, 1.57


@dataclass(frozen=True, slots=True)
class Tilt:
    """By which factor apparent size grows over the frame, as a natural logarithm, with standard errors.

    `down` from the top edge to the bottom edge, `right` from left to right. An ordinary photo has `down`
    above 0; from 2 on the horizon lies in the frame, for size is proportional to the distance from it.
    """

    right: float
    down: float
    right_error: float
    down_error: float


@dataclass(frozen=True, slots=True)
class Sight:
    """What was found in a photo, in a few figures.

    `size` is the median side of a plant in photo pixels, `apparent` as the network saw it; `score` the mean
    score of the plants seen, `doubtful` the share of boxes that are no plants for certain. Without plants
    they are 0.
    """

    plants: int
    loose: int  # of them, outside every container
    containers: int
    size: float
    apparent: float
    score: float
    doubtful: float
    tilt: Tilt | None

    @staticmethod
    def of(evidence: Evidence) -> Sight:
        found, sure = evidence.found, evidence.sure
        boxes, owner = found.boxes[sure], evidence.owner[sure]
        size = float(np.median(sizes(boxes))) if len(boxes) else 0.0
        return Sight(
            plants=len(boxes),
            loose=int((owner == LOOSE).sum()),
            containers=sum(container.kind is not ContainerKind.LOOSE for container in evidence.containers),
            size=size,
            apparent=float(np.median(evidence.apparent_sizes[sure])) if len(boxes) else 0.0,
            score=float(found.scores[sure].mean()) if len(boxes) else 0.0,
            doubtful=1 - len(boxes) / len(found) if len(found) else 0.0,
            tilt=fit_tilt(boxes, owner, (evidence.width, evidence.height)),
        )


def fit_tilt(boxes: Boxes, groups: NDArray[np.intp], frame: tuple[int, int]) -> Tilt | None:
    """A robust fit over all plants; None when there are too few. `frame` is width and height in pixels.

    Plants are compared only with others of their group (container): one bed holds large pots, the next small
    ones. Least absolute deviations of the logarithm of size, by iterated weights.
    """
    at, size = centres(boxes).astype(np.float64) / np.array(frame), sizes(boxes).astype(np.float64)
    real = size > 0
    parts = [real & (groups == group) for group in np.unique(groups[real])]
    parts = [part for part in parts if part.sum() >= ENOUGH_IN_ONE]
    if sum(int(part.sum()) for part in parts) < ENOUGH:
        return None
    where = np.concatenate([at[part] - at[part].mean(axis=0) for part in parts])
    grown = np.concatenate([np.log(size[part]) - np.median(np.log(size[part])) for part in parts])
    weights, slopes, off = np.ones(len(grown)), np.zeros(2), np.abs(grown)
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)
        slopes = np.linalg.lstsq(where * root[:, None], grown * root, rcond=None)[0]
        off = np.abs(grown - where @ slopes)
        weights = 1 / np.maximum(off, 0.1 * np.median(off) + 1e-6)
    spread = _MAD * float(np.median(off))
    # All in one row says nothing of the other direction: its error grows without bound, not the fit's.
    doubt = np.linalg.inv(where.T @ where + 1e-9 * np.eye(2)) * (spread**2 + 1e-12) * _MEDIAN_VARIANCE
    right_error, down_error = np.sqrt(np.diag(doubt)).tolist()
    return Tilt(float(slopes[0]), float(slopes[1]), right_error, down_error)
