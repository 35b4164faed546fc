from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.yolo import MASK_COEFFICIENTS, Letterbox, mask_logits, read_boxes, read_mask_coefficients


def raw_output(anchors: list[list[float]]) -> NDArray[np.float32]:
    """One column per anchor: x y w h, then scores."""
    return np.array(anchors, np.float32).T


def test_boxes_come_as_corners_with_their_score() -> None:
    found = read_boxes(raw_output([[50, 40, 20, 10, 0.75], [10, 10, 4, 4, 0.1]]), 1, 0.25)
    assert found.boxes.tolist() == [[40, 35, 60, 45]]
    assert found.scores.tolist() == [0.75]
    assert found.classes.tolist() == [0]
    assert found.cut.tolist() == [False]
    assert (found.boxes.dtype, found.scores.dtype, found.classes.dtype) == (np.float32, np.float32, np.int16)


def test_the_best_class_decides() -> None:
    raw = raw_output([[5, 5, 2, 2, 0.2, 0.9, 0.3], [5, 5, 2, 2, 0.6, 0.5, 0.1], [5, 5, 2, 2, 0.2, 0.2, 0.2]])
    found = read_boxes(raw, 3, 0.5)
    assert found.classes.tolist() == [1, 0]
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])


def test_a_score_equal_to_the_threshold_is_kept() -> None:
    assert len(read_boxes(raw_output([[5, 5, 2, 2, 0.5]]), 1, 0.5)) == 1


def test_there_is_no_cap() -> None:
    anchors = np.full((5, 8400), 0.9, np.float32)
    assert len(read_boxes(anchors, 1, 0.25)) == 8400


def test_no_anchor_and_no_score_give_no_box() -> None:
    assert read_boxes(np.empty((5, 0), np.float32), 1, 0.25).boxes.shape == (0, 4)
    assert read_boxes(np.zeros((5, 100), np.float32), 1, 0.25).boxes.shape == (0, 4)


def test_mask_coefficients_are_not_taken_for_scores_and_keep_the_order_of_the_boxes() -> None:
    anchors = np.zeros((4 + 2 + MASK_COEFFICIENTS, 3), np.float32)
    anchors[4:6] = [[0.9, 0.1, 0.3], [0.0, 0.2, 0.8]]
    anchors[6:] = np.array([1.0, 2.0, 3.0])  # every coefficient beats every score
    assert read_boxes(anchors, 2, 0.5).classes.tolist() == [0, 1]
    coefficients = read_mask_coefficients(anchors, 2, 0.5)
    assert coefficients.shape == (2, MASK_COEFFICIENTS)
    assert coefficients[:, 0].tolist() == [1, 3]


def test_a_mask_is_the_weighted_sum_of_prototypes() -> None:
    prototypes = np.zeros((MASK_COEFFICIENTS, 2, 3), np.float32)
    prototypes[0], prototypes[1] = 1, [[0, 1, 2], [3, 4, 5]]
    coefficients = np.zeros((2, MASK_COEFFICIENTS), np.float32)
    coefficients[0, :2] = -2, 1
    logits = mask_logits(coefficients, prototypes)
    assert logits[0].tolist() == [[-2, -1, 0], [1, 2, 3]]
    assert not logits[1].any()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from([(640, 640), (1024, 768)]))
def test_a_photo_fills_one_side_of_the_input_and_leaves_neither(
    width: int, height: int, size: tuple[int, int]
) -> None:
    fit = Letterbox.fit(width, height, *size)
    inner = fit.inner
    assert 1 <= inner[0] <= size[0]
    assert 1 <= inner[1] <= size[1]
    assert inner[0] == size[0] or inner[1] == size[1]
    # No side is off by more than the rounding to whole pixels.
    assert inner[0] == pytest.approx(width * fit.scale, abs=1)
    assert inner[1] == pytest.approx(height * fit.scale, abs=1)
