"""From hand counts to a correction: how many plants there are for each that the machine counts. Pure.

The number of plants of a population of frames is estimated by the difference estimator: what the machine
counted in all frames, plus the Horvitz-Thompson estimate of what it is off by,

    Y = X + sum over tiles of (hand - machine) / probability,      factor = Y / X.

It is exactly design-unbiased, whatever the machine gets wrong, since X is known and not estimated (Horvitz &
Thompson, Journal of the American Statistical Association 47, 1952, pp. 663-685; Särndal, Swensson & Wretman,
Model Assisted Survey Sampling, Springer 1992, chapter 6).

The standard error is the larger of two. One is that of drawing with replacement within strata (Hansen &
Hurwitz, Annals of Mathematical Statistics 14, 1943, pp. 333-362), on the wide side for a draw without
replacement. The other asks how much photos differ (the ultimate cluster estimator, Särndal et al., chapter
4): the correction is for the photos of the weeks to come, not for those that happened to be there.

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
# What is off in one photo may be its light.
LEAST_PHOTOS = 3
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
    photos: int
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
        if self.photos < LEAST_PHOTOS:
            source = "one photo" if self.photos == 1 else f"{self.photos} photos"
            return f"all tiles come from {source}; what is off there need not be off elsewhere"
        return None


def biases(counts: Iterable[HandCount]) -> list[Bias]:
    """One per domain, in the order of products and seasons."""
    of_domain: dict[Domain, list[HandCount]] = defaultdict(list)
    for count in counts:
        of_domain[count.tile.stratum.domain].append(count)
    order = sorted(of_domain, key=lambda domain: (domain.product_id, domain.season))
    return [_bias(domain, of_domain[domain]) for domain in order]


@dataclass(frozen=True, slots=True)
class _Term:
    """What a counted tile adds to the estimate: plants in the frames that it stands for, by the machine, and
    how many more by hand."""

    session_id: int
    machine: float
    off: float


def _bias(domain: Domain, counts: list[HandCount]) -> Bias:
    of_stratum: dict[Stratum, list[HandCount]] = defaultdict(list)
    for count in counts:
        of_stratum[count.tile.stratum].append(count)
    strata = {stratum: _terms(drawn) for stratum, drawn in of_stratum.items()}
    answered = [count for count in counts if count.is_counted]
    # Strata of which no tile was counted are taken to be like the others together.
    total = sum(stratum.plants for stratum, terms in strata.items() if terms)
    factor, error, half = math.nan, math.inf, math.inf
    if total > 0:
        factor = 1 + sum(term.off for terms in strata.values() for term in terms) / total
        error, half = _uncertainty([terms for terms in strata.values() if terms], total, factor)
    return Bias(
        domain=domain,
        tiles=len(answered),
        photos=len({count.tile.frame.session_id for count in answered}),
        machine=sum(count.tile.frame.expected for count in answered),
        hand=sum(count.plants or 0 for count in answered),
        factor=factor,
        standard_error=error,
        low=max(0.0, factor - half),
        high=factor + half,
    )


def _terms(drawn: Sequence[HandCount]) -> list[_Term]:
    """Of the counted tiles of a stratum; they also speak for those that were not counted."""
    answered = [count for count in drawn if count.is_counted]
    weights = [len(drawn) / len(answered) / count.tile.probability for count in answered]
    return [
        _Term(count.tile.frame.session_id, weight * count.tile.frame.expected, weight * count.off)
        for weight, count in zip(weights, answered, strict=True)
    ]


def _uncertainty(strata: Sequence[list[_Term]], total: float, factor: float) -> tuple[float, float]:
    """Standard error of the factor and half of its interval."""
    tiles = _between_tiles([[term.off for term in terms] for terms in strata])
    photos = _between_photos([term for terms in strata for term in terms], factor)
    halves = [
        (math.sqrt(variance) / total * t_quantile((1 + CONFIDENCE) / 2, freedom), math.sqrt(variance) / total)
        for variance, freedom in (tiles, photos)
        if freedom
    ]
    half, error = max(halves, default=(math.inf, math.inf))
    return error, half


def _between_tiles(strata: Sequence[list[float]]) -> tuple[float, int]:
    """Variance of the sum of all terms, and its degrees of freedom, 0 where nothing can be said.

    A stratum of one tile shows no scatter, so it is judged together with the next smallest.
    """
    groups: list[list[float]] = []
    for terms in sorted(strata, key=len):
        if groups and len(groups[-1]) < 2:
            groups[-1] = groups[-1] + terms
        else:
            groups.append(terms)
    if len(groups) > 1 and len(groups[-1]) < 2:
        groups[-2:] = [groups[-2] + groups[-1]]
    variance = 0.0
    for group in groups:
        mean = sum(group) / len(group)
        variance += len(group) / max(1, len(group) - 1) * sum((term - mean) ** 2 for term in group)
    return variance, sum(map(len, groups)) - len(groups)


def _between_photos(terms: Sequence[_Term], factor: float) -> tuple[float, int]:
    """The same from what the photos, each as a whole, are off the factor."""
    residuals: dict[int, float] = defaultdict(float)
    for term in terms:
        residuals[term.session_id] += term.off - (factor - 1) * term.machine
    freedom = len(residuals) - 1
    return (freedom + 1) / max(1, freedom) * sum(r**2 for r in residuals.values()), freedom


def t_quantile(probability: float, freedom: int) -> float:
    """Student's t: exact for one degree of freedom and two, above by the expansion 26.7.5 of Abramowitz &
    Stegun, Handbook of Mathematical Functions; 0.1 % off at three."""
    if freedom == 1:
        return math.tan(math.pi * (probability - 0.5))
    if freedom == 2:
        return (2 * probability - 1) / math.sqrt(2 * probability * (1 - probability))
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
