"""Cut a counted photo into frames small enough to be counted by eye. Pure.

The photo is halved across its longer side, and the halves again, until a frame holds at most `MOST_PLANTS`
and is not larger than `MOST_SIZES` plants across. So frames are small where plants are small, every plant's
middle lies in exactly one frame, and what the machine counted in all frames is what it counted in all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.records import Band, CountedPhoto, Frame
from pipeline.regions import RegionMap, map_regions
from pipeline.types import Role

# People are exact on a dozen plants and lose their place among thirty.
MOST_PLANTS = 20
# In plant sizes: the longer side of a frame, where few plants or none were seen; and the shorter side below
# which nothing is halved, however crowded, since most plants would lie across its border.
MOST_SIZES = 8.0
LEAST_SIZES = 2.0
# How many plants around a frame say how large a plant looks there.
NEIGHBOURS = 9

Rectangle = tuple[int, int, int, int]


def cut_frames(photo: CountedPhoto) -> list[Frame]:
    """The frames that show the photographed bed: some of its containers or of its plants, and no plant of a
    bed in the background, which nobody could tell apart on a piece. None where no plant was seen."""
    if not len(photo.middles):
        return []
    scene = _Scene.of(photo)
    everything = np.arange(len(photo.middles))
    frames = list(_halve(scene, (0, 0, photo.width, photo.height), everything))
    return _far_and_near(frames)


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """A photo made quick to ask about rectangles. Sums are integral images in working pixels."""

    photo: CountedPhoto
    scale: float
    hidden: NDArray[np.float64]
    bed: NDArray[np.float64]  # area of the photographed bed's containers
    background: NDArray[np.bool_]  # (n,): of each plant seen

    @staticmethod
    def of(photo: CountedPhoto) -> _Scene:
        regions = map_regions(list(photo.containers), photo.width, photo.height)
        main = np.array([container.role is Role.MAIN for container in photo.containers], np.bool_)
        bed = np.concatenate([[False], main])[regions.labels]
        return _Scene(
            photo, regions.scale, _summed(_spread(photo, regions)), _summed(bed), ~main[photo.owner]
        )

    def sum(self, image: NDArray[np.float64], at: Rectangle) -> float:
        """Of what lies in a rectangle; parts of a rectangle add up to it exactly."""
        x1, y1, x2, y2 = (round(edge * self.scale) for edge in at)
        bottom, right = image.shape[0] - 1, image.shape[1] - 1
        x1, x2, y1, y2 = min(x1, right), min(x2, right), min(y1, bottom), min(y2, bottom)
        return float(image[y2, x2] - image[y1, x2] - image[y2, x1] + image[y1, x1])


def _summed(image: NDArray[np.floating] | NDArray[np.bool_]) -> NDArray[np.float64]:
    """(rows + 1, columns + 1): the sum of all above and left of each corner."""
    table = np.zeros((image.shape[0] + 1, image.shape[1] + 1))
    table[1:, 1:] = image.astype(np.float64).cumsum(axis=0).cumsum(axis=1)
    return table


def _spread(photo: CountedPhoto, regions: RegionMap) -> NDArray[np.float64]:
    """Hidden plants per working pixel: each band's are spread evenly over its container's area within its
    rows. Where a container has no area there, as plants outside every container, its plants share them."""
    height, width = regions.labels.shape
    spread = np.zeros((height, width))
    rows = (np.arange(height) + 0.5) / regions.scale
    for band in photo.bands:
        if not band.plants:
            continue
        first, last = np.searchsorted(rows, (band.y_start, band.y_end))
        inside = regions.labels[first:last] == band.container + 1
        area = int(inside.sum())
        if area:
            spread[first:last][inside] += band.plants / area
        else:
            at = _where_seen(photo, band) * regions.scale
            x = np.clip(at[:, 0], 0, width - 1).astype(np.intp)
            y = np.clip(at[:, 1], 0, height - 1).astype(np.intp)
            np.add.at(spread, (y, x), band.plants / max(1, len(at)))
    return spread


def _where_seen(photo: CountedPhoto, band: Band) -> NDArray[np.float32]:
    """(m, 2): middles of the plants seen in the band, else in its container."""
    own: NDArray[np.float32] = photo.middles[photo.owner == band.container]
    within = own[(own[:, 1] >= band.y_start) & (own[:, 1] < band.y_end)]
    return within if len(within) else own


def _halve(scene: _Scene, at: Rectangle, plants: NDArray[np.intp]) -> Iterator[Frame]:
    """`plants` are the indices of those whose middles lie in the rectangle `at`."""
    x1, y1, x2, y2 = at
    bed = scene.sum(scene.bed, at) > 0 or bool((~scene.background[plants]).any())
    if not bed:
        return
    hidden, size = scene.sum(scene.hidden, at), _plant_size(scene.photo, at, plants)
    width, height = x2 - x1, y2 - y1
    long = max(width, height)
    crowded = len(plants) + hidden > MOST_PLANTS or long > MOST_SIZES * size
    if crowded and long >= 2 * max(LEAST_SIZES * size, 1):
        middles = scene.photo.middles[plants]
        if width >= height:
            middle = (x1 + x2) // 2
            first, parts = middles[:, 0] < middle, ((x1, y1, middle, y2), (middle, y1, x2, y2))
        else:
            middle = (y1 + y2) // 2
            first, parts = middles[:, 1] < middle, ((x1, y1, x2, middle), (x1, middle, x2, y2))
        yield from _halve(scene, parts[0], plants[first])
        yield from _halve(scene, parts[1], plants[~first])
    elif not scene.background[plants].any():
        yield Frame(scene.photo.session_id, x1, y1, x2, y2, len(plants), max(0.0, hidden), size)


def _plant_size(photo: CountedPhoto, at: Rectangle, plants: NDArray[np.intp]) -> float:
    """How large a plant looks in the rectangle, pixels: by those in it, else by the nearest."""
    if len(plants) < NEIGHBOURS:
        centre = np.array([(at[0] + at[2]) / 2, (at[1] + at[3]) / 2], np.float32)
        distance = np.square(photo.middles - centre).sum(axis=1)
        plants = np.argsort(distance, kind="stable")[:NEIGHBOURS]
    return max(1.0, float(np.median(photo.sizes[plants])))


def _far_and_near(frames: list[Frame]) -> list[Frame]:
    """Far is what lies above the row that half of the photo's plants lie above."""
    rows = np.array([(frame.y1 + frame.y2) / 2 for frame in frames])
    order = np.argsort(rows, kind="stable")
    above = np.cumsum(np.array([frame.expected for frame in frames])[order])
    if not len(above):
        return []
    limit = rows[order[min(int(np.searchsorted(above, above[-1] / 2)), len(order) - 1)]]
    return [replace(frame, far=bool(row < limit)) for frame, row in zip(frames, rows, strict=True)]
