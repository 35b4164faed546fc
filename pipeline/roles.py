"""Which containers are the photographed bed, and which are another's in the background. Pure.

Three rules say what a person would point at:

1. A walkway crosses the photo: a straight, nearly level band with neither container nor plant in it. What
   lies beyond it is another bed, if it looks low beside the bed in front, since distance flattens it. Boxes
   and trays stand in rows, so beyond them the band must also be clearly wider than the gaps between rows.
2. A segment at the side is another bed's when the frame cuts it where it is nearest, high above the near edge
   of the photographed bed, and a clear strip separates it from that bed. Boxes and trays at the side are
   kept: cut by the frame, a bed's own look the same.

3. A bed is one segment deep: what stands behind a segment, above it in the photo and flatter, is another
   bed's. Outlines of distant beds are vague and run into each other, so here a walkway need not be seen. In
   the labels of the training photos that is true of none of 428 containers of the bed, and of 51 of 96
   others.

The limits were read off the training photos.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import centres, sizes
from pipeline.regions import LOOSE, RegionMap, nearest_container
from pipeline.types import Boxes, Container, ContainerKind, Polygon, Role

# Rise of a walkway per pixel to the right: the camera is turned and tilted by hand.
SLOPES = np.linspace(-0.3, 0.3, 25)
# A walkway's least width, as a share of the height of what is beyond it: a segment, or boxes and trays only.
WALKWAY = 0.05
WALKWAY_BEFORE_ROWS = 0.3
# In the second case also its least width beside the widest band in front, which only parts rows of the bed.
WIDER = 1.5
# What is beyond a walkway looks at most this high beside the bed in front.
FLATTER = 0.45
# A plant outside every container stands in a walkway's way only in company: this many others ...
COMPANY = 2
# ... at most this many plant sizes away. Alone, it may be a mistake of the detector.
COMPANY_REACH = 3.0

# A neighbour at the side ends at most this far down to the near edge of the bed,
ENDS_ABOVE = 0.75
# covers at most this share of the bed's largest container,
SMALLER = 0.3
# and is at least this many plant sizes away from the bed.
STRIP = 1.5
# What is behind a segment has this share of its width above it, and reaches at most this share of its own
# height down into it.
ABOVE, OVERLAPPING = 0.3, 0.3
# A point is on the side of the frame when it is nearer than this share of the width.
BORDER = 0.01
# The near end of a container: this share of its height.
END = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Plants:
    """The plants of a photo: boxes (n, 4) in pixels, which of them are sure, and the container of each."""

    boxes: Boxes
    sure: NDArray[np.bool_]
    owner: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Walkway:
    """The straight line `y = level + slope · x` in photo pixels, along the middle of a walkway."""

    slope: float
    level: float

    def beyond(self, points: NDArray[np.float32]) -> NDArray[np.bool_]:
        """(n,) for points (n, 2): True on the far side, which is up in the photo."""
        far: NDArray[np.bool_] = points[:, 1] - self.slope * points[:, 0] < self.level
        return far


def give_roles(
    containers: list[Container], regions: RegionMap, plants: Plants
) -> tuple[list[Container], NDArray[np.intp]]:
    """The containers with their roles, and the owners of the plants.

    Plants outside every container that stand beyond the walkway, or nearest to a container of the
    background, are gathered in one more container, loose and of the background, at the end of the list;
    the others remain `LOOSE`. There is always a main container where there is any container.
    """
    if not containers:
        return containers, plants.owner
    boxes, owner = plants.boxes[plants.sure], plants.owner[plants.sure]
    walkway = find_walkway(containers, in_company(boxes[owner == LOOSE]))
    far = np.zeros(len(containers), np.bool_)
    if walkway is not None:
        far[:] = [walkway.beyond(container.polygon).all() for container in containers]
    far |= _behind(containers)
    far |= _beside(containers, regions, _apparent(containers, boxes, owner), far)
    given = [
        replace(container, role=Role.BACKGROUND if is_far else Role.MAIN)
        for container, is_far in zip(containers, far, strict=True)
    ]
    loose = np.flatnonzero(plants.owner == LOOSE)
    stray = far[nearest_container(plants.boxes[loose], regions)]
    if walkway is not None:
        stray |= walkway.beyond(centres(plants.boxes[loose]))
    return _gather(given, plants, loose[stray])


def _behind(containers: list[Container]) -> NDArray[np.bool_]:
    """(n,): True for what stands behind a segment. The lowest of the segments never does."""
    low = np.array([container.polygon.min(axis=0) for container in containers])
    high = np.array([container.polygon.max(axis=0) for container in containers])
    sides = high - low
    segment = np.array([container.kind is ContainerKind.SEGMENT for container in containers])
    shared = np.minimum(high[:, None, 0], high[None, :, 0]) - np.maximum(low[:, None, 0], low[None, :, 0])
    above = shared >= ABOVE * sides[:, None, 0]
    above &= high[:, None, 1] <= low[None, :, 1] + OVERLAPPING * sides[:, None, 1]
    above &= sides[:, None, 1] < sides[None, :, 1]
    behind: NDArray[np.bool_] = (above & segment[None]).any(axis=1)
    return behind


def _gather(
    containers: list[Container], plants: Plants, strays: NDArray[np.intp]
) -> tuple[list[Container], NDArray[np.intp]]:
    """The loose plants of the background in a container of their own: the hull around them."""
    if not len(strays):
        return containers, plants.owner
    owner = plants.owner.copy()
    owner[strays] = len(containers)
    hull: Polygon = cv2.convexHull(_corners(plants.boxes[strays]).reshape(-1, 2))[:, 0].astype(np.float32)
    return [*containers, Container(ContainerKind.LOOSE, hull, 0.0, Role.BACKGROUND)], owner


def find_walkway(containers: list[Container], loose: Boxes) -> Walkway | None:
    """The walkway between the bed in front and what is beyond it, None where there is no such thing.

    `loose` (n, 4) are plants outside of the containers that must not be in the way.
    """
    shapes = [*(container.polygon for container in containers), *_corners(loose)]
    rowed = np.array([container.kind is not ContainerKind.SEGMENT for container in containers])
    in_rows = np.concatenate([rowed, np.zeros(len(loose), np.bool_)])
    best: tuple[float, Walkway] | None = None
    for slope in sorted(SLOPES.tolist(), key=abs):
        # Heights in a photo turned so that lines of this slope are level.
        heights = [shape[:, 1] - slope * shape[:, 0].astype(np.float64) for shape in shapes]
        tops, bottoms = np.array([h.min() for h in heights]), np.array([h.max() for h in heights])
        front = tops[: len(containers)].max()  # A container must be in front.
        for width, level in _walkways(tops, bottoms, in_rows):
            if level < front and (best is None or width > best[0]):
                best = width, Walkway(slope, level)
    return best[1] if best else None


def _walkways(
    tops: NDArray[np.float64], bottoms: NDArray[np.float64], in_rows: NDArray[np.bool_]
) -> Iterator[tuple[float, float]]:
    """Width and middle of each free level band that is a walkway and no gap between rows.

    All are (m,): the span of each thing from top to bottom, and whether its like stand in rows.
    """
    order = np.argsort(tops, kind="stable")
    tops, ends = tops[order], np.maximum.accumulate(bottoms[order])
    rows_only = np.logical_and.accumulate(in_rows[order])
    widths = tops[1:] - ends[:-1]
    in_front = np.append(np.maximum.accumulate(widths[:0:-1])[::-1], 0.0)  # the widest band nearer by
    beyond, front = ends[:-1] - tops[0], ends[-1] - tops[1:]
    least = np.where(
        rows_only[:-1], np.maximum(WALKWAY_BEFORE_ROWS * beyond, WIDER * in_front), WALKWAY * beyond
    )
    for k in np.flatnonzero((widths > 0) & (widths >= least) & (beyond <= FLATTER * front)):
        yield float(widths[k]), float(ends[k] + widths[k] / 2)


def in_company(boxes: Boxes) -> Boxes:
    """Those of the plants (n, 4) that have others near them, nearest in plant sizes."""
    middles, reach = centres(boxes), COMPANY_REACH * sizes(boxes)
    near = np.array(
        [
            (np.abs(middles - middle).max(axis=1) <= far).sum() > COMPANY
            for middle, far in zip(middles, reach, strict=True)
        ],
        np.bool_,
    )
    return boxes[near]


def _corners(boxes: Boxes) -> NDArray[np.float32]:
    """(n, 4, 2): the corners of each box."""
    return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)


def _beside(
    containers: list[Container], regions: RegionMap, apparent: NDArray[np.float64], far: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(n,): True for the segments at the sides that belong to other beds.

    `apparent` (n,) is how large plants look in each container, `far` (n,) which are out of the question.
    """
    bed = ~far
    if not bed.any():
        return far
    width = regions.labels.shape[1] / regions.scale
    areas = np.array([cv2.contourArea(container.polygon) for container in containers])
    ends = np.array([container.polygon[:, 1].max() for container in containers])
    small = bed & (areas <= SMALLER * areas[bed].max()) & (ends <= ENDS_ABOVE * ends[bed].max())
    sides = {
        int(i): side
        for i in np.flatnonzero(small)
        if containers[i].kind is ContainerKind.SEGMENT and (side := _cut_side(containers[i].polygon, width))
    }
    # Behind a neighbour there may be another, so the bed shrinks until nothing changes. The largest
    # container is never small, so a bed remains.
    while True:
        others = [
            i for i, side in sides.items() if bed[i] and _strip(regions, i, side, bed) >= STRIP * apparent[i]
        ]
        if not others:
            return ~bed & ~far
        bed[others] = False


