"""How large plants look at each row of the photo. Pure.

Under a tilted camera the apparent size of a pot is close to linear in the image row (pinhole camera
over a plane: length scale ∝ distance of the row from the horizon), so a line is fitted per container.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# With fewer sizes a slope would follow the noise.
ENOUGH_FOR_A_SLOPE = 12
# Beyond these multiples of the median the line is extrapolation, not scale.
LIMITS = (0.4, 2.5)


@dataclass(frozen=True, slots=True)
class ScaleFit:
    """Apparent plant size in pixels: `at(y) = size + slope · (y − row)`, bounded."""

    row: float
    size: float
    slope: float

    def at(self, y: float | NDArray[np.float32]) -> NDArray[np.float64]:
        line = self.size + self.slope * (np.asarray(y, np.float64) - self.row)
        return np.clip(line, LIMITS[0] * self.size, LIMITS[1] * self.size)


def fit_scale(rows: NDArray[np.float32], apparent: NDArray[np.float32]) -> ScaleFit | None:
    """A robust line through apparent sizes (pixels) at rows (pixels); None without any above zero.

    Theil–Sen: the slope is the median over pairs, so a third of wrong boxes, scattered over the rows,
    do not turn it. All sizes in one row, or few of them, give a constant.
    """
    real = apparent > 0  # What has no area would make the scale zero, and areas are divided by it.
    rows, apparent = rows[real], apparent[real]
    if not len(rows):
        return None
    row, size = float(np.median(rows)), float(np.median(apparent))
    if len(rows) < ENOUGH_FOR_A_SLOPE or np.ptp(rows) < size:
        return ScaleFit(row, size, 0.0)
    order = np.lexsort((apparent, rows))  # Of plants in one row the order must not matter either.
    y, s = rows[order].astype(np.float64), apparent[order].astype(np.float64)
    # Pairs half the list apart: n/2 independent long-armed slopes are as robust as all n² pairs.
    half = len(y) // 2
    run = y[half:] - y[: len(y) - half]
    usable = run > size / 2
    if not usable.any():
        return ScaleFit(row, size, 0.0)
    slope = float(np.median((s[half:] - s[: len(s) - half])[usable] / run[usable]))
    level = float(np.median(s - slope * (y - row)))
    if level <= 0:
        return ScaleFit(row, size, 0.0)
    return ScaleFit(row, level, slope)
