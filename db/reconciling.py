"""What became of the plants between two counts. Pure.

A line is a lot at a place: one product, size and pot in one category of container; states are folded, since a
photo does not tell them. Between two accepted counts of the line,

    expected   = opening + what was sown, planted, received, adjusted − what was sent away, died, was sold
    difference = counted − expected

What is missing from containers that are sold is taken to be sold, but only beyond what the two counts
themselves leave open. A period (a month, say) only chooses the counts: it is answered for by the last count
that was taken in it, against the last one before it. So each stretch between two counts belongs to exactly
one period, also where photos come every three months, and a movement after the photo belongs to the next.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from db.flows import Flows, Span
from db.models.vocabulary import BinCategory, LineVerdict
from pipeline.interval import add

SELLABLE = frozenset({BinCategory.BOX, BinCategory.SEGMENT})
# A closing photo that shows less of the bed than this share of the opening one is partial.
PARTLY = 0.6


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` until just before `end`."""

    start: dt.datetime
    end: dt.datetime

    @property
    def last(self) -> dt.datetime:
        return self.end - dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class LineKey:
    """What is reconciled by itself. `size_id` and `packaging_id` None are values like others."""

    place_id: int
    category: str
    product_id: int
    size_id: int | None = None
    packaging_id: int | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """An accepted count of one batch; without bounds it is exact. `quantity` None is a first hand entry
    (`manual_init`): the books say how much it came to. Of two at one moment, the higher `id` holds."""

    batch: int
    at: dt.datetime
    id: int
    quantity: int | None
    low: int | None = None
    high: int | None = None
    session: int | None = None

    @property
    def order(self) -> tuple[dt.datetime, bool, int]:
        return self.at, self.quantity is not None, self.id


@dataclass(frozen=True, slots=True)
class Boundary:
    """What a line held at the time of a count, with the 90 % bounds, and the counts that say so."""

    at: dt.datetime
    quantity: int
    low: int
    high: int
    counts: tuple[int, ...] = ()
    sessions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A line, reconciled. `gaps` are the differences of its batches; their sum is the line's."""

    key: LineKey
    opening: Boundary | None
    flows: Flows
    closing: Boundary | None
    sellable: bool
    verdict: LineVerdict
    gaps: Mapping[int, int] = field(default_factory=dict)
    coverage: float | None = None
    config_changed: bool = False

    @property
    def expected(self) -> int | None:
        """None where the line has no baseline."""
        return None if self.opening is None else self.opening.quantity + self.flows.net

    @property
    def difference(self) -> int | None:
        """Plants found more (or, negative, fewer) than expected; None where there are no two counts."""
        return difference(self.opening, self.flows, self.closing)

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The 90 % interval of the difference."""
        return bounds(self.opening, self.flows, self.closing)

    @property
    def inferred_sales(self) -> int:
        """Plants taken to be sold: the unexplained outflow of a sellable line."""
        return -(self.difference or 0) if self.verdict is LineVerdict.SALE else 0


def boundaries(counts: Iterable[Observed], period: Period) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Opening and closing moment of a line, by the counts of its batches.

    The last count in the period closes; the last one before it opens, or else the first one in it.
    A single first count opens nothing and closes the period: it is the baseline of what follows.
    """
    # A first hand entry tells where a lot begins; it checks nothing, so it closes nothing.
    moments = sorted({(one.at, one.quantity is not None) for one in counts if one.at < period.end})
    before = [at for at, _ in moments if at < period.start]
    inside = [(at, checks) for at, checks in moments if at >= period.start]
    closing = max((at for at, checks in inside if checks), default=None)
    earlier = before[-1] if before else min((at for at, _ in inside), default=None)
    if earlier is not None and closing is not None and earlier >= closing:
        earlier = None
    return earlier, closing


