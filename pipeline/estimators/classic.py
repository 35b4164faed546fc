"""The two masks that the first counters of this nursery estimated from, as they made them. Pure.

They are here to be compared with and to restate old figures, not to be improved: what is wrong with them
stays wrong, and is said.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import centres
from pipeline.evidence import Evidence

Mask = NDArray[np.uint8]  # (h, w) at working scale: 0 or 1

# Radius of the disc that covers a detection, as a share of the longer side of its box.
COVER = 0.85
BLUR = 15  # photo pixels
HALF = 127  # of 255
# Hue 0–179, saturation and value 0–255: from here to there is soil.
SOIL = (0, 0, 0), (30, 40, 40)


def residual(evidence: Evidence, index: int) -> Mask:
    """The area of a container that no plant seen covers.

    Each plant covers a disc of 0.85 × the longer side of its box *as radius*, which is 2.3 times the area of
    the box: 0.85 was meant as the diameter. So single plants that were missed between others all but vanish:
    a fifth to a third of them is left (an error **downwards**).
    """
    covered = np.zeros(evidence.regions.labels.shape, np.uint8)
    boxes = evidence.found.boxes[evidence.sure] * np.float32(evidence.scale)
    longer = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
    for (x, y), side in zip(centres(boxes).tolist(), longer.tolist(), strict=True):
        cv2.circle(covered, (round(x), round(y)), max(1, round(COVER * side)), 255, -1)
    blur = max(1, round(BLUR * evidence.scale)) | 1  # OpenCV wants it odd
    smooth = cv2.GaussianBlur(covered, (blur, blur), 0)
    free: Mask = (smooth <= HALF).astype(np.uint8)
    return evidence.regions.mask(index) & free


def without_floor(evidence: Evidence, left: Mask) -> Mask:
    """Of the residual `left`, what is taken for vegetation: lighter than Otsu's threshold, and no soil.

    Otsu sees the whole photo with all but the residual blackened, so that black is one of its two kinds and
    the threshold falls between black and everything else: nearly all soil passes (an error **upwards**).
    The soil gate was meant in per cent and is applied to values up to 255, so that only what is nearly black
    counts as soil (**upwards**). Brightness says little of plants: pale gravel passes (**upwards**), dark
    plants do not (**downwards**). A hole where a pot was taken away is lit like the rest and is counted.
    """
    photo = evidence.picture * left[..., None]
    light = np.ascontiguousarray(cv2.cvtColor(photo, cv2.COLOR_BGR2LAB)[..., 0])
    _, bright = cv2.threshold(light, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    low, high = (np.array(bound, np.uint8) for bound in SOIL)
    soil = cv2.inRange(cv2.cvtColor(photo, cv2.COLOR_BGR2HSV), low, high)
    kept = bright.astype(np.uint8) & (soil == 0).astype(np.uint8)
    opened = cv2.morphologyEx(kept, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3)))
    return opened.astype(np.uint8) & left
