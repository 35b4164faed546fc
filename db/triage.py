"""Where plants that are missing (or too many) may have gone, and the cheapest check that would tell. Pure.

Each cause has a weight: how common it is, times how likely it makes a gap of this size. The weights of a gap
sum to one. They are a guide to where to look first, not probabilities that anything is booked by:

- miscount: a count is off by more than its interval says, by a normal law twice as wide as the interval,
  or one time in twenty by any number (another bed was photographed, a figure was mistyped);
- death: `expected / (expected + gap)`, where `expected` are the deaths that the product's own booked rate
  gives over these days; a product without history has a hundredth of its plants a month;
- moved: a place near by has about as many of the same plants too many; the nearer it is, and the closer the
  two gaps fit for their size (which chance seldom does), the more this weighs;
- sale: any quantity can have been sold, but only from containers that are sold;
- planted: plants that were put there and not booked, for a gap that is a gain.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from db.models.vocabulary import LineVerdict
from db.reconciling import Line
from pipeline.interval import Z_90

DEATHS_A_DAY = 0.01 / 30  # of a product without history
HISTORY = 100_000.0  # plant-days that this is worth against a product's own
CLOSEST = 10.0  # how many times over a close fit of two gaps counts
BLUNDERS = 0.05  # of counts that are off by any number
CERTAIN = 0.9  # a cause of this weight is the one to confirm
WIDER = 2.0  # how much wider than its interval a count may be off
_COMMON = {"miscount": 0.2, "death": 0.3, "moved": 0.3, "sale": 0.4, "planted": 0.3}
_UNEXPLAINED = (LineVerdict.SALE, LineVerdict.GAIN, LineVerdict.LOSS)


class Cause(StrEnum):
    MISCOUNT = "miscount"
    DEATH = "death"
    MOVED = "moved"
    SALE = "sale"
    PLANTED = "planted"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A cause with its weight. `place_id` is where moved plants may have gone to, or come from."""

    cause: Cause
    weight: float
    place_id: int | None = None


@dataclass(frozen=True, slots=True)
class Triage:
    """The causes of one line's gap, likeliest first, and the cause that is worth checking first."""

    suspects: tuple[Suspect, ...]
    check: Suspect


# Minutes that a check takes a person; what it decides is whether its cause is the one.
_MINUTES = {
    Cause.MISCOUNT: 3.0,  # look at the two pictures
    Cause.SALE: 3.0,  # compare with the sales file
    Cause.PLANTED: 4.0,  # ask who plants
    Cause.MOVED: 5.0,  # look at the other place's pictures
    Cause.DEATH: 10.0,  # go there and count empty pots
}


def triage(lines: Sequence[Line], near: Mapping[int, Mapping[int, float]]) -> dict[int, Triage]:
    """Per index of a line with an unexplained gap. `near` has per place how near others are, from 0 to 1."""
    rates = death_rates(lines)
    alike: dict[tuple[int, int | None], list[Line]] = defaultdict(list)
    for line in lines:
        if line.verdict in _UNEXPLAINED:
            alike[line.key.product_id, line.key.packaging_id].append(line)
    found = {}
    for index, line in enumerate(lines):
        if line.verdict in _UNEXPLAINED:
            others = alike[line.key.product_id, line.key.packaging_id]
            found[index] = _of(line, others, near.get(line.key.place_id, {}), rates[line.key.product_id])
    return found


def death_rates(lines: Iterable[Line]) -> dict[int, float]:
    """Per product, the share of plants that die a day, as booked between these counts, drawn to the usual."""
    plant_days: dict[int, float] = defaultdict(float)
    died: dict[int, int] = defaultdict(int)
    for line in lines:
        plant_days[line.key.product_id] += _days(line) * (line.opening.quantity if line.opening else 0)
        died[line.key.product_id] -= line.flows.died
    return {
        product: (died[product] + DEATHS_A_DAY * HISTORY) / (days + HISTORY)
        for product, days in plant_days.items()
    }


def _of(line: Line, others: Sequence[Line], near: Mapping[int, float], deaths_a_day: float) -> Triage:
    weighed = [one for one in _suspects(line, others, near, deaths_a_day) if one.weight > 0]
    total = sum(one.weight for one in weighed)
    suspects = sorted(
        (Suspect(one.cause, one.weight / total, one.place_id) for one in weighed),
        key=lambda one: (-one.weight, one.cause),
    )
    if suspects[0].weight >= CERTAIN:
        return Triage(tuple(suspects), suspects[0])
    # A check tells most about what is neither certain nor out of the question.
    check = max(suspects, key=lambda one: one.weight * (1 - one.weight) / _MINUTES[one.cause])
    return Triage(tuple(suspects), check)


def _suspects(
    line: Line, others: Sequence[Line], near: Mapping[int, float], deaths_a_day: float
) -> Iterator[Suspect]:
    gap, sigma = abs(line.difference or 0), _sigma(line)
    missing = (line.difference or 0) < 0
    likely = BLUNDERS + (1 - BLUNDERS) * _normal(gap, WIDER * sigma)
    yield Suspect(Cause.MISCOUNT, _COMMON["miscount"] * likely)
    if missing:
        expected = deaths_a_day * _days(line) * (line.opening.quantity if line.opening else 0)
        yield Suspect(Cause.DEATH, _COMMON["death"] * expected / (expected + gap))
    else:
        yield Suspect(Cause.PLANTED, _COMMON["planted"])
    if missing and line.sellable:
        yield Suspect(Cause.SALE, _COMMON["sale"])
    yield from _elsewhere(line, others, near)


def _elsewhere(line: Line, others: Sequence[Line], near: Mapping[int, float]) -> Iterator[Suspect]:
    """The place with the opposite gap that fits best; the same place has other containers."""
    gap = line.difference or 0
    best = Suspect(Cause.MOVED, 0.0)
    for other in others:
        nearness = 1.0 if other.key.place_id == line.key.place_id else near.get(other.key.place_id, 0.0)
        opposite = other.difference or 0
        if nearness and other.key != line.key and gap * opposite < 0:
            spread = WIDER * math.hypot(_sigma(line), _sigma(other))
            by_chance = max(1 / CLOSEST, min(1.0, spread / abs(gap)))
            weight = _COMMON["moved"] * nearness * _normal(gap + opposite, spread) / by_chance
            if weight > best.weight:
                best = Suspect(Cause.MOVED, weight, other.key.place_id)
    if best.weight:
        yield best


def _normal(distance: float, sigma: float) -> float:
    return math.exp(-0.5 * (distance / sigma) ** 2)


def _sigma(line: Line) -> float:
    """Of the difference; also two exact counts may be off by a plant."""
    low, high = line.bounds or (0, 0)
    return max(1.0, (high - low) / 2 / Z_90)


def _days(line: Line) -> float:
    if line.opening is None or line.closing is None:
        return 0.0
    return (line.closing.at - line.opening.at).total_seconds() / 86_400
