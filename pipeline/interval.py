"""How sure a count is. Pure.

The spread has three parts, as shares of what they multiply: detector errors that differ from plant to
plant (they average out), errors that a whole photo shares (light, angle: they do not), and the
estimate of hidden plants, which is worth least. How far the result is off for a model is measured on
labelled photos and kept in its card as `spread`, so that the intervals cover what they promise.
"""

from __future__ import annotations

import math

Z_90 = 1.6449

PER_PLANT = 0.3  # standard deviation of one detected plant's contribution
SHARED = 0.05  # of the seen plants of a photo
HIDDEN = 0.5  # of the hidden plants
IN_DOUBT = 2.0  # how much wider when the photo carries a warning


def deviation(seen: int, hidden: float, doubtful: bool = False) -> float:
    """Standard deviation of the total, in plants, before a model's own spread."""
    variance = seen * PER_PLANT**2 + (SHARED * seen) ** 2 + (HIDDEN * hidden) ** 2 + 0.25
    return math.sqrt(variance) * (IN_DOUBT if doubtful else 1.0)


def bounds(seen: int, hidden: int, spread: float = 1.0, *, doubtful: bool = False) -> tuple[int, int]:
    """The 90 % interval of the total: whole plants, `0 <= low <= seen + hidden <= high`."""
    half = Z_90 * spread * deviation(seen, hidden, doubtful)
    total = seen + hidden
    return max(0, math.floor(total - half)), math.ceil(total + half)
