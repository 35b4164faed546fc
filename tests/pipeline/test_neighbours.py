from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.boxes import BLOCK, drop_duplicates
from pipeline.neighbours import PAIRS_AT_ONCE, Neighbours
from pipeline.types import Detections


def random_boxes(seed: int, number: int, largest: float) -> NDArray[np.float64]:
    """Sides over three orders of magnitude, some without area, some reaching left of zero."""
    random = np.random.default_rng(seed)
    corner = random.uniform(-40, 400, (number, 2))
    sides = np.exp(random.uniform(np.log(0.3), np.log(largest), (number, 2)))
    sides[random.random(number) < 0.05] = 0
    return np.concatenate([corner, corner + sides], axis=1)


def meeting(boxes: NDArray[np.float64], asked: NDArray[np.intp]) -> set[tuple[int, int]]:
    """By comparing all with all."""
    a, b = boxes[asked][:, None], boxes[None]
    wide = np.minimum(a[..., 2], b[..., 2]) > np.maximum(a[..., 0], b[..., 0])
    high = np.minimum(a[..., 3], b[..., 3]) > np.maximum(a[..., 1], b[..., 1])
    return {(int(asked[i]), int(j)) for i, j in np.argwhere(wide & high)}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 120), st.sampled_from([2.0, 30.0, 900.0]))
def test_all_that_meet_are_among_the_pairs_and_no_pair_comes_twice(
    seed: int, number: int, largest: float
) -> None:
    boxes = random_boxes(seed, number, largest)
    asked = np.flatnonzero(np.random.default_rng(seed).random(number) < 0.7)
    pairs = [
        pair
        for first, second in Neighbours(boxes).pairs(asked)
        for pair in zip(first.tolist(), second.tolist(), strict=True)
    ]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) >= meeting(boxes, asked)


def test_pairs_come_in_blocks_of_bounded_size() -> None:
    pile = np.tile(np.array([[5.0, 5.0, 25.0, 25.0]]), (1500, 1))
    sizes = [len(first) for first, _ in Neighbours(pile).pairs(np.arange(1500))]
    assert sum(sizes) == 1500**2
    assert max(sizes) <= PAIRS_AT_ONCE + 1500


def one_by_one(found: Detections, max_iou: float, max_cut_overlap: float, sure: float) -> set[int]:
    """The rule of `drop_duplicates` as a plain loop over boxes, best first; returns what stays."""
    order = np.lexsort(
        (*found.boxes.T[::-1], found.classes, -found.scores, found.cut, found.scores < sure)
    ).tolist()
    boxes = found.boxes.astype(float)
    area = (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)
    kept: list[int] = []
    for i in order:
        others = np.array(kept, np.intp)
        low = np.maximum(boxes[others, :2], boxes[i, :2])
        high = np.minimum(boxes[others, 2:], boxes[i, 2:])
        shared = (high - low).clip(0).prod(axis=1)
        twin = shared > max_iou * (area[others] + area[i] - shared)
        halves = found.cut[others] | found.cut[i]
        twin |= halves & (shared > max_cut_overlap * np.minimum(area[others], area[i]))
        if not twin.any():
            kept.append(i)
    return set(kept)


def test_many_crowded_boxes_of_all_sizes_merge_as_one_by_one() -> None:
    random = np.random.default_rng(7)
    number = BLOCK + 1200  # more than are settled at once
    corner = random.uniform(0, 700, (number, 2))
    sides = np.exp(random.uniform(np.log(8), np.log(60), (number, 1))) * random.uniform(0.8, 1.2, (number, 2))
    sides[:3] = 650
    crowd = Detections(
        np.concatenate([corner, corner + sides], axis=1).astype(np.float32),
        random.choice(np.linspace(0.1, 1, 40), number).astype(np.float32),  # many ties
        np.zeros(number, np.int16),
        random.random(number) < 0.2,
    )
    merged = drop_duplicates(crowd, 0.4, 0.5, 0.3)
    expected = crowd.take(np.array(sorted(one_by_one(crowd, 0.4, 0.5, 0.3))))
    assert 200 < len(merged) < number
    assert sorted(map(tuple, merged.boxes.tolist())) == sorted(map(tuple, expected.boxes.tolist()))
    shuffled = drop_duplicates(crowd.take(random.permutation(number)), 0.4, 0.5, 0.3)
    assert np.array_equal(shuffled.boxes, merged.boxes)


def test_a_chain_of_twins_keeps_every_second() -> None:
    left = np.arange(3000, dtype=np.float32) * 2
    chain = np.stack([left, np.zeros(3000, np.float32), left + 7, np.full(3000, 9, np.float32)], axis=1)
    scores = np.linspace(0.99, 0.1, 3000, dtype=np.float32)
    merged = drop_duplicates(
        Detections(chain, scores, np.zeros(3000, np.int16), np.zeros(3000, np.bool_)), 0.5, 0.5
    )
    assert merged.boxes[:, 0].tolist() == (left[::2]).tolist()
