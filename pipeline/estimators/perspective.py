"""Plants that the detector missed: estimated from the area that looks like plants and has no box, and from
what stands before them.

    residual    container area outside every detection
    vegetation  the part of it that looks like this photo's plants (a hole where a pot was sold does not)
    opened      what is left after removing everything narrower than a plant: leaf tips, gaps between pots
    plants      opened area ÷ the cell that one plant occupies here
    occluded    of all these and the plants seen, the share that others hide (see occlusion.py)

The cell is measured where plants were found: the area they fill, gaps included, divided by their
number, in units of the squared apparent size, so that it follows the perspective. Fractions are kept: the
container's sum is rounded once.

Known weakness: the colours of plants are learnt from the plants seen against all that no box covers. Where
many were missed, their colours stand on both sides, and one detection more or less may tip what looks like
a plant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import centres, sizes
from pipeline.estimators.occlusion import hidden_share, spacing, tilt_at
from pipeline.evidence import Evidence
from pipeline.scale import ScaleFit, fit_scale
from pipeline.types import Boxes, Estimate

METHOD, VERSION = "perspective", "2"
BANDS = 4
# Fewer plants than this cannot say how much room a plant takes.
ENOUGH_PLANTS = 8
# Radius, in plant sizes, of the disc that must fit into a gap before it can hide a plant.
OPENING = 0.42
# Of 255: more likely a plant than not. 128 is what colours get that say nothing, as in a photo of one colour.
LIKELY_PLANT = 128


@dataclass(frozen=True, slots=True, eq=False)
class _Bed:
    """A container at working scale: its area, the boxes seen in it, how large plants look, and the area per
    plant in squared apparent sizes."""

    mask: NDArray[np.uint8]
    own: Boxes
    scale: ScaleFit
    cell: float


def estimate_hidden(evidence: Evidence, index: int) -> tuple[Estimate, ...]:
    """Hidden plants of container `index`, one row per band from far to near; none without evidence.

    Areas in the rows are photo pixels.
    """
    if index < 0:
        return ()  # Without a container there is no area to look at.
    own = evidence.found.boxes[evidence.of(index) & evidence.sure] * np.float32(evidence.scale)
    scale = fit_scale(centres(own)[:, 1], sizes(own))
    if scale is None or len(own) < ENOUGH_PLANTS:
        return ()
    mask = evidence.regions.mask(index)
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return ()
    bed = _Bed(mask, own, scale, _cell_share(mask, evidence.free, own, scale))
    edges = np.linspace(rows[0], rows[-1] + 1, BANDS + 1)
    return tuple(_estimate_band(evidence, bed, (edges[i], edges[i + 1]), i + 1) for i in range(BANDS))


def _cell_share(mask: NDArray[np.uint8], free: NDArray[np.uint8], own: Boxes, scale: ScaleFit) -> float:
    """Area per plant in squared apparent sizes, where plants stand."""
    window = _around(mask, scale.size)
    covered = (mask[window] & (1 - free[window])).astype(np.uint8)
    filled = (
        cv2.morphologyEx(covered, cv2.MORPH_CLOSE, _disc(scale.size * 0.5)).astype(np.uint8) & mask[window]
    )
    weights = 1.0 / np.square(scale.at(np.arange(window[0].start, window[0].stop, dtype=np.float32)))
    occupied = float((filled.sum(axis=1) * weights).sum())
    # Boxes inscribe the plant: no cell is smaller than the ellipse, none larger than twice the box.
    return float(np.clip(occupied / len(own), np.pi / 4, 2.0))


def _estimate_band(evidence: Evidence, bed: _Bed, rows: tuple[float, float], number: int) -> Estimate:
    top, bottom = round(rows[0]), round(rows[1])
    middle = (top + bottom) / 2
    size = float(bed.scale.at(middle))
    residual_px, opened_px = _areas(evidence, bed, (top, bottom), size)
    cell_px = bed.cell * size**2
    at = centres(bed.own)[:, 1]
    # What leans over the container's far or near rim belongs to the band there.
    seen = ((at >= top) | (number == 1)) & ((at < bottom) | (number == BANDS))
    tilt = tilt_at(middle, bed.scale, (bed.mask.shape[1], bed.mask.shape[0]))
    share = hidden_share(tilt, spacing(bed.cell, tilt))
    occluded = (int(seen.sum()) + opened_px / cell_px) * share / (1 - share)
    to_photo = 1 / evidence.scale
    return Estimate(
        method=METHOD,
        version=VERSION,
        band=number,
        y_start=top * to_photo,
        y_end=bottom * to_photo,
        residual_px=residual_px * to_photo**2,
        suppressed_px=(residual_px - opened_px) * to_photo**2,
        cell_px=cell_px * to_photo**2,
        plants=opened_px / cell_px + occluded,
        size_px=size * to_photo,
        slope=bed.scale.slope,
        occluded=occluded,
    )


def _areas(evidence: Evidence, bed: _Bed, rows: tuple[int, int], size: float) -> tuple[float, float]:
    """Working pixels between two rows that no box covers, and those of them where a plant may stand."""
    reach = round(size)  # The opening looks this far over the band's border.
    above = max(0, rows[0] - reach)
    window = (slice(above, rows[1] + reach), _around(bed.mask, size)[1])
    residual = bed.mask[window] & evidence.free[window]
    plantlike = residual & (evidence.likeness[window] > LIKELY_PLANT)
    opened = cv2.morphologyEx(plantlike.astype(np.uint8), cv2.MORPH_OPEN, _disc(size * OPENING))
    inside = slice(rows[0] - above, rows[1] - above)
    return float(residual[inside].sum()), float(opened[inside].sum())


def _around(mask: NDArray[np.uint8], margin: float) -> tuple[slice, slice]:
    """Rows and columns of the mask and of `margin` pixels around it: what lies beyond costs only time."""
    more, sides = math.ceil(margin) + 1, []
    for axis in (1, 0):
        inside = np.flatnonzero(mask.any(axis=axis))
        sides.append(
            slice(max(0, int(inside[0]) - more), min(mask.shape[1 - axis], int(inside[-1]) + 1 + more))
        )
    return sides[0], sides[1]


def _disc(radius: float) -> NDArray[np.uint8]:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)).astype(np.uint8)
