"""Post reconciliations: keep what was found, and book the sales and losses that it infers.

An inferred sale is dated at the count that shows it. A movement at that moment is included in the count, so
the difference that the count itself had posted (`foto`) shrinks by as much (db/stock.py): stock stays what
was counted, and what was unexplained has a name now.

What was posted is not changed. A line that comes out otherwise when it is reconciled again (a movement came
late, a count was decided on) gets another version: the entries of the earlier one are taken back by linked
reversals, and new ones are booked. A line that comes out the same is left alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Row, exists, func, insert, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import aliased

from db.acting import require_role
from db.batches import among
from db.errors import AlreadyReconciled
from db.flows import Flows
from db.models.periods import Period as ClosedMonth
from db.models.places import StorageLocation
from db.models.reconciliations import Reconciliation, ReconciliationLine, ReconciliationPosting
from db.models.stock import StockMovement
from db.models.vocabulary import LineVerdict, MovementSource, MovementType, Role
from db.movements import Entry, book
from db.periods import hold_books
from db.reconcile import reconcile_period
from db.reconciling import Line, LineKey, Period, allocate
from db.undoing import undo
from pipeline.words import Sentence

_REASONS = {
    LineVerdict.SALE: "calculated sale: unexplained outflow between two counts",
    LineVerdict.LOSS: "unexplained loss between two counts",
    LineVerdict.GAIN: "unexplained gain between two counts, accepted",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """A line and what was posted for it before. `earlier` is the difference that the standing version found,
    where it is another one now; `posted` are the plants in the books for it, signed. `closed` says that its
    closing count lies in a closed month: what is in the books for it stays."""

    line: Line
    version: int | None
    earlier: int | None
    posted: int
    closed: bool

    @property
    def restated(self) -> bool:
        return self.version is not None and self.earlier != self.line.difference


@dataclass(frozen=True, slots=True)
class Posted:
    """What posting did; `reconciliation` is None where every line was posted before as it is."""

    reconciliation: int | None
    new: int
    restated: int
    unchanged: int
    sold: int
    adjusted: int


def standing(connection: Connection, period: Period, places: Sequence[str] = ()) -> list[Standing]:
    """The period's lines, each beside what was posted for it before."""
    before = _versions(connection, period)
    lines = reconcile_period(connection, period, places, before)
    posted = _in_the_books(connection, [row.id for row in before.values()])
    open_from = connection.scalar(select(func.max(ClosedMonth.ends_at)))

    def closed(line: Line) -> bool:
        return open_from is not None and line.closing is not None and line.closing.at < open_from

    return [_standing(line, before.get(line.key), posted, closed=closed(line)) for line in lines]


def _standing(line: Line, before: Row[Any] | None, posted: Mapping[int, int], *, closed: bool) -> Standing:
    if before is None:
        return Standing(line, None, None, 0, closed)
    return Standing(line, before.version, before.difference, posted.get(before.id, 0), closed)


