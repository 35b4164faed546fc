"""The default estimate: a mean of what the cells and the boxes of a container say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.calibration import Calibration
from pipeline.estimators import density_map
from pipeline.evidence import Evidence
from pipeline.tally import count_containers
from pipeline.types import Container, ContainerKind
from tests.pipeline.scenes import draw_bed
from tests.pipeline.test_estimate import see, some

BED = draw_bed(missing=0.15, seed=1)
CELL = 8.0
numbers = st.integers(0, 2**32 - 1)


def calibration(share: float = 0.75, gain: float = 1.0) -> Calibration:
    return Calibration.parse(
        {
            "version": "drawn",
            "scores": [0.1, 0.5, 0.9],
            "sizes": [15, 60],
            "worth": [[0.1, 0.1], [0.6, 0.6], [1.0, 1.0]],
            "loose": [0.0, 0.5, 1.0],
            "spread": 1.0,
            "density": {"share": share, "gain": gain},
        }
    )


def evidence(seen: NDArray[np.bool_], cells: float) -> Evidence:
    """Of the drawn bed: the boxes of these plants, and cells that hold `cells` plants in its middle."""
    found = see(BED.photo, BED.boxes[seen], [Container(ContainerKind.SEGMENT, BED.polygon, 0.9)])
    density = np.zeros((-(-found.height // 8), -(-found.width // 8)), np.float32)
    (x1, y1), (x2, y2) = BED.polygon.min(axis=0) / CELL, BED.polygon.max(axis=0) / CELL
    middle = density[int(y1) + 4 : int(y2) - 4, int(x1) + 4 : int(x2) - 4]
    middle[:] = cells / middle.size
    return replace(found, density=density, density_cell=CELL)


def total(found: Evidence, fitted: Calibration) -> int:
    trimmed = density_map.trimmed(found, fitted)
    counts, _ = count_containers(trimmed, density_map.estimator(fitted))
    return sum(count.seen + count.hidden for count in counts)


@pytest.mark.parametrize(("share", "plants"), [(1.0, 300), (0.5, 250), (0.0, 200)])
def test_the_count_is_the_mean_of_cells_and_boxes(share: float, plants: int) -> None:
    seen = np.arange(len(BED.boxes)) < 200
    found = evidence(seen, 300)
    assert total(found, calibration(share)) == pytest.approx(plants, abs=2)


def test_what_a_gap_does_not_hold_is_not_counted_however_large_it_is() -> None:
    """A third of the pots was taken away: the cells there are empty, and nothing is made of their area."""
    seen = BED.boxes[:, 0] < np.quantile(BED.boxes[:, 0], 2 / 3)
    assert total(evidence(seen, float(seen.sum())), calibration()) == pytest.approx(seen.sum(), abs=2)


@given(share=st.floats(0.05, 0.95), number=numbers, cells=st.floats(0, 600), weight=st.floats(0, 1))
@settings(max_examples=25)
def test_one_detection_more_never_lowers_the_total(
    share: float, number: int, cells: float, weight: float
) -> None:
    seen = some(BED, share, number)
    if seen.all():
        seen[0] = False
    fitted = calibration(weight)
    before = total(evidence(seen, cells), fitted)
    seen[np.random.default_rng(number).choice(np.flatnonzero(~seen))] = True
    assert total(evidence(seen, cells), fitted) >= before


@given(share=st.floats(0.05, 1), number=numbers)
@settings(max_examples=15)
def test_the_order_of_detections_changes_nothing(share: float, number: int) -> None:
    found = evidence(some(BED, share, number), 200)
    order = np.random.default_rng(number).permutation(len(found.found))
    mixed = replace(found, found=found.found.take(order), sure=found.sure[order], owner=found.owner[order])
    assert total(mixed, calibration()) == total(found, calibration())


@given(number=numbers, cells=st.floats(0, 600))
@settings(max_examples=15)
def test_no_more_plants_are_seen_than_are_expected(number: int, cells: float) -> None:
    found, fitted = evidence(some(BED, 0.9, number), cells), calibration(1.0)
    trimmed = density_map.trimmed(found, fitted)
    assert trimmed.sure.sum() <= round(density_map.expected_plants(found, 0, fitted)) <= round(cells) + 1
    assert not (trimmed.sure & ~found.sure).any()
