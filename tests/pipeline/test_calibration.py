"""What boxes are worth, and what that says of plants not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.calibration import Calibration
from pipeline.estimators.expected import BANDS, estimate_unseen
from pipeline.types import Detections, Estimate

CONTENT: dict[str, Any] = {
    "version": "2026.11.22",
    "scores": [0.1, 0.3, 0.6],
    "sizes": [10, 40],
    "worth": [[0.0, 0.2], [0.5, 0.7], [1.0, 1.2]],
    "loose": [0.0, 0.1, 1.0],
    "spread": 1.5,
}
CALIBRATION = Calibration.parse(CONTENT)
FRAME = np.array([[0, 0], [400, 0], [400, 400], [0, 400]], np.float32)


def found(scores: list[float], rows: list[float] | None = None, size: float = 40) -> Detections:
    tops = np.array(rows or [100.0] * len(scores), np.float32)
    boxes = np.stack([np.full_like(tops, 10), tops, np.full_like(tops, 10 + size), tops + size], axis=1)
    n = len(scores)
    return Detections(boxes, np.array(scores, np.float32), np.zeros(n, np.int16), np.zeros(n, np.bool_))


def estimate(detections: Detections, sure: list[bool]) -> tuple[Estimate, ...]:
    sizes = np.full(len(detections), 40, np.float32)
    worth = CALIBRATION.worth_of(detections.scores, sizes, np.ones(len(detections), np.bool_))
    return estimate_unseen(detections, worth - np.array(sure, np.float64), FRAME, "1")


def unseen(detections: Detections, sure: list[bool]) -> float:
    return sum(row.plants for row in estimate(detections, sure))


@pytest.mark.parametrize(
    ("score", "size", "worth"),
    [(0.3, 10, 0.5), (0.6, 40, 1.2), (0.45, 20, 0.85), (0.99, 400, 1.2), (0.2, 10, 0.25), (0.05, 40, 0.0)],
)
def test_worth_is_read_between_the_points_and_held_beyond_them(
    score: float, size: float, worth: float
) -> None:
    value = CALIBRATION.worth_of(np.array([score]), np.array([size]), np.array([True]))
    assert value == pytest.approx([worth])


def test_a_box_outside_every_container_is_worth_what_its_score_says_alone() -> None:
    value = CALIBRATION.worth_of(np.array([0.3, 0.3]), np.array([10, 400]), np.zeros(2, np.bool_))
    assert value == pytest.approx([0.1, 0.1])


def test_doubtful_boxes_add_what_they_are_worth() -> None:
    assert unseen(found([0.6, 0.3, 0.3]), [True, False, False]) == pytest.approx(0.2 + 0.7 + 0.7)


def test_seen_boxes_that_are_often_no_plants_take_away_but_never_below_nothing() -> None:
    assert unseen(found([0.3, 0.3]), [True, True]) == 0
    assert unseen(found([0.3, 0.6, 0.6, 0.6]), [True] * 4) == pytest.approx(-0.3 + 3 * 0.2)


def test_bands_run_from_far_to_near_and_hold_what_stands_in_them() -> None:
    rows = estimate(found([0.6, 0.6], [0, 350]), [False, False])

    assert [row.band for row in rows] == list(range(1, BANDS + 1))
    assert [round(row.plants, 3) for row in rows] == [1.2, 0, 0, 1.2]
    assert (rows[0].y_start, rows[-1].y_end) == (0, 400)


boxes = st.lists(st.tuples(st.floats(0.01, 1), st.floats(0, 380), st.booleans()), max_size=30)


@given(boxes)
def test_no_band_holds_less_than_nothing_and_the_order_of_boxes_changes_nothing(
    items: list[tuple[float, float, bool]],
) -> None:
    scores, rows, sure = (list(column) for column in zip(*items, strict=True)) if items else ([], [], [])
    forward = estimate(found(scores, rows), sure)
    backward = estimate(found(scores[::-1], rows[::-1]), sure[::-1])

    assert all(row.plants >= 0 for row in forward)
    np.testing.assert_allclose([r.plants for r in forward], [r.plants for r in backward], atol=1e-9)


@given(boxes.filter(bool))
def test_one_more_box_never_raises_the_total_by_more_than_it_is_worth(
    items: list[tuple[float, float, bool]],
) -> None:
    scores, rows, sure = (list(column) for column in zip(*items, strict=True))
    with_all = sum(sure) + unseen(found(scores, rows), sure)
    without_last = sum(sure[:-1]) + unseen(found(scores[:-1], rows[:-1]), sure[:-1])
    most = float(CALIBRATION.worth.max())

    assert with_all - without_last <= max(1.0, most) + 1e-9


@pytest.mark.parametrize(
    "change",
    [
        {"scores": [0.3, 0.1, 0.6]},
        {"scores": [0.0, 0.3, 0.6]},
        {"sizes": [10]},
        {"worth": [[0.0, 0.2], [0.5, 0.7]]},
        {"worth": [[0.0, -0.2], [0.5, 0.7], [1.0, 1.2]]},
        {"loose": [0.0, float("nan"), 1.0]},
        {"spread": 0},
        {"spread": "wide"},
    ],
)
def test_a_calibration_that_cannot_be_meant_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Calibration.parse(CONTENT | change)
