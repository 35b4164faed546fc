"""Hidden plants by four bands of the photo, as the first counters of this nursery estimated them. Pure.

    residual    container area outside discs around the plants seen          (pipeline/estimators/classic.py)
    processed   the part of it that is no floor
    area        mean area of the boxes in the band, outliers left out; 2,500 px² where there are under ten
    plants      ceil(processed ÷ (area × 0.9)), per band and container

It is kept as it was, to be compared with. Beside what is said of the two masks, it is wrong in these ways:

- dividing by 0.9 adds a ninth to every estimate, which overstates stock and understates sales (**upwards**);
- pixels of vegetation are divided by the area of boxes, of which a round plant fills 0.785 (**downwards**);
- every band of every container rounds up: any speck is a plant, two too many per container (**upwards**);
- bands divide the height of the photo, not of the container, and jump where they meet (either way);
- the boxes of all containers set the area, a neighbour's large pots included (either way);
- 2,500 px² is a pot of 5 cm in a photo of 12 megapixels that frames one whole place, and no other (either
  way).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import centres
from pipeline.estimators.classic import Mask, residual, without_floor
from pipeline.evidence import Evidence
from pipeline.types import Estimate

METHOD, VERSION = "bands", "1"
BANDS = 4
ENOUGH_BOXES = 10
DEFAULT_AREA = 2500.0  # photo pixels²
ALPHA = 0.9
FENCE = 1.5  # interquartile ranges


def estimate_hidden(evidence: Evidence, index: int) -> tuple[Estimate, ...]:
    """Hidden plants of container `index`, one row per band of the photo from top to bottom."""
    if index < 0:
        return ()  # It knew nothing of plants outside containers.
    left = residual(evidence, index)
    processed = without_floor(evidence, left)
    edges = np.linspace(0, evidence.height, BANDS + 1)
    return tuple(_band(evidence, (left, processed), (edges[i], edges[i + 1]), i + 1) for i in range(BANDS))


def _band(evidence: Evidence, masks: tuple[Mask, Mask], rows: tuple[float, float], number: int) -> Estimate:
    top, bottom = (round(row * evidence.scale) for row in rows)
    residual_px, processed_px = (float(mask[top:bottom].sum()) / evidence.scale**2 for mask in masks)
    area = plant_area(evidence, rows) if residual_px else DEFAULT_AREA
    cell = area * ALPHA
    return Estimate(
        method=METHOD,
        version=VERSION,
        band=number,
        y_start=float(rows[0]),
        y_end=float(rows[1]),
        residual_px=residual_px,
        suppressed_px=residual_px - processed_px,
        cell_px=cell,
        plants=float(math.ceil(processed_px / cell)),
        size_px=math.sqrt(area),
    )


def plant_area(evidence: Evidence, rows: tuple[float, float]) -> float:
    """Photo pixels² of a plant between two rows: the mean box there, of whatever container."""
    boxes = evidence.found.boxes[evidence.sure]
    middles = centres(boxes)[:, 1]
    there = boxes[(middles >= rows[0]) & (middles < rows[1])]
    if len(there) < ENOUGH_BOXES:
        return DEFAULT_AREA
    return float(_without_outliers((there[:, 2:] - there[:, :2]).prod(axis=1).astype(np.float64)).mean())


def _without_outliers(areas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Within 1.5 interquartile ranges of the quartiles; never empty, for the quartiles are."""
    first, third = np.percentile(areas, [25, 75])
    fence = FENCE * (third - first)
    inside: NDArray[np.float64] = areas[(areas >= first - fence) & (areas <= third + fence)]
    return inside
