"""Whether a count may be booked unseen, or a person has to look. Pure.

Plants do not multiply: a rise that nothing booked explains is doubtful, and so is a fall faster than a loss
curve allows, that is a share of what is left every thirty days.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.words import Sentence


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be booked unseen, as shares: half the interval by the count, what may come and (in thirty
    days) go without a movement."""

    width: float
    gain: float
    loss: float


@dataclass(frozen=True, slots=True)
class Counted:
    """A photo's count of a bed with its bounds, and whether the photo carries a warning."""

    plants: int
    low: int
    high: int
    warned: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """What the books have there at that time, and the days since it was last counted."""

    plants: int
    days: float


def doubts(counted: Counted, expected: Expected | None, limits: Limits) -> Iterator[str]:
    """Why a person has to look, in sentences. Without anything expected only the count itself is judged."""
    if counted.warned:
        yield Sentence("the photo carries a warning")
    half = max(counted.plants - counted.low, counted.high - counted.plants)
    if half > limits.width * counted.plants:
        share = half / counted.plants if counted.plants else 1.0
        yield Sentence(
            "its interval is ±{share:.0%}, and ±{most:.0%} is the limit", share=share, most=limits.width
        )
    if expected is None:
        return
    most = expected.plants * (1 + limits.gain)
    least = expected.plants * (1 - limits.loss) ** (expected.days / 30)
    if counted.low > most:
        yield Sentence(
            "it shows {counted} where the books have {books}, and nothing booked came",
            counted=counted.plants,
            books=expected.plants,
        )
    if counted.high < least:
        yield Sentence(
            "it shows {counted} where the books have {books}: more are missing than {loss:.0%} in"
            " thirty days",
            counted=counted.plants,
            books=expected.plants,
            loss=limits.loss,
        )
