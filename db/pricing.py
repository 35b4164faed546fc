"""Prices and their times, as pure arithmetic: rounding, discounts, and what a new price does to old ones."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")
LARGEST = Decimal("9999999999.99")  # what numeric(12, 2) holds


@dataclass(frozen=True, slots=True)
class Terms:
    """What one unit costs, without VAT. A missing price is None, never zero."""

    wholesale: Decimal | None = None
    retail: Decimal | None = None
    units_per_box: int | None = None
    box_price: Decimal | None = None  # as the list says it; None: wholesale × units
    discount_percent: Decimal = Decimal(0)
    availability: str | None = None
    observations: str | None = None
    currency: str = "ARS"


@dataclass(frozen=True, slots=True)
class Span:
    """Terms from `start` up to, and without, `stop`; None: until further notice."""

    start: dt.date
    stop: dt.date | None
    terms: Terms

    def holds(self, day: dt.date) -> bool:
        return self.start <= day and (self.stop is None or day < self.stop)


def sku_of(code: str) -> str:
    """The key of a client's code, however it was spaced: "C R8 T -1" and "CR8T-1" are both CR8T1."""
    return re.sub(r"[\s\-\u2010-\u2015\u2212]+", "", unicodedata.normalize("NFKC", code)).upper()


def money(amount: Decimal, step: Decimal = CENT) -> Decimal:
    """Rounded to a multiple of `step`, halves away from zero."""
    return ((amount / step).quantize(Decimal(1), ROUND_HALF_UP) * step).quantize(CENT, ROUND_HALF_UP)


def effective(price: Decimal, discount_percent: Decimal) -> Decimal:
    """The price after the discount."""
    return money(price * (100 - discount_percent) / 100)


def box_price(terms: Terms) -> Decimal | None:
    """What a box costs before the discount, if that is known."""
    if terms.box_price is not None or terms.wholesale is None or terms.units_per_box is None:
        return terms.box_price
    return money(terms.wholesale * terms.units_per_box)


def changed(terms: Terms, percent: Decimal, amount: Decimal, step: Decimal = CENT) -> Terms:
    """Prices `percent` higher, then `amount` higher, rounded to `step`. A box price of its own keeps in step.

    Raises ValueError when a price would not stay above zero.
    """

    def raised(price: Decimal | None, units: int = 1) -> Decimal | None:
        if price is None:
            return None
        new = money(price * (100 + percent) / 100 + amount * units, step)
        if not 0 < new <= LARGEST:
            raise ValueError(f"{price} would become {new}")
        return new

    return replace(
        terms,
        wholesale=raised(terms.wholesale),
        retail=raised(terms.retail),
        box_price=raised(terms.box_price, terms.units_per_box or 1),
    )


def overlay(spans: Iterable[Span], new: Span) -> list[Span]:
    """The spans with `new` laid over them, in order of time.

    Without an end the new terms hold until others that were already set for a later day. With an end, the
    terms that it interrupts go on afterwards, as after a special offer.
    """
    old = sorted(spans, key=lambda span: span.start)
    if new.stop is None:
        later = [span.start for span in old if span.start > new.start and span.terms != new.terms]
        new = replace(new, stop=min(later, default=None))
    pieces = [new]
    for span in old:
        if span.start < new.start:
            pieces.append(replace(span, stop=_earlier(span.stop, new.start)))
        if new.stop is not None and (span.stop is None or span.stop > new.stop):
            pieces.append(replace(span, start=max(span.start, new.stop)))
    return _joined(sorted(pieces, key=lambda span: span.start))


def _earlier(stop: dt.date | None, limit: dt.date) -> dt.date:
    return limit if stop is None else min(stop, limit)


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Neighbours with the same terms as one span."""
    joined: list[Span] = []
    for span in spans:
        last = joined[-1] if joined else None
        if last is not None and last.stop == span.start and last.terms == span.terms:
            joined[-1] = replace(last, stop=span.stop)
        else:
            joined.append(span)
    return joined


def cut(spans: Iterable[Span], day: dt.date) -> list[Span]:
    """The spans without what they hold from `day` on."""
    return [replace(span, stop=_earlier(span.stop, day)) for span in spans if span.start < day]


def terms_at(spans: Iterable[Span], day: dt.date) -> Terms | None:
    return next((span.terms for span in spans if span.holds(day)), None)


def rewritten(before: Sequence[Span], after: Sequence[Span], today: dt.date) -> dt.date | None:
    """The first day before `today` whose terms were known and are now others; None if there is none."""
    turns = {day for span in (*before, *after) for day in (span.start, span.stop) if day is not None}
    for day in sorted(turn for turn in turns if turn < today):
        known = terms_at(before, day)
        if known is not None and known != terms_at(after, day):
            return day
    return None
