"""A perceptual hash: 64 bits that stay almost the same when a picture is sent on, shrunk or re-encoded.

The signs, against their median, of the 64 lowest spatial frequencies of the picture (a discrete cosine
transform of 32×32 grey pixels, the mean left out), as in Zauner, "Implementation and Benchmarking of
Perceptual Image Hash Functions" (2010). Two pictures are alike when few bits differ.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.types import Pixels

BITS = 64
_SIDE = 32
# The lowest frequencies, by their sum over both directions and then by rows; (0, 0) is the mean.
_LOWEST = sorted(
    ((row, column) for row in range(_SIDE) for column in range(_SIDE)), key=lambda at: (sum(at), at)
)[1 : BITS + 1]
_FLAT = 1.0  # grey levels: below it there is no picture, and the hash would be that of rounding errors


def perceptual_hash(pixels: Pixels) -> int | None:
    """64 bits as a signed integer, the way PostgreSQL's bigint holds them; None for one solid colour."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY).astype(np.float32)
    tiny = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    if np.ptp(tiny) < _FLAT:
        return None
    waves = np.asarray(cv2.dct(tiny))[tuple(zip(*_LOWEST, strict=True))]
    bits: NDArray[np.bool_] = waves > np.median(waves)
    return int(np.packbits(bits).view(">i8")[0])


def distance(one: int, other: int) -> int:
    """How many of the 64 bits differ."""
    return ((one ^ other) & ((1 << BITS) - 1)).bit_count()