def post(
    connection: Connection,
    period: Period,
    user: int,
    places: Sequence[str] = (),
    *,
    gains: bool = False,
    zone: dt.tzinfo = dt.UTC,
) -> Posted:
    """Keep the period's lines and book what they infer; with `gains`, also what was found too many.
    Sales get the price of the price list on their day in the zone.

    In the caller's transaction, through `db.engine.retry`. Posting again changes nothing unless a line has
    changed. Raises Forbidden, AlreadyReconciled, and what `db.movements.book` raises.
    """
    require_role(connection, user, Role.SUPERVISOR)
    hold_books(connection)  # so that what is booked follows from what was read
    before = _versions(connection, period)
    lines = reconcile_period(connection, period, places, before)
    changed = [line for line in lines if _differs(line, before.get(line.key), gains=gains)]
    if not changed:
        return Posted(None, 0, 0, len(lines), 0, 0)
    _require_unclaimed(connection, period, [line for line in changed if _due(line, gains=gains)])
    restated = {line.key: before[line.key] for line in changed if line.key in before}
    _take_back(connection, [row.id for row in restated.values()], user)
    reconciliation = connection.execute(
        insert(Reconciliation)
        .values(
            starts_at=period.start,
            ends_at=period.end,
            places=[code.upper() for code in places],
            gains_accepted=gains,
            user_id=user,
        )
        .returning(Reconciliation.id)
    ).scalar_one()
    common = {"reconciliation_id": reconciliation, "starts_at": period.start, "ends_at": period.end}
    rows = [common | _row(line, before.get(line.key), gains=gains) for line in changed]
    ids = connection.scalars(
        insert(ReconciliationLine).returning(ReconciliationLine.id, sort_by_parameter_order=True), rows
    ).all()
    due = [_due(line, gains=gains) for line in changed]
    _book(connection, list(zip(ids, changed, due, strict=True)), (user, zone))
    sales = [-plants for line, plants in zip(changed, due, strict=True) if line.verdict is LineVerdict.SALE]
    return Posted(
        reconciliation,
        len(changed) - len(restated),
        len(restated),
        len(lines) - len(changed),
        sum(sales),
        sum(due) + sum(sales),
    )


def _due(line: Line, *, gains: bool) -> int:
    """The plants to book for a line, signed as movements are."""
    bookable = line.verdict in (LineVerdict.SALE, LineVerdict.LOSS) or (
        gains and line.verdict is LineVerdict.GAIN
    )
    return (line.difference or 0) if bookable else 0


def _differs(line: Line, before: Row[Any] | None, *, gains: bool) -> bool:
    if before is None:
        return True
    # A gain that was accepted once stays so.
    accepted = gains or before.posted > 0
    wanted = _figures(line) | {"posted": _due(line, gains=accepted)}
    return any(getattr(before, name) != value for name, value in wanted.items())


def _row(line: Line, before: Row[Any] | None, *, gains: bool) -> dict[str, Any]:
    key = line.key
    return {
        "location_id": key.place_id,
        "category": key.category,
        "product_id": key.product_id,
        "product_size_id": key.size_id,
        "packaging_catalog_id": key.packaging_id,
        "version": 1 if before is None else before.version + 1,
        "restates_line_id": None if before is None else before.id,
        **_figures(line),
        "posted": _due(line, gains=gains),
    }


def _figures(line: Line) -> dict[str, Any]:
    """What two versions of a line are compared by, column by column."""
    low, high = line.bounds or (None, None)
    opening, closing = line.opening, line.closing
    return {
        "opening_at": opening and opening.at,
        "opening": opening and opening.quantity,
        "opening_low": opening and opening.low,
        "opening_high": opening and opening.high,
        **{one.name: getattr(line.flows, one.name) for one in fields(Flows)},
        "closing_at": closing and closing.at,
        "counted": closing and closing.quantity,
        "counted_low": closing and closing.low,
        "counted_high": closing and closing.high,
        "difference": line.difference,
        "low": low,
        "high": high,
        "verdict": line.verdict.value,
        "opening_counts": list(opening.counts) if opening else [],
        "closing_counts": list(closing.counts) if closing else [],
    }


def _versions(connection: Connection, period: Period) -> dict[LineKey, Row[Any]]:
    """The newest version of each line of the period."""
    table = ReconciliationLine
    key = (
        *(table.location_id, table.category, table.product_id, table.product_size_id),
        table.packaging_catalog_id,
    )
    rows = connection.execute(
        select(*table.__table__.columns)
        .where(table.starts_at == period.start, table.ends_at == period.end)
        .ext(distinct_on(*key))
        .order_by(*key, table.version.desc())
    )
    return {
        LineKey(
            row.location_id, row.category, row.product_id, row.product_size_id, row.packaging_catalog_id
        ): row
        for row in rows
    }