def _last(counts: Iterable[Observed], moment: dt.datetime) -> Observed | None:
    return max((one for one in counts if one.at <= moment), key=lambda one: one.order, default=None)


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known of a line before its flows are read: its batches' counts, and what may spoil them."""

    key: LineKey
    counts: Mapping[int, Sequence[Observed]]  # by batch; a batch without counts has an empty one
    sellable: bool
    period: Period

    def moments(self) -> tuple[dt.datetime | None, dt.datetime | None]:
        return boundaries((one for counts in self.counts.values() for one in counts), self.period)

    def photos(self) -> tuple[set[int], set[int]]:
        """The sessions whose photos open and close the line."""
        opening, closing = (
            {
                one.session
                for counts in self.counts.values()
                for one in counts
                if one.at == moment and one.session is not None
            }
            for moment in self.moments()
        )
        return opening, closing

    def spans(self) -> Iterator[Span]:
        """The stretches whose flows `reconcile` asks for."""
        opening, closing = self.moments()
        end = closing or self.period.last
        for batch, counts in self.counts.items():
            for moment in (opening, end):
                if moment is not None and (span := _carried(batch, counts, moment)):
                    yield span
            if opening is not None:
                yield Span(batch, opening, end)


def _carried(batch: int, counts: Sequence[Observed], moment: dt.datetime) -> Span | None:
    """The stretch from the last count of a batch until a moment; None where it was counted just then."""
    last = _last(counts, moment)
    if last is None or last.quantity is None:
        return Span(batch, None, moment)
    return Span(batch, last.at, moment) if last.at < moment else None


@dataclass(frozen=True, slots=True)
class Doubts:
    """Why two counts may not be compared."""

    config_changed: bool = False
    coverage: float | None = None  # of the closing photo, as a share of what the opening one showed


def reconcile(case: Case, flows: Mapping[Span, Flows], doubts: Doubts = Doubts()) -> Line:
    """`flows` has what moved in each of `case.spans()`; a span without movements may be left out."""
    opened, closed = case.moments()
    opening = None if opened is None else _boundary(case, opened, flows)
    end = closed or case.period.last
    moved = {
        batch: flows.get(span, Flows())
        for batch, counts in case.counts.items()
        if (span := _between(batch, counts, (opened, closed), end))
    }
    total = sum(moved.values(), Flows())
    closing = None if closed is None else _boundary(case, closed, flows)
    gaps = {}
    if opened is not None and closed is not None:
        gaps = _gaps(case, (opened, closed), flows, moved)
    return Line(
        case.key,
        opening,
        total,
        closing,
        case.sellable,
        verdict_of(opening, total, closing, sellable=case.sellable, doubts=doubts),
        gaps,
        doubts.coverage,
        doubts.config_changed,
    )


def _between(
    batch: int,
    counts: Sequence[Observed],
    moments: tuple[dt.datetime | None, dt.datetime | None],
    end: dt.datetime,
) -> Span | None:
    """The stretch whose flows are the line's. A lot that was never counted is told by all that ever moved."""
    opened, closed = moments
    if opened is not None:
        return Span(batch, opened, end)
    return _carried(batch, counts, end) if closed is None else None


def _boundary(case: Case, moment: dt.datetime, flows: Mapping[Span, Flows]) -> Boundary:
    """Each batch by its last count and what moved since. The bounds are those counts', combined."""
    parts, ids, sessions = [], [], []
    for batch, counts in case.counts.items():
        last = _last(counts, moment)
        stock, since = _stock(batch, counts, moment, flows)
        low = last.low if last and last.low is not None else stock - since
        high = last.high if last and last.high is not None else stock - since
        parts.append((stock, max(0, low + since), high + since))
        if last is not None and last.at == moment and last.quantity is not None:
            ids.append(last.id)
            sessions += [] if last.session is None else [last.session]
    total = sum(stock for stock, _, _ in parts)
    low, high = add(parts)
    seen = tuple(sorted(set(sessions)))
    return Boundary(moment, total, min(low, total), max(high, total), tuple(ids), seen)


def _stock(
    batch: int, counts: Sequence[Observed], moment: dt.datetime, flows: Mapping[Span, Flows]
) -> tuple[int, int]:
    """What a batch held at a moment, and what of it moved after its last count."""
    span = _carried(batch, counts, moment)
    since = flows.get(span, Flows()).net if span else 0
    last = _last(counts, moment)
    return (last.quantity if last and last.quantity is not None else 0) + since, since


