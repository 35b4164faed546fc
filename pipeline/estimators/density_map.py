"""Hidden plants by what the network itself expects in each cell of the photo. Pure.

A network with a density output says how many plants stand in each cell, those included that it can no
longer outline (density-map regression, as in crowd counting). Boxes and cells err in different ways: boxes
double or miss single plants, cells are off where a bed is unlike those learnt. So a container's expected
plants are a mean of both, weighted as labelled photos taught (`Calibration.map_share`, `map_gain`). What
they exceed the plants seen by is hidden.

Where more boxes were found than plants are expected, the least sure of them are taken for doubles and for
things that only look like plants: `trimmed` leaves the best.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import centres
from pipeline.calibration import Calibration
from pipeline.estimators.expected import BANDS, band_edges, bands_of, shared_out
from pipeline.evidence import Evidence
from pipeline.types import Estimate

METHOD, VERSION = "density-map", "1"

Vector = NDArray[np.float64]


def estimator(calibration: Calibration) -> Callable[[Evidence, int], tuple[Estimate, ...]]:
    """Estimates for evidence with a density; one row per band of a container, from far to near."""

    def estimate(evidence: Evidence, index: int) -> tuple[Estimate, ...]:
        edges = band_edges(evidence.polygon(index))
        cells, area = _cells(evidence, index, edges)
        expected = _mean(cells, _boxes(evidence, index, edges, calibration), calibration)
        own = evidence.of(index) & evidence.sure
        rows = centres(evidence.found.boxes[own])[:, 1]
        hidden = shared_out(expected - np.bincount(bands_of(rows, edges), minlength=BANDS))
        return tuple(
            Estimate(
                method=METHOD,
                version=f"{VERSION}+{calibration.version}",
                band=number + 1,
                y_start=float(edges[number]),
                y_end=float(edges[number + 1]),
                residual_px=float(area[number]),
                suppressed_px=0.0,
                cell_px=float(area[number] / max(expected[number], 1.0)),
                plants=float(hidden[number]),
            )
            for number in range(BANDS)
        )

    return estimate


def trimmed(evidence: Evidence, calibration: Calibration) -> Evidence:
    """The evidence with no more plants seen in a container than are expected there; the best scores stay."""
    sure = evidence.sure.copy()
    for index in range(-1, len(evidence.containers)):
        own = np.flatnonzero(evidence.of(index) & evidence.sure)
        room = round(expected_plants(evidence, index, calibration))
        if len(own) > room:
            scores, boxes = evidence.found.scores[own], evidence.found.boxes[own]
            ranked = own[np.lexsort((*boxes.T[::-1], -scores))]
            sure[ranked[room:]] = False
    return replace(evidence, sure=sure)


def expected_plants(evidence: Evidence, index: int, calibration: Calibration) -> float:
    """Plants, seen or not, in the container with this index; `LOOSE` for those that stand in none."""
    edges = band_edges(evidence.polygon(index))
    cells, _ = _cells(evidence, index, edges)
    return float(_mean(cells, _boxes(evidence, index, edges, calibration), calibration).sum())


def _mean(cells: Vector, boxes: Vector, calibration: Calibration) -> Vector:
    share = calibration.map_share
    return share * calibration.map_gain * cells + (1 - share) * boxes


def _cells(evidence: Evidence, index: int, edges: Vector) -> tuple[Vector, Vector]:
    """Per band, the plants of a container's cells and the area of these cells in photo pixels."""
    density = np.empty((0, 0), np.float32) if evidence.density is None else evidence.density
    own = evidence.cell_owner == index
    row = np.nonzero(own)[0]
    band = bands_of(((row + 0.5) * evidence.density_cell).astype(np.float32), edges)
    plants = np.bincount(band, weights=density[own], minlength=BANDS)
    area = np.bincount(band, minlength=BANDS) * evidence.density_cell**2
    return plants.astype(np.float64), area.astype(np.float64)


def _boxes(evidence: Evidence, index: int, edges: Vector, calibration: Calibration) -> Vector:
    """Per band, what a container's boxes are worth in plants."""
    own = evidence.of(index)
    worth = calibration.worth_of(evidence.found.scores, evidence.apparent_sizes, evidence.contained)[own]
    band = bands_of(centres(evidence.found.boxes[own])[:, 1], edges)
    return np.bincount(band, weights=worth, minlength=BANDS).astype(np.float64)
