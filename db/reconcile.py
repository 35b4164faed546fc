"""Read what reconciling needs, in a handful of queries for the whole nursery, and reconcile it."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, or_, select, text, true
from sqlalchemy.orm import aliased

from db.batches import among
from db.errors import NotFound
from db.flows import Flows, Span, flow
from db.models import periods
from db.models.photos import PhotoSession
from db.models.places import StorageBin, StorageBinType, StorageLocation, StorageLocationConfig
from db.models.reconciliations import ReconciliationLine, ReconciliationPosting
from db.models.stock import Count, StockBatch, StockMovement
from db.models.vocabulary import CountStatus, MovementType
from db.reconciling import SELLABLE, Case, Doubts, Line, LineKey, Observed, Period, reconcile


def reconcile_period(
    connection: Connection, period: Period, places: Sequence[str] = (), keep: Collection[LineKey] = ()
) -> list[Line]:
    """Every lot that was counted in the period, or should have been, and those to `keep`. `places` are codes
    of places, beds or bays, all where there are none. What was posted for this very period before is set
    aside: differences are what they would be without. Raises NotFound for a place that does not exist."""
    for code in places:
        require_place(connection, code)
    batches = list(_batches(connection, places))
    counts = _counts(connection, period, [batch for batch, _, _ in batches])
    by_line: dict[LineKey, dict[int, list[Observed]]] = defaultdict(dict)
    sellable: dict[LineKey, bool] = {}
    for batch, key, may_be_sold in batches:
        by_line[key][batch] = counts.get(batch, [])
        sellable[key] = may_be_sold
    cases = [Case(key, of_line, sellable[key], period) for key, of_line in by_line.items()]
    flows = _flows(connection, {span for case in cases for span in case.spans()}, period)
    doubts = _doubts(connection, cases)
    lines = (reconcile(case, flows, doubts[case.key]) for case in cases)
    return [line for line in lines if _matters(line) or line.key in keep]


def _matters(line: Line) -> bool:
    """A lot that nobody photographed is missed only where the books have plants of it."""
    if line.closing is not None:
        return True
    stock = line.flows.net if line.opening is None else line.expected
    return bool(stock)


def inside(code: str) -> ColumnElement[bool]:
    """Places with this code, or of the bed or bay with it."""
    upper = code.upper()
    return or_(StorageLocation.code == upper, StorageLocation.code.startswith(f"{upper}-", autoescape=True))


def require_place(connection: Connection, code: str) -> None:
    if connection.scalar(select(StorageLocation.id).where(inside(code)).limit(1)) is None:
        raise NotFound(f"there is no place, bed or bay {code!r}; `demeter report stock` lists places in use")


def _batches(connection: Connection, places: Sequence[str]) -> Iterator[tuple[int, LineKey, bool]]:
    """Per batch, the line that it is part of, and whether what is missing of it may have been sold."""
    query = (
        select(
            *(StockBatch.id, StorageBin.storage_location_id, StorageBin.category, StockBatch.product_id),
            *(StockBatch.product_size_id, StockBatch.packaging_catalog_id, StorageBinType.sellable),
        )
        .join(StorageBin, StorageBin.id == StockBatch.current_storage_bin_id)
        .join(StorageBinType, StorageBinType.id == StorageBin.storage_bin_type_id)
        .join(StorageLocation, StorageLocation.id == StorageBin.storage_location_id)
        .order_by(StorageLocation.code, StorageBin.category, StockBatch.product_id, StockBatch.id)
    )
    if places:
        query = query.where(or_(*(inside(code) for code in places)))
    for batch, place, category, product, size, packaging, sellable in connection.execute(query):
        yield batch, LineKey(place, category, product, size, packaging), sellable and category in SELLABLE


def _counts(connection: Connection, period: Period, batches: Collection[int]) -> dict[int, list[Observed]]:
    """The accepted counts in the period, and the last one before it, of each batch. For a batch without an
    earlier one, also its first hand entries, which older books have without a count."""
    columns = (Count.batch_id, Count.counted_at, Count.id, Count.quantity, Count.low, Count.high)
    accepted = Count.status == CountStatus.ACCEPTED.value
    within = select(*columns, Count.session_id).where(
        accepted, Count.counted_at >= period.start, Count.counted_at < period.end
    )
    before = (
        select(*columns, Count.session_id)
        .where(accepted, Count.batch_id == StockBatch.id, Count.counted_at < period.start)
        .order_by(Count.counted_at.desc(), Count.id.desc())
        .limit(1)
        .lateral()
    )
    found: dict[int, list[Observed]] = defaultdict(list)
    wanted = set(batches)
    for query in (within, select(before).select_from(StockBatch).join(before, true())):
        for row in connection.execute(query):
            if row.batch_id in wanted:
                found[row.batch_id].append(Observed(*row))
    uncounted = [batch for batch in batches if not any(one.at < period.start for one in found.get(batch, ()))]
    entries = select(StockMovement.batch_id, StockMovement.occurred_at, StockMovement.id).where(
        among(StockMovement.batch_id, uncounted),
        StockMovement.movement_type == MovementType.MANUAL_INIT.value,
        StockMovement.reverses_movement_id.is_(None),
        StockMovement.occurred_at < period.end,
    )
    for row in connection.execute(entries) if uncounted else ():
        found[row.batch_id].append(Observed(*row, None))
    return found


# One index range per stretch, however many movements the other years have.
FLOWS = text("""
    SELECT span.number, moved.movement_type, moved.arrives, moved.quantity
    FROM unnest(CAST(:batches AS bigint[]), CAST(:after AS timestamptz[]), CAST(:until AS timestamptz[]))
        WITH ORDINALITY AS span (batch_id, after, until, number)
    CROSS JOIN LATERAL (
        SELECT movement_type, (quantity > 0) = (reverses_movement_id IS NULL) AS arrives,
            sum(quantity) AS quantity
        FROM stock_movements
        WHERE batch_id = span.batch_id AND occurred_at > coalesce(span.after, '-infinity')
            AND occurred_at <= span.until AND movement_type <> 'foto'
        GROUP BY 1, 2
    ) AS moved