def _gaps(
    case: Case,
    moments: tuple[dt.datetime, dt.datetime],
    flows: Mapping[Span, Flows],
    moved: Mapping[int, Flows],
) -> dict[int, int]:
    """Per batch, its own difference; batches without one are left out."""
    found = {}
    for batch, counts in case.counts.items():
        before, after = (_stock(batch, counts, moment, flows)[0] for moment in moments)
        found[batch] = after - before - moved[batch].net
    return {batch: gap for batch, gap in found.items() if gap}


def difference(opening: Boundary | None, flows: Flows, closing: Boundary | None) -> int | None:
    if opening is None or closing is None:
        return None
    return closing.quantity - opening.quantity - flows.net


def bounds(opening: Boundary | None, flows: Flows, closing: Boundary | None) -> tuple[int, int] | None:
    """The 90 % interval of the difference of two counts: their halves' squares add up, each side by itself.

    Their errors are taken to be independent. What they have in common (the network, the season) cancels in
    a difference, so this errs on the wide side.
    """
    found = difference(opening, flows, closing)
    if opening is None or closing is None or found is None:
        return None
    below = math.hypot(closing.quantity - closing.low, opening.high - opening.quantity)
    above = math.hypot(closing.high - closing.quantity, opening.quantity - opening.low)
    return math.floor(found - below + 1e-9), math.ceil(found + above - 1e-9)


def verdict_of(
    opening: Boundary | None, flows: Flows, closing: Boundary | None, *, sellable: bool, doubts: Doubts
) -> LineVerdict:
    """What two counts and the flows between them allow to say."""
    if closing is None:
        return LineVerdict.CONFIG_CHANGED if doubts.config_changed else LineVerdict.MISSING_PHOTO
    interval = bounds(opening, flows, closing)
    if interval is None:
        return LineVerdict.NO_BASELINE
    found = difference(opening, flows, closing) or 0
    if found == 0:
        return LineVerdict.BALANCED
    if doubts.config_changed:
        return LineVerdict.CONFIG_CHANGED
    if doubts.coverage is not None and doubts.coverage < PARTLY:
        return LineVerdict.PARTIAL
    return _by_size(found, interval, sellable=sellable)


def _by_size(found: int, interval: tuple[int, int], *, sellable: bool) -> LineVerdict:
    low, high = interval
    if low <= 0 <= high:
        return LineVerdict.INDISTINCT
    if found > 0:
        return LineVerdict.GAIN
    return LineVerdict.SALE if sellable else LineVerdict.LOSS


def sum_of_differences(lines: Iterable[Line]) -> tuple[int, int, int]:
    """Of many lines: the sum of their differences, with its interval. Errors that all photos share go the
    same way in every opening and in every closing, so sides are summed before they are subtracted."""
    pairs = [(line.opening, line.flows, line.closing) for line in lines if line.opening and line.closing]
    openings = [(o.quantity, o.low, o.high) for o, _, _ in pairs]
    closings = [(c.quantity, c.low, c.high) for _, _, c in pairs]
    moved = Flows(adjusted=sum(flows.net for _, flows, _ in pairs))
    now = dt.datetime.min
    first = Boundary(now, sum(one[0] for one in openings), *add(openings))
    last = Boundary(now, sum(one[0] for one in closings), *add(closings))
    low, high = bounds(first, moved, last) or (0, 0)
    return difference(first, moved, last) or 0, low, high


def allocate(quantity: int, gaps: Mapping[int, int]) -> dict[int, int]:
    """Share a line's difference out among its batches, none more than its own gap, the largest first.

    `quantity` is signed as the gaps are; the sum of the shares is `quantity`.
    """
    sign = -1 if quantity < 0 else 1
    left, shares = abs(quantity), {}
    for batch, gap in sorted(gaps.items(), key=lambda item: (-sign * item[1], item[0])):
        share = min(left, max(0, sign * gap))
        if share:
            shares[batch] = sign * share
            left -= share
    return shares


def to_explain(lines: Collection[Line]) -> list[Line]:
    """The lines that a person must look into. Sales are no news, and what lies within the error is none."""
    wanted = (LineVerdict.GAIN, LineVerdict.LOSS, LineVerdict.CONFIG_CHANGED)
    return [line for line in lines if line.verdict in wanted]
