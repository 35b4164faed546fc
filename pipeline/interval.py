"""How sure a count is. Pure.

The spread has three parts, as shares of what they multiply: detector errors that differ from plant to
plant (they average out), errors that a whole photo shares (light, angle: they do not), and the
estimate of hidden plants, which is worth least. How far the result is off for a model is measured on
labelled photos and kept in its card as `spread`, so that the intervals cover what they promise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

Z_90 = 1.6449

# Chosen among few by the likelihood of the errors on 20 rendered validation photos.
PER_PLANT = 0.5  # standard deviation of one plant's contribution
SHARED = 0.04  # of the plants of a photo
HIDDEN = 0.2  # of the hidden plants
IN_DOUBT = 2.0  # how much wider when the photo carries a warning
# Errors of different photos have the network, the season and the light in common, so they do not average
# out like coins. Rendered scenes cannot tell by how much; a third of the variance is a cautious guess.
IN_COMMON = 0.3


def deviation(seen: int, hidden: float, doubtful: bool = False) -> float:
    """Standard deviation of the total, in plants, before a model's own spread."""
    plants = seen + hidden
    variance = plants * PER_PLANT**2 + (SHARED * plants) ** 2 + (HIDDEN * hidden) ** 2 + 0.25
    return math.sqrt(variance) * (IN_DOUBT if doubtful else 1.0)


def bounds(seen: int, hidden: int, spread: float = 1.0, *, doubtful: bool = False) -> tuple[int, int]:
    """The 90 % interval of the total: whole plants, `0 <= low <= seen + hidden <= high`."""
    half = Z_90 * spread * deviation(seen, hidden, doubtful)
    total = seen + hidden
    return max(0, math.floor(total - half)), math.ceil(total + half)


def add(counts: Iterable[tuple[int, int, int]], in_common: float = IN_COMMON) -> tuple[int, int]:
    """The 90 % interval of a sum, from `(total, low, high)` of its parts.

    Each side by itself: the halves' squares add up, but for the share `in_common` of the variance, whose
    errors all go the same way (equicorrelated errors: Var Σ = (1 − ρ) Σσ² + ρ (Σσ)²). Never narrower than
    independence would make it, never wider than adding all the lows and all the highs.
    """
    parts = list(counts)
    total = sum(middle for middle, _, _ in parts)
    below = _half([middle - low for middle, low, _ in parts], in_common)
    above = _half([high - middle for middle, _, high in parts], in_common)
    return max(0, math.floor(total - below + 1e-9)), math.ceil(total + above - 1e-9)


def _half(halves: list[int], in_common: float) -> float:
    squares, sum_ = sum(half**2 for half in halves), sum(halves)
    return math.sqrt((1 - in_common) * squares + in_common * sum_**2)