def _in_the_books(connection: Connection, lines: Collection[int]) -> dict[int, int]:
    """Per line, the plants of its entries that nobody took back."""
    table, reversal, posting = StockMovement, aliased(StockMovement), ReconciliationPosting
    rows = connection.execute(
        select(posting.line_id, func.sum(table.quantity))
        .join(table, table.id == posting.movement_id)
        .where(among(posting.line_id, lines), ~exists().where(reversal.reverses_movement_id == table.id))
        .group_by(posting.line_id)
    )
    return {line: int(plants) for line, plants in rows}


def _require_unclaimed(connection: Connection, period: Period, lines: Sequence[Line]) -> None:
    """Raises AlreadyReconciled where another period's posted line reaches from before our closing count to
    after it: what it booked is dated later, and would be inferred a second time."""
    table, newer = ReconciliationLine, aliased(ReconciliationLine)
    places = {line.key.place_id for line in lines}
    rows = connection.execute(
        select(*table.__table__.columns, StorageLocation.code.label("place"))
        .join(StorageLocation, StorageLocation.id == table.location_id)
        .where(
            among(table.location_id, places),
            table.posted != 0,
            (table.starts_at != period.start) | (table.ends_at != period.end),
            ~exists().where(newer.restates_line_id == table.id),
        )
    ).all()
    ours = {line.key: line.closing.at for line in lines if line.closing}
    for row in rows:
        key = LineKey(
            row.location_id, row.category, row.product_id, row.product_size_id, row.packaging_catalog_id
        )
        closing = ours.get(key)
        if closing is not None and row.opening_at < closing < row.closing_at:
            raise AlreadyReconciled(
                Sentence(
                    "{place}: reconciliation {reconciliation_id}, of {starts_at:%Y-%m-%d} to"
                    " {ends_at:%Y-%m-%d}, has been posted and covers this time; reconcile that"
                    " period again",
                    place=row.place,
                    reconciliation_id=row.reconciliation_id,
                    starts_at=row.starts_at,
                    ends_at=row.ends_at,
                )
            )


def _take_back(connection: Connection, lines: Collection[int], user: int) -> None:
    """Reverse what earlier versions booked and nobody took back; the reversals are theirs too."""
    table, reversal, posting = StockMovement, aliased(StockMovement), ReconciliationPosting
    rows = connection.execute(
        select(posting.line_id, table.id)
        .join(table, table.id == posting.movement_id)
        .where(
            among(posting.line_id, lines),
            table.reverses_movement_id.is_(None),
            ~exists().where(reversal.reverses_movement_id == table.id),
        )
        .order_by(table.id)
    ).all()
    for line, movement in rows:
        for booked in undo(connection, movement, user, "the reconciliation was restated"):
            connection.execute(insert(posting).values(line_id=line, movement_id=booked.id))


def _book(connection: Connection, lines: Sequence[tuple[int, Line, int]], how: tuple[int, dt.tzinfo]) -> None:
    """Book what is due for each line, shared out among its batches, at the time of its closing count.

    `how` is who books, and the time zone of the site.
    """
    (user, zone), entries, owners = how, [], []
    for line_id, line, due in lines:
        closing = line.closing
        if closing is None or not due:
            continue
        for batch, plants in allocate(due, line.gaps).items():
            is_sale = line.verdict is LineVerdict.SALE
            entries.append(
                Entry(
                    movement_type=MovementType.VENTAS if is_sale else MovementType.AJUSTE,
                    where=batch,
                    quantity=plants,
                    occurred_at=closing.at.astimezone(zone),
                    user_id=user,
                    reason=_REASONS[line.verdict],
                    source=MovementSource.CALCULATED,
                    idempotency_key=f"reconciliation-line-{line_id}-batch-{batch}",
                )
            )
            owners.append(line_id)
    booked = book(connection, entries) if entries else []
    rows = [
        {"line_id": line_id, "movement_id": entry.id} for line_id, entry in zip(owners, booked, strict=True)
    ]
    if rows:
        connection.execute(insert(ReconciliationPosting), rows)
