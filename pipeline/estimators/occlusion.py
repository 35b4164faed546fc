"""How many plants stand hidden behind others: a function of the camera's tilt and of the spacing. Pure.

Seen obliquely, a plant hides the foot of the one behind it, and where plants stand close or the camera looks
flat, some of those behind show too little to be found. No area tells of them: where they stand, a box of
another plant lies. So they are added by geometry.

    tilt      the size of plants grows down the photo in proportion to the distance from the horizon; so size
              divided by its slope says how many rows away the horizon is, and with the focal length, at what
              angle the camera looks down on a row
    spacing   plants on a square grid of `p` diameters fill an image cell of p² sin(tilt) squared diameters
    visible   how much of a plant shows that has another of its size `p` before it
    hidden    the share of plants of which the unevenness of real beds leaves too little to be found

`HALF_LOST` and `SOFTNESS` are fitted to the beds among the rendered training photos, whose hidden plants are
known: 4.8 % of the plants there show less than a quarter, 4.3 % by these constants. All others are geometry.
"""

from __future__ import annotations

import math

from pipeline.scale import ScaleFit

# Focal length in long sides of the photo: 26 mm on a frame of 36 mm, as the main cameras of phones have it.
FOCAL = 0.72
# Height of a plant with its pot, in diameters.
HEIGHT = 1.0
# Below this many degrees a row is taken to lie at it: the fit is not good enough to tell.
FLATTEST = 12.0
# Visible share at which half of the plants are lost, and how softly that sets in.
HALF_LOST, SOFTNESS = 0.30, 0.09
MOST = 0.25  # of the plants of a row, however flat it is seen


def tilt_at(row: float, scale: ScaleFit, frame: tuple[int, int]) -> float:
    """Degrees by which the camera looks down on a row: 90 straight from above, which is also the answer
    where size does not grow down the photo. `frame` is the width and height of the photo; all in one unit.
    """
    if scale.slope <= 0:
        return 90.0
    focal = FOCAL * max(frame)
    below_axis = row - frame[1] / 2
    above_horizon = max(0.0, row - scale.row + scale.size / scale.slope)
    looks_down = math.atan2(above_horizon - below_axis, focal)
    return math.degrees(
        min(math.pi / 2, max(math.radians(FLATTEST), looks_down + math.atan2(below_axis, focal)))
    )


def spacing(cell: float, tilt: float) -> float:
    """Distance between neighbours in diameters, at least 1: `cell` is the area per plant in squared apparent
    sizes. The box of an upright plant is as wide as the plant and, seen obliquely, shows top and side."""
    sine, cosine = math.sin(math.radians(tilt)), math.cos(math.radians(tilt))
    return max(1.0, math.sqrt(cell * (sine + HEIGHT * cosine) / sine))


def visible_share(tilt: float, apart: float) -> float:
    """How much of a plant shows, 0–1, that has another of its size in front, `apart` diameters away."""
    sine, cosine = math.sin(math.radians(tilt)), math.cos(math.radians(tilt))
    side = min(HEIGHT, (apart - 1) * sine / cosine) if cosine > 1e-9 else HEIGHT
    return (sine + side * cosine) / (sine + HEIGHT * cosine)


def hidden_share(tilt: float, apart: float) -> float:
    """The share of all plants of a row, 0–`MOST`, that others hide."""
    lost = 1 / (1 + math.exp((visible_share(tilt, apart) - HALF_LOST) / SOFTNESS))
    return min(MOST, lost)
