"""What counts do to the books. Pure.

A count asserts how many plants a batch held at a moment. It is not an inflow: what it posts, as movements
of type `foto`, is the difference between what was counted and what the books expected, whatever explains
it. So the stock at any time is the last accepted count at or before it plus the movements after it, and it
is also simply the sum of all movements.

A movement that arrives late and is dated before a count leaves the count standing: the count's difference
shrinks or grows by it. Since nothing posted may be changed, that is one more `foto` entry of the same count.
The outcome is the same in whatever order counts and movements arrive.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Assertion:
    """An accepted count. Of two at the same moment the later recorded (higher id) holds."""

    counted_at: dt.datetime
    id: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Flow:
    """A movement of any type but `foto`, signed."""

    occurred_at: dt.datetime
    quantity: int


def differences(assertions: Iterable[Assertion], flows: Iterable[Flow]) -> dict[int, int]:
    """Per count id, the plants that it found more (or less) than the books expected.

    A movement at the very moment of a count is taken to be included in it.
    """
    moved = sorted(flows, key=lambda flow: flow.occurred_at)
    result, expected, next_flow = {}, 0, 0
    for count in sorted(assertions):
        while next_flow < len(moved) and moved[next_flow].occurred_at <= count.counted_at:
            expected += moved[next_flow].quantity
            next_flow += 1
        result[count.id] = count.quantity - expected
        expected = count.quantity
    return result


def corrections(wanted: Mapping[int, int], posted: Mapping[int, int]) -> dict[int, int]:
    """Per count id, what is still to be posted; a count no longer accepted is taken back whole."""
    ids = sorted(wanted.keys() | posted.keys())
    due = {count: wanted.get(count, 0) - posted.get(count, 0) for count in ids}
    return {count: quantity for count, quantity in due.items() if quantity}
