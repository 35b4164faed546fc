"""Hidden plants from what is known of a place: how much room a plant takes there, in cm². Pure.

    residual    container area outside discs around the plants seen          (pipeline/estimators/classic.py)
    processed   the part of it that is no floor
    cm²         processed ÷ the squared pixels per cm, which the plants seen tell: their size is a diameter
    plants      cm² ÷ the area per plant × the overlap factor, of the table `density_parameters`

The first counters took the photo's frame for the place's outline, without perspective, to get at cm²; that
alone is replaced by the local scale. What remains wrong: both masks (see there); a plant that leans out of
its pot looks larger than the pot, which makes the scale too large and the estimate too small (**downwards**);
an overlap factor below 1 lowers the estimate where leaves overlap, though then more plants are hidden
(**downwards**); depth is not foreshortened, so what is seen obliquely has too few pixels (**downwards**).
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.boxes import centres, sizes
from pipeline.estimators.classic import Mask, residual, without_floor
from pipeline.estimators.expected import BANDS, band_edges
from pipeline.evidence import Evidence
from pipeline.scale import ScaleFit, fit_scale
from pipeline.types import ContainerKind, Estimate, Spacing

METHOD, VERSION = "density", "1"


def estimate_hidden(evidence: Evidence, index: int) -> tuple[Estimate, ...]:
    """Hidden plants of container `index`, one row per band of it from far to near; none where the spacing or
    the scale is not known."""
    if index < 0:
        return ()
    spacing = _spacing(evidence, evidence.containers[index].kind)
    scale = _scale(evidence, index)
    if spacing is None or scale is None or _fault(spacing):
        return ()
    left = residual(evidence, index)
    processed = without_floor(evidence, left)
    edges = band_edges(evidence.polygon(index))
    return tuple(
        _band(evidence.scale, (left, processed), (edges[i], edges[i + 1]), (scale, spacing), i + 1)
        for i in range(BANDS)
    )


def missing(evidence: Evidence) -> tuple[str, ...]:
    """A sentence for each kind of container in the photo whose plants' room is not known."""
    kinds = {container.kind for container in evidence.containers} - {ContainerKind.LOOSE}
    told = []
    for kind in sorted(kinds):
        spacing = _spacing(evidence, kind)
        fault = "there are no density parameters" if spacing is None else _fault(spacing)
        if fault:
            told.append(
                f"{fault} for a {kind.value.replace('_', ' ')} of what grows here, so no hidden plants were "
                "estimated in it; fill in the table density_parameters, or choose another estimator"
            )
    return tuple(told)


def _fault(spacing: Spacing) -> str:
    """What makes these parameters useless, else nothing. Our own database refuses such, callers may not."""
    if not (0 < spacing.area_cm2 < math.inf and 0 < spacing.diameter_cm < math.inf):
        return (
            f"an area of {spacing.area_cm2:g} cm² and a diameter of {spacing.diameter_cm:g} cm cannot be true"
        )
    if not 0 < spacing.overlap <= 1:
        return f"an overlap factor of {spacing.overlap:g} cannot be true"
    return ""


def _spacing(evidence: Evidence, kind: ContainerKind) -> Spacing | None:
    return next((spacing for spacing in evidence.spacings if spacing.kind is kind), None)


def _scale(evidence: Evidence, index: int) -> ScaleFit | None:
    """How large plants look in the container; in the whole photo, where it has none."""
    for which in (evidence.of(index) & evidence.sure, evidence.sure):
        boxes = evidence.found.boxes[which]
        fit = fit_scale(centres(boxes)[:, 1], sizes(boxes))
        if fit is not None:
            return fit
    return None


def _band(
    working: float,
    masks: tuple[Mask, Mask],
    rows: tuple[float, float],
    measure: tuple[ScaleFit, Spacing],
    number: int,
) -> Estimate:
    scale, spacing = measure
    last = rows[1] if number < BANDS else np.inf  # the outline's lowest row is its own
    top, bottom = round(rows[0] * working), round(min(last, masks[0].shape[0] / working) * working)
    residual_px, processed_px = (float(mask[top:bottom].sum()) / working**2 for mask in masks)
    size = float(scale.at((rows[0] + rows[1]) / 2))
    per_cm = size / spacing.diameter_cm
    cell_px = spacing.area_cm2 * per_cm**2 / spacing.overlap
    return Estimate(
        method=METHOD,
        version=VERSION,
        band=number,
        y_start=float(rows[0]),
        y_end=float(rows[1]),
        residual_px=residual_px,
        suppressed_px=residual_px - processed_px,
        cell_px=cell_px,
        plants=processed_px / cell_px,
        size_px=size,
        slope=scale.slope,
    )
