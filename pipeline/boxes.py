"""Merge what neighbouring tiles saw twice. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.neighbours import Index, Neighbours
from pipeline.types import Boxes, Detections

BLOCK = 2048  # boxes settled at once


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
    ranked = np.lexsort((*found.boxes.T[::-1], found.classes, -found.scores, found.cut, found.scores < sure))
    return found.take(ranked[_survivors(_Crowd.of(found.take(ranked), max_iou, max_cut_overlap))])


@dataclass(frozen=True, slots=True)
class _Crowd:
    """Boxes, best first, and what makes two of them one plant."""

    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    cut: NDArray[np.bool_]
    max_iou: float
    max_cut_overlap: float

    @staticmethod
    def of(found: Detections, max_iou: float, max_cut_overlap: float) -> _Crowd:
        boxes = found.boxes.astype(np.float64)
        return _Crowd(boxes, _areas(boxes), found.cut, max_iou, max_cut_overlap)

    def are_twins(self, first: Index, second: Index) -> NDArray[np.bool_]:
        """(n,): which pairs are one plant."""
        shared = _shared(self.boxes[first], self.boxes[second])
        a, b = self.areas[first], self.areas[second]
        twins: NDArray[np.bool_] = shared > self.max_iou * (a + b - shared)
        cut = self.cut[first] | self.cut[second]
        return twins | (cut & (shared > self.max_cut_overlap * np.minimum(a, b)))


def _survivors(crowd: _Crowd) -> NDArray[np.bool_]:
    """(n,): which boxes no better one that survives silences.

    Block by block from the best, so that of a pile of twins most are gone before they are compared.
    """
    alive = np.ones(len(crowd.boxes), np.bool_)
    everyone = Neighbours(crowd.boxes)
    for begin in range(0, len(alive), BLOCK):
        block = begin + np.flatnonzero(alive[begin : begin + BLOCK])
        kept = block[_settled(crowd, block)]
        alive[block] = False
        alive[kept] = True
        for first, second in everyone.pairs(kept):
            later = alive[second] & (second >= begin + BLOCK)
            twins = crowd.are_twins(first[later], second[later])
            alive[second[later][twins]] = False
    return alive


def _settled(crowd: _Crowd, block: Index) -> NDArray[np.bool_]:
    """(n,): which of a block, given best first, survive among themselves.

    In rounds: who has no better twin left stays, and silences its twins.
    """
    better, worse = [], []
    for first, second in Neighbours(crowd.boxes[block]).pairs(np.arange(len(block))):
        ahead = np.flatnonzero(first < second)
        twins = ahead[crowd.are_twins(block[first[ahead]], block[second[ahead]])]
        better.append(first[twins])
        worse.append(second[twins])
    a, b = (np.concatenate([*parts, np.empty(0, np.intp)]) for parts in (better, worse))
    open_, kept = np.ones(len(block), np.bool_), np.zeros(len(block), np.bool_)
    while len(a):
        challenged = np.zeros(len(block), np.bool_)
        challenged[b] = True
        stays = open_ & ~challenged
        kept |= stays
        open_[b[stays[a]]] = False
        open_ &= ~stays
        left = open_[a] & open_[b]
        a, b = a[left], b[left]
    return kept | open_


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


def _shared(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,): area that the boxes of each pair share."""
    width = np.minimum(first[:, 2], second[:, 2]) - np.maximum(first[:, 0], second[:, 0])
    height = np.minimum(first[:, 3], second[:, 3]) - np.maximum(first[:, 1], second[:, 1])
    shared: NDArray[np.float64] = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    return shared


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
