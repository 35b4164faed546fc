"""Containers as areas of the photo, and which plant stands in which. Pure.

Areas are label images at a working scale of at most `WORKING_SIDE` pixels: exact enough for plants,
and a photo of any size costs the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import centres, sizes
from pipeline.types import Boxes, Container, ContainerKind

# The owner of a plant that stands in no container.
LOOSE = -1
WORKING_SIDE = 1600
# A plant on the rim leans out: its centre may lie this many plant sizes outside its container.
REACH = 0.75
# Boxes and trays may stand on a segment; what stands in them is theirs.
PAINT_ORDER = (
    ContainerKind.SEGMENT,
    ContainerKind.SEEDLING_TRAY,
    ContainerKind.PLUG_TRAY,
    ContainerKind.BOX,
)


@dataclass(frozen=True, eq=False)
class RegionMap:
    """`labels[y, x]` is 1 + the index of the container at that working pixel, 0 where there is none.

    `scale` is working pixels per photo pixel.
    """

    labels: NDArray[np.int32]
    scale: float

    @cached_property
    def nearest(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Per pixel, the distance in working pixels to the nearest container, and its label."""
        return _distances(self.labels)

    def mask(self, index: int) -> NDArray[np.uint8]:
        inside: NDArray[np.uint8] = (self.labels == index + 1).astype(np.uint8)
        return inside


def working_scale(width: int, height: int) -> float:
    return min(1.0, WORKING_SIDE / max(width, height))


def working_size(width: int, height: int) -> tuple[int, int]:
    """Rows and columns of a photo at the working scale."""
    scale = working_scale(width, height)
    return max(1, round(height * scale)), max(1, round(width * scale))


def map_regions(containers: list[Container], width: int, height: int) -> RegionMap:
    """Paint each container's polygon; where two overlap, the box or tray wins over the segment
    that it stands on, among equals the better-scored, then the smaller. What stands in no container has
    no area."""
    scale = working_scale(width, height)
    labels = np.zeros(working_size(width, height), np.int32)
    real = [i for i, container in enumerate(containers) if container.kind is not ContainerKind.LOOSE]
    for index in sorted(real, key=lambda i: _paint_rank(containers[i])):
        outline = np.round(containers[index].polygon * scale - 0.5).astype(np.int32)
        cv2.fillPoly(labels, [outline], index + 1)
    return RegionMap(labels, scale)


def _paint_rank(container: Container) -> tuple[int, float, float, tuple[float, ...]]:
    """The coordinates come last, so that the order of the containers never matters."""
    area = cv2.contourArea(container.polygon)
    order = PAINT_ORDER.index(container.kind)
    return order, container.score, -area, tuple(container.polygon.ravel().tolist())


def assign(boxes: Boxes, regions: RegionMap) -> NDArray[np.intp]:
    """(n,): the index of the container each plant stands in, `LOOSE` for none. Each plant has one owner:
    the container under its centre, else the nearest within reach."""
    at = _working_pixels(boxes, regions)
    owner: NDArray[np.intp] = regions.labels[at].astype(np.intp) - 1
    if (owner != LOOSE).all() or not regions.labels.any():
        return owner
    distance, nearest = regions.nearest
    near = (owner == LOOSE) & (distance[at] <= REACH * sizes(boxes) * regions.scale)
    owner[near] = nearest[at][near] - 1
    return owner


def nearest_container(boxes: Boxes, regions: RegionMap) -> NDArray[np.intp]:
    """(n,): the index of the container nearest to the centre of each box, however far; `LOOSE` where there
    is no container at all."""
    at = _working_pixels(boxes, regions)
    if not regions.labels.any():
        return np.full(len(boxes), LOOSE, np.intp)
    nearest: NDArray[np.intp] = regions.nearest[1][at].astype(np.intp) - 1
    return nearest


def _working_pixels(boxes: Boxes, regions: RegionMap) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of each box's centre in the label image."""
    at = centres(boxes) * regions.scale
    height, width = regions.labels.shape
    x = np.clip(at[:, 0], 0, width - 1).astype(np.intp)
    y = np.clip(at[:, 1], 0, height - 1).astype(np.intp)
    return y, x


def _distances(labels: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    outside = (labels == 0).astype(np.uint8)
    distance, zones = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    label_of_zone = np.zeros(int(zones.max()) + 1, np.int32)
    inside = labels > 0
    label_of_zone[zones[inside]] = labels[inside]
    return distance.astype(np.float32), label_of_zone[zones]
