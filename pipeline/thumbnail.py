"""A small picture of a photo, for lists and pages."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.types import Pixels

SIDE = 400  # pixels of the longer side
# WebP: 12 ms for such a picture where AVIF takes 40 to 150 and is no smaller; every browser shows it.
SUFFIX, QUALITY = ".webp", 80


def make_thumbnail(photo: Pixels) -> bytes:
    """Of an upright photo, (h, w, 3). It has no EXIF, so it tells nobody where it was taken."""
    height, width = photo.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(SUFFIX, small, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    assert done  # noqa: S101  only a wrong suffix or an empty picture could fail here
    return np.asarray(data).tobytes()
