"""Changing many prices at once: first what would change, then the change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from sqlalchemy import Connection

from db.errors import Refused
from db.prices import Line, Wanted, lines, set_price
from db.pricing import Terms, changed


@dataclass(frozen=True, slots=True)
class Raise:
    """What to do to prices: `percent` first, then `amount`, then rounding to `step`, halves up."""

    percent: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    step: Decimal = Decimal(1)
    discount_percent: Decimal | None = None
    availability: str | None = None

    def apply(self, terms: Terms) -> Terms:
        """Raises ValueError."""
        new = changed(terms, self.percent, self.amount, self.step) if self.percent or self.amount else terms
        if self.discount_percent is not None:
            new = replace(new, discount_percent=self.discount_percent)
        return replace(new, availability=self.availability) if self.availability is not None else new


@dataclass(frozen=True, slots=True)
class Planned:
    line: Line
    new: Terms


def plan(connection: Connection, wanted: Wanted, change: Raise, day: dt.date) -> list[Planned]:
    """The lines in force on `day` whose terms would change from then on.

    Raises Refused, and nothing is planned, when a price would not stay above zero.
    """
    if abs(change.percent) > 100:
        raise Refused(f"a change of {change.percent} % is more than double or less than nothing: set prices")
    if change.step <= 0:
        raise Refused(f"prices cannot be rounded to {change.step}; use 1, 10 or 0.01")
    planned = []
    for line in lines(connection, wanted, day):
        try:
            new = change.apply(line.span.terms)
        except ValueError as error:
            raise Refused(f"{line.sku}: {error}, which is no price; nothing was changed.") from error
        if new != line.span.terms:
            planned.append(Planned(line, new))
    return planned


def carry_out(connection: Connection, planned: Sequence[Planned], day: dt.date) -> None:
    """In the caller's transaction. What was already set for a later day stays."""
    for one in planned:
        set_price(connection, one.line.item, one.new, day)
