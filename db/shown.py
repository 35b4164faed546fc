"""How much of a bed a photo shows. Pure.

Measured in plants (its area by the square of a plant's side), a bed is as large from near as from afar, so
two photos of one place can be compared. One that shows much less of it shows a part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.types import PhotoResult, Role

FEWEST = 5  # plants whose median side can be trusted


def bed_in_plants(result: PhotoResult) -> float | None:
    """The area of the photographed bed, in squares of a plant's side; None where too few plants are seen."""
    main = [index for index, count in enumerate(result.counts) if count.container.role is Role.MAIN]
    boxes = result.detections.boxes[np.isin(result.owner, main)]
    area = sum(area_of(result.counts[index].container.polygon.tolist()) for index in main)
    if len(boxes) < FEWEST or area <= 0:
        return None
    side = float(np.median(np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))))
    return area / side**2 if side > 0 else None


def area_of(polygon: Sequence[Sequence[float]]) -> float:
    """Pixels inside a polygon of `[x, y]` (the shoelace formula)."""
    following = [*polygon[1:], *polygon[:1]]
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(polygon, following, strict=True))) / 2