""")


def _flows(connection: Connection, spans: Collection[Span], period: Period) -> dict[Span, Flows]:
    """What moved in each stretch. Left out are the entries that reconciling this period booked."""
    ordered = list(spans)
    arrays = {
        "batches": [span.batch for span in ordered],
        "after": [span.after for span in ordered],
        "until": [span.until for span in ordered],
    }
    flows: dict[Span, Flows] = defaultdict(Flows)
    # Thousands of short index ranges look costly enough to be compiled, which takes longer than reading them.
    connection.execute(text("SET LOCAL jit = off"))
    for number, kind, arrives, quantity in connection.execute(FLOWS, arrays):
        flows[ordered[number - 1]] += flow(kind, int(quantity), arrives=arrives)
    # One that is both late and our own counts nowhere.
    moves = {move.id: move for move in (*_late(connection), *_own(connection, period))}
    aside = defaultdict(list)
    for move in moves.values():
        aside[move.batch].append(move)
    for span in ordered if aside else ():
        for move in aside[span.batch]:
            if _within(span, move.dated):
                flows[span] -= move.flows
            if move.true_at is not None and _within(span, move.true_at):
                flows[span] += move.flows
    return flows


def _within(span: Span, moment: dt.datetime) -> bool:
    return (span.after is None or moment > span.after) and moment <= span.until


@dataclass(frozen=True, slots=True)
class _Aside:
    """A movement that does not count at the time at which it is dated, but at another, or not at all."""

    id: int
    batch: int
    dated: dt.datetime
    true_at: dt.datetime | None
    flows: Flows


def _late(connection: Connection) -> Iterator[_Aside]:
    """Reversals of what is in a closed month. They are dated when the next one begins, and hold as of what
    they take back."""
    ends = connection.scalars(select(periods.Period.ends_at)).all()
    if not ends:
        return
    original, table = aliased(StockMovement), StockMovement
    query = (
        select(
            *(table.id, table.batch_id, table.occurred_at, original.occurred_at),
            *(table.movement_type, table.quantity),
        )
        .join(original, original.id == table.reverses_movement_id)
        .where(
            # By the index on type and time, rather than along all reversals.
            table.movement_type.in_([kind.value for kind in MovementType]),
            table.occurred_at.in_(ends),
            table.occurred_at > original.occurred_at,
        )
    )
    for number, batch, dated, true_at, kind, quantity in connection.execute(query):
        yield _Aside(number, batch, dated, true_at, flow(kind, quantity, arrives=quantity < 0))


def _own(connection: Connection, period: Period) -> Iterator[_Aside]:
    """What reconciling the very same period booked, and what took it back since."""
    table, line = StockMovement, ReconciliationLine
    own = connection.scalars(
        select(ReconciliationPosting.movement_id)
        .join(line, line.id == ReconciliationPosting.line_id)
        .where(line.starts_at == period.start, line.ends_at == period.end)
    ).all()
    # Two questions, each of which an index answers; with OR it would be none.
    for column in (table.id, table.reverses_movement_id) if own else ():
        query = select(table.id, table.batch_id, table.occurred_at, table.movement_type, table.quantity)
        for number, batch, dated, kind, quantity in connection.execute(query.where(among(column, own))):
            yield _Aside(number, batch, dated, None, flow(kind, quantity))


def _doubts(connection: Connection, cases: Sequence[Case]) -> dict[LineKey, Doubts]:
    """Per line, whether its place was given other plants meanwhile, and how much its closing photo shows."""
    grown = _configurations(connection)
    photos = {case.key: case.photos() for case in cases}
    sizes = _bed_sizes(connection, {one for pair in photos.values() for group in pair for one in group})
    found = {}
    for case in cases:
        opening, closing = case.moments()
        history = grown.get(case.key.place_id, ())
        changed = opening is not None and _changed(case.key, history, (opening, closing or case.period.last))
        before, after = (
            max((sizes[one] for one in group if one in sizes), default=None) for group in photos[case.key]
        )
        found[case.key] = Doubts(changed, after / before if before and after else None)
    return found


@dataclass(frozen=True, slots=True)
class _Growing:
    since: dt.datetime
    until: dt.datetime | None
    plants: tuple[int, int | None, int | None]  # product, size, packaging


def _configurations(connection: Connection) -> dict[int, list[_Growing]]:
    table = StorageLocationConfig
    rows = connection.execute(
        select(
            *(table.storage_location_id, table.valid_from, table.valid_to),
            *(table.product_id, table.product_size_id, table.packaging_catalog_id),
        ).order_by(table.storage_location_id, table.valid_from)
    )
    found: dict[int, list[_Growing]] = defaultdict(list)
    for place, since, until, product, size, packaging in rows:
        found[place].append(_Growing(since, until, (product, size, packaging)))
    return found


def _changed(key: LineKey, history: Sequence[_Growing], moments: tuple[dt.datetime, dt.datetime]) -> bool:
    """Whether the place was configured for these plants at one of the moments and for others at the other."""
    before, after = (_growing_at(history, moment) for moment in moments)
    return before != after and (key.product_id, key.size_id, key.packaging_id) in (before, after)


def _growing_at(
    history: Sequence[_Growing], moment: dt.datetime
) -> tuple[int, int | None, int | None] | None:
    """As `db.stock.lot_at` finds it: for a moment before any configuration, the first."""
    for one in history:
        if one.since <= moment and (one.until is None or moment < one.until):
            return one.plants
    return history[0].plants if history else None


def _bed_sizes(connection: Connection, sessions: Iterable[int]) -> Mapping[int, float]:
    table = PhotoSession
    rows = connection.execute(
        select(table.id, table.bed_in_plants).where(
            among(table.id, sessions), table.bed_in_plants.is_not(None)
        )
    )
    return {row.id: row.bed_in_plants for row in rows}
