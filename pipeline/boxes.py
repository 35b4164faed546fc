"""Merge what neighbouring tiles saw twice. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Boxes, Detections


def drop_duplicates(
    found: Detections, max_iou: float, max_cut_overlap: float, sure: float = 0.0
) -> Detections:
    """Keep one box of every plant, best first. One pot holds one thing, so of a plant, a dead plant and an
    empty pot on one spot the best stays.

    Two complete boxes are one plant when their intersection over union exceeds `max_iou`. A box that a
    tile edge cut lies almost wholly inside its complete twin though their IoU may be small, so for it
    the intersection over the smaller area counts, against `max_cut_overlap`.

    Complete boxes outrank cut ones, whatever their scores. Otherwise two halves of one plant can each
    silence the whole and be counted twice. Boxes that score less than `sure` rank after all others.
    Ties fall to the coordinates, so the order of the tiles never matters.
    """
    boxes, cut = found.boxes.astype(np.float64), found.cut
    ranked = np.lexsort((*found.boxes.T[::-1], found.classes, -found.scores, cut, found.scores < sure))
    rank = np.empty(len(ranked), np.intp)
    rank[ranked] = np.arange(len(ranked))
    areas = _areas(boxes)

    # Only boxes that share a stretch of x can meet, so compare within it:
    # time and memory follow the crowding and not n squared.
    left, right = boxes[:, 0], boxes[:, 2]
    by_left = np.argsort(left, kind="stable")
    widest = (right - left).max(initial=0)
    start = np.searchsorted(left[by_left], left - widest)
    stop = np.searchsorted(left[by_left], right, side="right")

    alive = np.ones(len(found), dtype=bool)
    for i in ranked:
        if not alive[i]:
            continue
        near = by_left[start[i] : stop[i]]
        near = near[alive[near] & (rank[near] > rank[i])]
        shared = _intersections(boxes[i], boxes[near])
        twin = shared > max_iou * (areas[i] + areas[near] - shared)
        twin |= (cut[near] | cut[i]) & (shared > max_cut_overlap * np.minimum(areas[i], areas[near]))
        alive[near[twin]] = False
    return found.take(ranked[alive[ranked]])


def shares(first: Boxes, second: Boxes, metric: str) -> NDArray[np.float64]:
    """(n, m): what each box shares with each other one, as a share of their union ("IOU") or of the smaller
    of the two ("IOS")."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    shared = np.array([_intersections(box, b) for box in a]).reshape(len(a), len(b))
    areas, others = _areas(a)[:, None], _areas(b)[None]
    whole = areas + others - shared if metric == "IOU" else np.minimum(areas, others)
    ratio: NDArray[np.float64] = shared / np.maximum(whole, 1e-9)
    return ratio


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)
    return areas


def _intersections(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    top_left = np.maximum(box[:2], boxes[:, :2])
    bottom_right = np.minimum(box[2:], boxes[:, 2:])
    shared: NDArray[np.float64] = np.prod(np.clip(bottom_right - top_left, 0, None), axis=1)
    return shared


def centres(boxes: Boxes) -> NDArray[np.float32]:
    """(n, 2): x y of the middle of each box."""
    middles: NDArray[np.float32] = (boxes[:, :2] + boxes[:, 2:]) / np.float32(2)
    return middles


def sizes(boxes: Boxes) -> NDArray[np.float32]:
    """(n,): side in pixels of the square with each box's area, the apparent size of a plant."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    apparent: NDArray[np.float32] = np.sqrt(np.prod(sides, axis=1))
    return apparent
