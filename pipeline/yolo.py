"""Read the raw output of YOLO networks. Pure.

The layout is the one that ultralytics exports, without suppression in the graph:

    detection      (batch, 4 + classes, anchors)           x y w h in input pixels, then class scores
    segmentation   (batch, 4 + classes + 32, anchors)      … then 32 mask coefficients,
                   with prototypes (batch, 32, h/4, w/4)   in a second output
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Detections

MASK_COEFFICIENTS = 32


def read_boxes(raw: NDArray[np.float32], classes: int, min_score: float) -> Detections:
    """The boxes of one tile that score at least `min_score`: all of them, there is no cap.

    `raw` is (4 + classes [+ 32], anchors). Boxes come in input pixels.
    """
    scores = raw[4 : 4 + classes]
    best = scores.max(axis=0)
    kept = np.flatnonzero(best >= min_score)
    return Detections(
        _corners(raw[:4, kept].T),
        best[kept].astype(np.float32),
        scores[:, kept].argmax(axis=0).astype(np.int16),
        np.zeros(len(kept), np.bool_),
    )


def _corners(centred: NDArray[np.float32]) -> NDArray[np.float32]:
    middle, half = centred[:, :2], centred[:, 2:] / 2
    return np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a photo was fitted into a network's input: scaled, then padded right and below."""

    scale: float  # input pixels per photo pixel
    width: int  # photo pixels
    height: int

    @staticmethod
    def fit(width: int, height: int, input_width: int, input_height: int) -> Letterbox:
        return Letterbox(min(input_width / width, input_height / height), width, height)

    @property
    def inner(self) -> tuple[int, int]:
        """Width and height of the photo inside the input."""
        return max(1, round(self.width * self.scale)), max(1, round(self.height * self.scale))


def read_mask_coefficients(raw: NDArray[np.float32], classes: int, min_score: float) -> NDArray[np.float32]:
    """(n, 32): the coefficients of the boxes that `read_boxes` returns, in the same order."""
    best = raw[4 : 4 + classes].max(axis=0)
    return raw[4 + classes :, np.flatnonzero(best >= min_score)].T


def mask_logits(coefficients: NDArray[np.float32], prototypes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, h, w): masks before the sigmoid; a pixel belongs to the object where it is positive."""
    channels, height, width = prototypes.shape
    flat = coefficients @ prototypes.reshape(channels, -1)
    return flat.reshape(len(coefficients), height, width)
