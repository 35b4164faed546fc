"""From boxes and containers to counts: who stands where, how many, and what is doubtful about it. Pure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.estimators.registry import Estimator
from pipeline.evidence import Evidence
from pipeline.interval import bounds
from pipeline.regions import LOOSE
from pipeline.types import Container, ContainerCount, ContainerKind, Estimate, Total


def count_containers(
    evidence: Evidence, estimate: Estimator
) -> tuple[tuple[ContainerCount, ...], NDArray[np.intp]]:
    """Seen and hidden plants per container, without bounds yet; seen plants and empty pots that stand in none
    come last, as one loose "container". Also returns the owners, the loose ones pointing at it."""
    counts = [
        _count(evidence, index, container, estimate(evidence, index))
        for index, container in enumerate(evidence.containers)
    ]
    owner, loose = evidence.owner, evidence.of(LOOSE)
    if (loose & evidence.sure).any() or (evidence.pots_owner == LOOSE).any():
        scores = evidence.found.scores[loose & evidence.sure]
        score = float(scores.mean()) if len(scores) else 0.0
        frame = Container(ContainerKind.LOOSE, evidence.polygon(LOOSE), score)
        counts.append(_count(evidence, LOOSE, frame, estimate(evidence, LOOSE)))
        owner = np.where(loose, len(evidence.containers), owner)
    return tuple(counts), owner


def _count(
    evidence: Evidence, index: int, container: Container, estimates: tuple[Estimate, ...]
) -> ContainerCount:
    own = evidence.of(index) & evidence.sure
    scores = evidence.found.scores[own]
    seen, hidden = len(scores), round(sum(row.plants for row in estimates))
    return ContainerCount(
        container=container,
        seen=seen,
        hidden=hidden,
        low=0,
        high=0,
        empty=seen + hidden == 0 and container.kind is not ContainerKind.LOOSE,
        mean_score=float(scores.mean()) if seen else None,
        estimates=estimates,
        dead=int(evidence.found.dead[own].sum()),
        empty_pots=int((evidence.pots_owner == index).sum()),
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