def _cut_side(outline: Polygon, width: float) -> int:
    """-1 or 1 where the left or right side of the frame cuts the near end of a container, 0 elsewhere."""
    top, bottom = outline[:, 1].min(), outline[:, 1].max()
    end = outline[outline[:, 1] >= bottom - END * (bottom - top), 0]
    left, right = bool(end.min() <= BORDER * width), bool(end.max() >= (1 - BORDER) * width)
    return int(right) - int(left)


def _strip(regions: RegionMap, index: int, side: int, bed: NDArray[np.bool_]) -> float:
    """Photo pixels between a container at a side and the bed, across: the median over the rows that both
    reach; 0 where there are none."""
    labels = regions.labels if side < 0 else regions.labels[:, ::-1]
    own = labels == index + 1
    rows = own.any(axis=1)
    labels, own = labels[rows], own[rows]
    last = labels.shape[1] - 1 - own[:, ::-1].argmax(axis=1)
    inward = np.concatenate([[False], bed])[labels] & (np.arange(labels.shape[1]) > last[:, None])
    met = inward.any(axis=1)
    gaps = (inward.argmax(axis=1) - last)[met]
    return float(np.median(gaps)) / regions.scale if len(gaps) else 0.0


def _apparent(containers: list[Container], boxes: Boxes, owner: NDArray[np.intp]) -> NDArray[np.float64]:
    """(n,): how large plants look in each container, pixels; where it has none, in the photo."""
    seen = sizes(boxes)
    overall = float(np.median(seen)) if len(seen) else np.inf
    return np.array(
        [
            float(np.median(seen[owner == i])) if (owner == i).any() else overall
            for i in range(len(containers))
        ]
    )
