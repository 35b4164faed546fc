"""From boxes and containers to counts: who stands where, how many, and what is doubtful about it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.expected import estimate_unseen
from pipeline.interval import bounds
from pipeline.regions import LOOSE, RegionMap
from pipeline.types import Container, ContainerCount, ContainerKind, Detections, Estimate, Polygon, Total

# More plants than this outside every container, as a share of all, and the photo is looked at.
LOOSE_SHARE = 0.1

# The unseen plants of a container, by its index; `LOOSE` for those that stand in none.
Estimator = Callable[[int], tuple[Estimate, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What was found in one photo. `sure[i]` says that box i counts as seen; `owner[i]` is the index of
    the container that it stands in, or `LOOSE`."""

    containers: list[Container]
    regions: RegionMap
    found: Detections
    sure: NDArray[np.bool_]
    owner: NDArray[np.intp]

    def polygon(self, index: int) -> Polygon:
        if index != LOOSE:
            return self.containers[index].polygon
        height, width = (side / self.regions.scale for side in self.regions.labels.shape)
        return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)


def expected_estimator(scene: Scene, worth: NDArray[np.float64], version: str) -> Estimator:
    """Estimates by what the boxes are `worth` (n,), see pipeline/calibration.py."""

    def estimate(index: int) -> tuple[Estimate, ...]:
        own = scene.owner == index
        unseen = worth[own] - scene.sure[own]
        return estimate_unseen(scene.found.take(own), unseen, scene.polygon(index), version)

    return estimate


def count_containers(
    scene: Scene, estimate: Estimator
) -> tuple[tuple[ContainerCount, ...], NDArray[np.intp]]:
    """Seen and hidden plants per container, without bounds yet; seen plants that stand in none come last,
    as one loose "container". Also returns the owners, the loose ones pointing at it."""
    counts = [
        _count(scene, index, container, estimate(index)) for index, container in enumerate(scene.containers)
    ]
    owner, loose = scene.owner, scene.owner == LOOSE
    if (loose & scene.sure).any():
        score = float(scene.found.scores[loose & scene.sure].mean())
        frame = Container(ContainerKind.LOOSE, scene.polygon(LOOSE), score)
        counts.append(_count(scene, LOOSE, frame, estimate(LOOSE)))
        owner = np.where(loose, len(scene.containers), owner)
    return tuple(counts), owner


def _count(scene: Scene, index: int, container: Container, estimates: tuple[Estimate, ...]) -> ContainerCount:
    scores = scene.found.scores[(scene.owner == index) & scene.sure]
    seen, hidden = len(scores), round(sum(row.plants for row in estimates))
    return ContainerCount(
        container=container,
        seen=seen,
        hidden=hidden,
        low=0,
        high=0,
        empty=seen + hidden == 0,
        mean_score=float(scores.mean()) if seen else None,
        estimates=estimates,
    )


def with_bounds(
    counts: tuple[ContainerCount, ...], spread: float, *, doubtful: bool
) -> tuple[ContainerCount, ...]:
    """The counts with their intervals. A photo to be looked at casts doubt on each of its containers."""
    bounded = []
    for count in counts:
        unsure = doubtful or count.container.kind is ContainerKind.LOOSE
        low, high = bounds(count.seen, count.hidden, spread, doubtful=unsure)
        bounded.append(replace(count, low=low, high=high))
    return tuple(bounded)


def main_total(counts: tuple[ContainerCount, ...], spread: float, *, doubtful: bool) -> Total:
    """What stands in the photographed bed alone, with bounds of its own: its containers share their errors,
    so theirs do not simply add up."""
    seen = sum(count.seen for count in counts if count.is_main)
    hidden = sum(count.hidden for count in counts if count.is_main)
    low, high = bounds(seen, hidden, spread, doubtful=doubtful)
    return Total(seen, hidden, low, high)


def find_doubts(counts: tuple[ContainerCount, ...]) -> Iterator[str]:
    """One sentence for each reason to look at the photo before trusting its count."""
    seen = sum(count.seen for count in counts)
    loose = sum(count.seen for count in counts if count.container.kind is ContainerKind.LOOSE)
    if not counts:
        yield "no container and no plant was found; check that the photo shows a bed"
    elif seen == 0:
        yield "containers were found but no plant in them; check the photo, or that they are empty"
    elif loose == seen:
        yield "no container was found around the plants; check that the photo shows the whole bed"
    elif loose > LOOSE_SHARE * seen:
        yield f"{loose} of {seen} plants stand outside every container; look at its picture"
