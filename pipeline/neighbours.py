"""Which boxes lie near which, for tens of thousands of boxes, without comparing all with all. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.intp]

PAIRS_AT_ONCE = 1 << 18  # bounds the memory, and what is compared stays in the processor's cache


class _Level(NamedTuple):
    """Boxes of about one size, by the row of cells that holds their upper edge, then from left to right.

    No box is larger than a cell, so what begins more than a cell before a place does not reach it.
    """

    cell: float
    keys: NDArray[np.float64]  # ascending: row × stride + left edge
    stride: float
    members: Index


class Neighbours:
    """An index over boxes (n, 4); those without area are nobody's neighbours.

    Time and memory follow the crowding and not n². One huge box among small ones costs only itself, since
    every octave of sizes has a grid of its own.
    """

    def __init__(self, boxes: NDArray[np.float64]) -> None:
        self._boxes = boxes
        self._left = float(boxes[:, 0].min(initial=0.0))
        widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        octaves = np.ceil(np.log2(np.maximum(np.maximum(widths, heights), 1.0)))
        octaves[(widths <= 0) | (heights <= 0)] = -1
        self._levels = [
            self._level(np.flatnonzero(octaves == octave), 2.0**octave)
            for octave in np.unique(octaves[octaves >= 0])
        ]

    def _level(self, members: Index, cell: float) -> _Level:
        lefts = self._boxes[members, 0] - self._left
        stride = float(lefts.max()) + 1.0
        keys = np.floor(self._boxes[members, 1] / cell) * stride + lefts
        order = np.argsort(keys, kind="stable")
        return _Level(cell, keys[order], stride, members[order])

    def pairs(self, asked: Index) -> Iterator[tuple[Index, Index]]:
        """Blocks of pairs: one of `asked`, and a box that may meet it. All that do meet are among them, a
        pair never twice; a box is its own neighbour."""
        x1, y1, x2, y2 = self._boxes[asked].T
        for level in self._levels:
            first = np.floor(y1 / level.cell) - 1
            last = np.floor(y2 / level.cell)
            low = np.clip(x1 - self._left - level.cell, 0, level.stride)
            high = np.clip(x2 - self._left, 0, level.stride - 0.5)
            for step in range(int((last - first).max(initial=-1)) + 1):
                row = first + step
                inside = np.flatnonzero(row <= last)
                begin = row[inside] * level.stride
                start = np.searchsorted(level.keys, begin + low[inside])
                stop = np.searchsorted(level.keys, begin + high[inside], side="right")
                yield from _expanded(asked[inside], start, stop, level.members)


def _expanded(asked: Index, start: Index, stop: Index, members: Index) -> Iterator[tuple[Index, Index]]:
    """Each of `asked` with the members from its `start` to its `stop`."""
    counts = np.maximum(stop - start, 0)
    ends = np.cumsum(counts)
    at = 0
    while at < len(asked):
        before = int(ends[at - 1]) if at else 0
        to = max(at + 1, int(np.searchsorted(ends, before + PAIRS_AT_ONCE, side="right")))
        some = counts[at:to]
        offsets = np.repeat(start[at:to] - (ends[at:to] - some - before), some)
        yield np.repeat(asked[at:to], some), members[offsets + np.arange(len(offsets))]
        at = to
