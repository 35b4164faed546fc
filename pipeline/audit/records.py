"""What passes between the parts of an audit. Immutable, no I/O; a leaf that db may import."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Container
from pipeline.words import Season as Season


def season_of(taken: dt.datetime) -> Season:
    """By the month on the photo's own clock."""
    return tuple(Season)[taken.month % 12 // 3]


@dataclass(frozen=True, slots=True)
class Band:
    """The hidden plants of one band of rows of one container, as estimated."""

    container: int  # index
    y_start: float
    y_end: float
    plants: float


@dataclass(frozen=True, slots=True, eq=False)
class CountedPhoto:
    """A photo's count as the database keeps it. Arrays have an element per plant seen."""

    session_id: int
    width: int
    height: int
    containers: tuple[Container, ...]
    bands: tuple[Band, ...]
    middles: NDArray[np.float32]  # (n, 2): x y in pixels
    sizes: NDArray[np.float32]  # (n,): side of the square with the box's area, pixels
    owner: NDArray[np.intp]  # (n,): index into containers


@dataclass(frozen=True, slots=True)
class Domain:
    """What a correction is about."""

    product_id: int
    season: Season


@dataclass(frozen=True, slots=True)
class Frame:
    """A rectangle of a photo, small enough to be counted by eye: `x1 <= x < x2`, `y1 <= y < y2` in pixels.

    `seen` and `hidden` are what the machine counted in it; `plant_px` is how large a plant looks there. `far`
    frames lie above the middle plant of their photo.
    """

    session_id: int
    x1: int
    y1: int
    x2: int
    y2: int
    seen: int
    hidden: float
    plant_px: float
    far: bool = False

    @property
    def expected(self) -> float:
        return self.seen + self.hidden

    @property
    def density(self) -> float:
        """Plants per square of a plant's size."""
        return self.expected * self.plant_px**2 / ((self.x2 - self.x1) * (self.y2 - self.y1))


@dataclass(frozen=True, slots=True)
class Stratum:
    """A part of the frames of a domain from which tiles are drawn by themselves."""

    domain: Domain
    far: bool
    dense: bool
    frames: int
    plants: float  # that the machine counted in all its frames


@dataclass(frozen=True, slots=True)
class Tile:
    """A frame that was drawn. `probability` is that of being drawn, the inclusion probability."""

    stratum: Stratum
    frame: Frame
    probability: float
