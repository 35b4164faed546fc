"""From hand counts to a correction: how many plants there are for each that the machine counts. Pure.

The number of plants of a population of frames is estimated by the difference estimator: what the machine
counted in all frames, plus the Horvitz-Thompson estimate of what it is off by,

    Y = X + sum over tiles of (hand - machine) / probability,      factor = Y / X.

It is exactly design-unbiased, whatever the machine gets wrong, since X is known and not estimated (Horvitz &
Thompson, Journal of the American Statistical Association 47, 1952, pp. 663-685; Särndal, Swensson & Wretman,
Model Assisted Survey Sampling, Springer 1992, chapter 6).

The standard error is that of drawing with replacement within strata (Hansen & Hurwitz, Annals of Mathematical
Statistics 14, 1943, pp. 333-362). It is on the wide side for a draw without replacement, and meant to be: the
correction is for the photos of the weeks to come, not for those that happened to be there.

A tile that was not counted is taken to be like the others of its stratum.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from pipeline.audit.records import Domain, Stratum, Tile

CONFIDENCE = 0.90
# Fewer tiles of a product and season are an anecdote.
LEAST_TILES = 10
# Beyond these a machine is broken rather than biased: nothing to be mended by a factor.
LEAST_FACTOR, MOST_FACTOR = 0.5, 2.0


@dataclass(frozen=True, slots=True)
class HandCount:
    """A tile and what a person counted on it; None where nobody did."""

    tile: Tile
    plants: int | None

    @property
    def is_counted(self) -> bool:
        return self.plants is not None

    @property
    def off(self) -> float:
        """Plants that the machine lacks here. Of counted tiles."""
        return (self.plants or 0) - self.tile.frame.expected


@dataclass(frozen=True, slots=True)
class Bias:
    """The factor of a domain, its 90 % interval, and what they were drawn from."""

    domain: Domain
    tiles: int
    machine: float  # plants counted by the machine in the counted tiles' frames
    hand: int
    factor: float
    standard_error: float
    low: float
    high: float

    @property
    def refusal(self) -> str | None:
        """Why this must not be applied, whoever insists."""
        if self.tiles < LEAST_TILES:
            return f"{self.tiles} counted tiles are too few, {LEAST_TILES} are needed"
        if not math.isfinite(self.factor):
            return "the machine counted no plants in these photos, so there is nothing to correct"
        return None

    @property
    def doubt(self) -> str | None:
        """Why this should not be applied."""
        if not LEAST_FACTOR <= self.factor <= MOST_FACTOR:
            return f"a factor of {self.factor:.2f} means that something is broken, not biased"
        if self.low <= 1.0 <= self.high:
            return f"{self.low:.3f}–{self.high:.3f} includes 1: the machine may be right as it is"
        return None


def biases(counts: Iterable[HandCount]) -> list[Bias]:
    """One per domain, in the order of products and seasons."""
    of_domain: dict[Domain, list[HandCount]] = defaultdict(list)
    for count in counts:
        of_domain[count.tile.stratum.domain].append(count)
    order = sorted(of_domain, key=lambda domain: (domain.product_id, domain.season))
    return [_bias(domain, of_domain[domain]) for domain in order]


def _bias(domain: Domain, counts: list[HandCount]) -> Bias:
    of_stratum: dict[Stratum, list[HandCount]] = defaultdict(list)
    for count in counts:
        of_stratum[count.tile.stratum].append(count)
    terms: list[list[float]] = []
    counted_by_machine = 0.0  # in the strata of which some tile was counted
    for stratum, drawn in of_stratum.items():
        answered = [count for count in drawn if count.is_counted]
        if answered:
            weight = len(drawn) / len(answered)
            terms.append([weight * count.off / count.tile.probability for count in answered])
            counted_by_machine += stratum.plants
    answered = [count for count in counts if count.is_counted]
    factor, error, half = math.nan, math.inf, math.inf
    if terms and counted_by_machine > 0:
        factor = 1 + sum(map(sum, terms)) / counted_by_machine
        error, freedom = _deviation(terms)
        error /= counted_by_machine
        half = error * t_quantile((1 + CONFIDENCE) / 2, freedom) if freedom else math.inf
    return Bias(
        domain=domain,
        tiles=len(answered),
        machine=sum(count.tile.frame.expected for count in answered),
        hand=sum(count.plants or 0 for count in answered),
        factor=factor,
        standard_error=error,
        low=max(0.0, factor - half),
        high=factor + half,
    )


def _deviation(strata: Sequence[list[float]]) -> tuple[float, int]:
    """Standard deviation of the sum of all terms, and its degrees of freedom.

    A stratum of one tile shows no scatter, so it is judged together with the next smallest.
    """
    groups: list[list[float]] = []
    for terms in sorted(strata, key=len):
        if groups and len(groups[-1]) < 2:
            groups[-1] = groups[-1] + terms
        else:
            groups.append(terms)
    if len(groups[-1]) < 2:
        if len(groups) == 1:  # a single tile in all
            return math.inf, 0
        groups[-2:] = [groups[-2] + groups[-1]]
    variance = 0.0
    for group in groups:
        mean = sum(group) / len(group)
        variance += len(group) / (len(group) - 1) * sum((term - mean) ** 2 for term in group)
    return math.sqrt(variance), sum(map(len, groups)) - len(groups)


def t_quantile(probability: float, freedom: int) -> float:
    """Student's t, by the expansion 26.7.5 of Abramowitz & Stegun; good to 0.5 % from 4 degrees up."""
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))


@dataclass(frozen=True, slots=True)
class Corrected:
    """What a correction adds to a count (negative: takes away), and the bounds of the result."""

    plants: int
    low: int
    high: int


def correct(total: int, low: int, high: int, factor: float, standard_error: float) -> Corrected:
    """Multiply a count by a factor. Each half of its interval grows with it, and by what the factor itself is
    unsure of: independent errors, so the squares add up."""
    result = round(total * factor)
    unsure = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * standard_error * total
    below = math.hypot(factor * (total - low), unsure)
    above = math.hypot(factor * (high - total), unsure)
    return Corrected(
        plants=result - total,
        low=max(0, math.floor(result - below + 1e-9)),
        high=math.ceil(result + above - 1e-9),
    )
