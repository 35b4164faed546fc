"""How unlike the photos that the models were trained on a photo is. Pure.

What a model does on photos unlike those is unknown, and its intervals were calibrated on photos like them.
So each measure of a photo is held against its range over the training photos; how far outside it lies widens
the intervals. The ranges are in the file beside the detector's card, made by tools/photo_reference.py.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.types import Measures

MOST = 4.0  # times wider, however unlike the photo is: by then its count is a guess, and the gate says so
REACH = 4.0  # spreads outside the range at which two thirds of that are reached
NO_CONTAINER = 2.0  # spreads that a photo without any container counts as outside
# Measures that are ratios or open upwards are compared by their logarithm; the number keeps 0 finite.
_LOG = {"sharpness": 0.01, "motion": 0.0, "light": 1.0, "grain": 1.0, "apparent": 1.0}


@dataclass(frozen=True, slots=True)
class Range:
    """Of one measure over the training photos: the middle 96 %, and a standard deviation beyond them."""

    low: float
    high: float
    spread: float

    def outside(self, value: float) -> float:
        """How many spreads a value lies outside; 0 within."""
        return max(self.low - value, value - self.high, 0.0) / self.spread


@dataclass(frozen=True, slots=True)
class Reference:
    """The training photos as ranges, by the names of `Measures`."""

    photos: int
    ranges: dict[str, Range]

    @staticmethod
    def parse(content: Any) -> Reference:
        """From JSON. Raises KeyError, TypeError or ValueError for what cannot be meant."""
        ranges = {name: Range(*map(float, content["ranges"][name])) for name in Measures.__slots__}
        for name, found in ranges.items():
            if not (
                math.isfinite(found.low)
                and found.low <= found.high < math.inf
                and 0 < found.spread < math.inf
            ):
                raise ValueError(f"the range of {name} is {found}, which is none")
        return Reference(int(content["photos"]), ranges)


def scaled(measured: Measures) -> dict[str, float]:
    """The measures on the scales on which they are compared."""
    values: dict[str, float] = asdict(measured)
    return {
        name: math.log(max(value, 0.0) + _LOG[name]) if name in _LOG else value
        for name, value in values.items()
    }


def unlikeness(measured: Measures, containers: int, reference: Reference | None) -> float:
    """How many times wider the intervals must be: 1 for a photo like the training photos, at most `MOST`.

    Without plants, their size and scores say nothing. Without a reference nothing is known, and nothing is
    widened.
    """
    if reference is None:
        return 1.0
    far = math.hypot(*distances(measured, reference).values(), 0.0 if containers else NO_CONTAINER)
    return 1 + (MOST - 1) * -math.expm1(-far / REACH)


def distances(measured: Measures, reference: Reference) -> dict[str, float]:
    """Per measure, how many spreads it lies outside its range."""
    values = scaled(measured)
    if measured.apparent <= 0:  # no plant was found
        for name in ("apparent", "score", "doubtful"):
            del values[name]
    return {name: reference.ranges[name].outside(value) for name, value in values.items()}
