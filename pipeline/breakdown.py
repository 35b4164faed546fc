"""Where a method is right and where it is wrong: plants of labelled photos sorted into groups. Pure.

    container   what a plant stands in
    density     how crowded it stands: plants per squared plant size, in the photo, around it
    distance    how far it is from the camera; by its size in pixels where the labels hold no distance

The truth alone says which plant is in which group. A box belongs to the group of the plant that it found,
else to that of the place where it lies. The hidden plants of an estimate stand nowhere in particular: they
are spread evenly over the true plants of their band of their container.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.accuracy import NOTHING, Matches
from pipeline.boxes import centres, sizes
from pipeline.regions import assign, map_regions
from pipeline.truth import TruthPhoto
from pipeline.types import Boxes, ContainerCount, ContainerKind

Names = NDArray[np.str_]

NEIGHBOURS = 6
# Plants per squared plant size. Discs that touch, in squares or in a hexagonal pattern, have 1.0 or 1.15.
SPACED, OVERLAPPING = 0.5, 1.2
METRES = (2.0, 3.0, 4.0)
SIDES = (64.0, 32.0, 16.0)  # pixels
BLOCK = 512  # rows of the table of distances that are held at once


class By(StrEnum):
    """What plants are sorted by."""

    CONTAINER = "container"
    DENSITY = "density"
    DISTANCE = "distance"


# The groups as people want to read them. Those of DISTANCE are from near to far.
ORDER: dict[By, tuple[str, ...]] = {
    By.CONTAINER: tuple(ContainerKind),
    By.DENSITY: ("spaced", "touching", "overlapping"),
    By.DISTANCE: (
        *("under 2 m", "2–3 m", "3–4 m", "over 4 m"),
        *("over 64 px", "32–64 px", "16–32 px", "under 16 px"),
    ),
}


def sort_plants(photo: TruthPhoto, *, metres: bool) -> dict[By, Names]:
    """Per criterion (n,) the group of each true plant. `metres` says that every distance is known."""
    plants = photo.plants
    density = np.digitize(densities(plants.whole), (SPACED, OVERLAPPING))
    if metres:
        band = np.digitize(plants.distance, METRES)
    else:
        band = 4 + (sizes(plants.whole)[:, None] < np.array(SIDES)).sum(axis=1)
    return {
        By.CONTAINER: plants.kind,
        By.DENSITY: np.array(ORDER[By.DENSITY])[density],
        By.DISTANCE: np.array(ORDER[By.DISTANCE])[band],
    }


def densities(whole: Boxes) -> NDArray[np.float64]:
    """(n,): plants per squared plant size around each plant.

    With d pixels from a plant of side s to the sixth-nearest other, six plants stand on π d², so there are
    6 s² / (π d²) of them per plant size. Both are measured in the photo, so perspective cancels out, and what
    counts is how crowded the plants look from where the camera stood.
    """
    number = min(NEIGHBOURS, len(whole) - 1)
    if number < 1:
        return np.zeros(len(whole))
    middles = centres(whole).astype(np.float64)
    reach = np.empty(len(whole))
    for start in range(0, len(whole), BLOCK):
        apart = np.hypot(*(middles[start : start + BLOCK, None] - middles[None]).transpose(2, 0, 1))
        reach[start : start + BLOCK] = np.partition(apart, number, axis=1)[:, number]
    crowded: NDArray[np.float64] = (
        number * sizes(whole).astype(np.float64) ** 2 / (np.pi * np.maximum(reach, 1e-6) ** 2)
    )
    return crowded


def sort_boxes(
    photo: TruthPhoto, groups: Mapping[By, Names], boxes: Boxes, matches: Matches
) -> dict[By, Names]:
    """Per criterion (k,) the group of each box; "" for one that lies nowhere near a plant or container."""
    if not len(boxes):
        return {by: np.empty(0, np.str_) for by in groups}
    met = matches.plant != NOTHING
    beds = [str(container.kind) for container in photo.containers]
    under = assign(boxes, map_regions(list(photo.containers), photo.width, photo.height))
    places = {By.CONTAINER: np.array([*beds, str(ContainerKind.LOOSE)])[under]}  # -1 is the last
    nearest = _nearest(boxes, photo.plants.whole)
    sorted_: dict[By, Names] = {}
    for by, names in groups.items():
        place = places.get(by, np.array([*names.tolist(), ""])[nearest])
        sorted_[by] = np.where(met, np.array([*names.tolist(), ""])[matches.plant], place)
    return sorted_


def _nearest(boxes: Boxes, whole: Boxes) -> NDArray[np.intp]:
    """(k,): the plant whose middle is nearest to that of each box, NOTHING if there is no plant."""
    if not len(whole):
        return np.full(len(boxes), NOTHING, np.intp)
    middles, others, found = centres(boxes), centres(whole), np.empty(len(boxes), np.intp)
    for start in range(0, len(boxes), BLOCK):
        apart = np.square(middles[start : start + BLOCK, None] - others[None]).sum(axis=2)
        found[start : start + BLOCK] = apart.argmin(axis=1)
    return found


def spread_hidden(photo: TruthPhoto, counts: Sequence[ContainerCount]) -> NDArray[np.float64]:
    """(n,): the hidden plants that an estimate adds, spread over the true plants of the photo."""
    whole, added = photo.plants.whole, np.zeros(len(photo.plants))
    if not len(whole) or not any(count.hidden for count in counts):
        return added
    beds = [count.container for count in counts if count.container.kind is not ContainerKind.LOOSE]
    owner = assign(whole, map_regions(beds, photo.width, photo.height))
    y = centres(whole)[:, 1]
    at = {id(bed): index for index, bed in enumerate(beds)}
    for count in counts:
        own = owner == at.get(id(count.container), -1)
        if not own.any():
            own = _nearest_to_middle(count, whole)
        rows = [(row.plants, own & (row.y_start <= y) & (y < row.y_end)) for row in count.estimates]
        estimated = sum(plants for plants, _ in rows)
        if not estimated:
            rows, estimated = [(1.0, own)], 1.0
        for plants, here in rows:
            standing = here if here.any() else own
            added[standing] += count.hidden * plants / estimated / standing.sum()
    return added


def _nearest_to_middle(count: ContainerCount, whole: Boxes) -> NDArray[np.bool_]:
    """(n,): the one plant next to a container in which there is none."""
    x, y, width, height = cv2.boundingRect(count.container.polygon.astype(np.float32))
    box = np.array([[x, y, x + width, y + height]], np.float32)
    alone: NDArray[np.bool_] = np.zeros(len(whole), np.bool_)
    alone[_nearest(box, whole)] = True
    return alone
