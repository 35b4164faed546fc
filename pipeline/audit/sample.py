"""Draw the tiles of an audit so that what is found on them can be carried over to all frames. Pure.

Within each stratum frames are drawn without replacement by systematic sampling with probabilities
proportional to size from a list in random order (Hartley & Rao, Annals of Mathematical Statistics 33, 1962,
pp. 350-374). The size of a frame is the number of plants counted in it, plus `EMPTY`: frames in which the
machine saw nothing must have a chance too, since nobody else would find what it missed there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.audit.records import Domain, Frame, Stratum, Tile

EMPTY = 2.0  # plants
# Two tiles are the least that show how far apart the tiles of a stratum are.
LEAST_PER_STRATUM = 2


def draw_tiles(population: Sequence[tuple[Domain, Frame]], tiles: int, seed: int) -> list[Tile]:
    """About `tiles` tiles, as many of each domain, in random order: neighbours on the sheet tell nothing.

    The same population and seed give the same tiles; all frames where there are no more than `tiles`.
    """
    rng = np.random.default_rng(seed)
    of_domain: dict[Domain, list[Frame]] = defaultdict(list)
    for domain, frame in population:
        of_domain[domain].append(frame)
    domains = sorted(of_domain, key=lambda domain: (domain.product_id, domain.season))
    drawn: list[Tile] = []
    for domain, number in zip(domains, _even(tiles, len(domains)), strict=True):
        strata = _strata(domain, of_domain[domain])
        shares = allocate([(len(frames), sizes(frames).sum()) for _, frames in strata], number)
        for (stratum, frames), share in zip(strata, shares, strict=True):
            chances = inclusion_probabilities(sizes(frames), share)
            picked = systematic(chances, rng)
            drawn += [Tile(stratum, frames[i], float(chances[i])) for i in picked]
    return [drawn[i] for i in rng.permutation(len(drawn))]


def _even(total: int, parts: int) -> list[int]:
    return [total // parts + (i < total % parts) for i in range(parts)]


def sizes(frames: Iterable[Frame]) -> NDArray[np.float64]:
    """(n,): the measure that the chances of frames are proportional to."""
    return np.array([frame.expected + EMPTY for frame in frames])


def _strata(domain: Domain, frames: list[Frame]) -> list[tuple[Stratum, list[Frame]]]:
    """Near and far, dense and sparse; dense is what lies above the density of the middle plant."""
    limit = _weighted_median([frame.density for frame in frames], sizes(frames))
    parts: dict[tuple[bool, bool], list[Frame]] = defaultdict(list)
    for frame in frames:
        parts[frame.far, frame.density > limit].append(frame)
    return [
        (Stratum(domain, *key, len(part), float(sum(frame.expected for frame in part))), part)
        for key, part in sorted(parts.items())
    ]


def _weighted_median(values: Sequence[float], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[int(order[np.searchsorted(reached, reached[-1] / 2)])])


def allocate(strata: Sequence[tuple[int, float]], tiles: int) -> list[int]:
    """Tiles per stratum, given `(frames, summed size)` of each: some for all, the rest by size.

    Never more than a stratum has frames; in all `tiles`, unless there are too few frames for that.
    """
    limits = [frames for frames, _ in strata]
    given = [min(limit, LEAST_PER_STRATUM) for limit in limits]
    weight = sum(size for _, size in strata)
    while sum(given) < min(tiles, sum(limits)):
        # Whoever is furthest behind its share gets the next one.
        open_ = [i for i, limit in enumerate(limits) if given[i] < limit]
        given[max(open_, key=lambda i: (tiles * strata[i][1] / weight - given[i], -i))] += 1
    return given


def inclusion_probabilities(size: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    """(n,): proportional to `size` and summing to `number`, but none above 1: what is so large is certain,
    and the rest share what remains."""
    if number >= len(size):
        return np.ones(len(size))
    certain = np.zeros(len(size), np.bool_)
    while True:
        rest = number - int(certain.sum())
        chances: NDArray[np.float64] = np.where(certain, 1.0, rest * size / size[~certain].sum())
        if (chances <= 1.0).all():
            return chances
        certain |= chances >= 1.0


def systematic(chances: NDArray[np.float64], rng: np.random.Generator) -> list[int]:
    """The indices drawn: in random order the chances are laid end to end, and every whole step from a random
    start picks the unit under it. Each unit is drawn with exactly its chance."""
    order = rng.permutation(len(chances))
    ends = np.cumsum(chances[order])
    steps = np.arange(round(float(ends[-1]))) + rng.random()
    # The last end may miss the whole number by rounding.
    at = np.minimum(np.searchsorted(ends, steps, side="right"), len(order) - 1)
    return sorted(int(i) for i in order[at])
