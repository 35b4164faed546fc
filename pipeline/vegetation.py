"""Which pixels look like this photo's plants. Pure apart from OpenCV's colour conversion.

Brightness or green alone would lose grey, red and spiny plants, and keep algae. So the colours are
learnt from the photo itself: what lies in the middle of detected plants against what lies where no
plant was found.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import centres
from pipeline.types import Boxes, Pixels

BINS = (12, 16, 16)  # L a b
# Colours seen on fewer pixels than this are no evidence for either side.
SMOOTHING = 4.0
# What lies this far from a plant's middle towards its rim is plant for certain.
INNER_SHARE = 0.6


def plant_likeness(
    pixels: Pixels, plants: NDArray[np.uint8], other: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """(h, w): probability 0–1 that a pixel is plant, by colour alone and with equal priors.

    `plants` and `other` are masks (non-zero = sample) of the same height and width as `pixels`.
    Without samples on either side the answer is 0.5 everywhere: nothing is known.
    """
    if not plants.any() or not other.any():
        return np.full(pixels.shape[:2], 0.5, np.float32)
    lab = cv2.cvtColor(cv2.GaussianBlur(pixels, (3, 3), 0), cv2.COLOR_BGR2LAB)
    bins = _bin_numbers(lab.astype(np.int32))
    total = int(np.prod(BINS))
    of_plants = np.bincount(bins[plants > 0], minlength=total).astype(np.float64)
    of_other = np.bincount(bins[other > 0], minlength=total).astype(np.float64)
    # Both sides get the same weight however many pixels each has.
    of_plants *= 1e4 / of_plants.sum()
    of_other *= 1e4 / of_other.sum()
    likeness = (of_plants + SMOOTHING) / (of_plants + of_other + 2 * SMOOTHING)
    return likeness.astype(np.float32)[bins]


def _bin_numbers(lab: NDArray[np.int32]) -> NDArray[np.int32]:
    light, a, b = (lab[..., i] * BINS[i] // 256 for i in range(3))
    return ((light * BINS[1] + a) * BINS[2] + b).astype(np.int32)


def ellipses(boxes: Boxes, shape: tuple[int, ...], share: float = 1.0) -> NDArray[np.uint8]:
    """(h, w): 1 inside the ellipse inscribed in each box, shrunk to `share` of it. Boxes are in pixels of
    the picture whose `shape` is given."""
    canvas = np.zeros(shape, np.uint8)
    middles = centres(boxes)
    for (x, y), (x1, y1, x2, y2) in zip(middles, boxes, strict=True):
        axes = (max(1, round((x2 - x1) / 2 * share)), max(1, round((y2 - y1) / 2 * share)))
        cv2.ellipse(canvas, (round(float(x)), round(float(y))), axes, 0, 0, 360, 1, -1)
    return canvas
