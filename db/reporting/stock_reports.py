"""How much stands where, how sure that is, and how it came about over time."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from db.models.catalog import Product
from db.models.places import StorageBin, StorageLocation
from db.models.stock import StockBatch, StockMovement
from db.models.vocabulary import MovementType
from db.reporting.frame import Column, Kind, Report, Row, Wanted
from db.reporting.groups import HEADINGS, Groups
from db.reports import StockRow, stock
from pipeline.interval import add
from pipeline.words import Sentence, marked

STEPS = ("day", "week", "month")
MOST_STEPS = 60
WIDEST = 3
# What adds plants that were not there before; a transplant only carries them.
_CAME_IN = frozenset({"plantar", "sembrar", "manual_init", "foto", "ajuste"})


def bounds(rows: Sequence[StockRow]) -> tuple[int | None, int | None]:
    """Of the sum; none where one of the rows was never counted."""
    if not rows or any(row.low is None or row.high is None for row in rows):
        return (None, None)
    return add((row.plants, row.low or 0, row.high or 0) for row in rows)


def summary(connection: Connection, wanted: Wanted) -> Report:
    """The stock at `until` by a group, with the places that make it unsure."""
    groups = Groups(connection)
    rows = groups.meant(stock(connection, wanted.until), wanted)
    by: dict[str | None, list[StockRow]] = defaultdict(list)
    for row in rows:
        by[groups.of(row, wanted.group)].append(row)
    whole = sum(row.plants for row in rows)
    shown = [_summed(group, inside, whole) for group, inside in by.items()]
    shown.sort(key=lambda row: str(row["group"] or ""))
    columns = (
        Column("group", HEADINGS[wanted.group]),
        Column("places", marked("places"), Kind.COUNT),
        Column("plants", marked("plants"), Kind.COUNT),
        Column("low", marked("low"), Kind.COUNT),
        Column("high", marked("high"), Kind.COUNT),
        Column("share", marked("share"), Kind.SHARE),
        Column("counted_at", marked("oldest count"), Kind.DAY),
    )
    total = _summed(None, rows, whole) | {"group": None} if rows else None
    return Report("summary", marked("Stock"), columns, tuple(shown), total, tuple(_widest(rows)))


def _summed(group: str | None, rows: Sequence[StockRow], whole: int) -> dict[str, Any]:
    plants = sum(row.plants for row in rows)
    low, high = bounds(rows)
    counted = [row.counted_at for row in rows if row.counted_at is not None]
    return {
        "group": group,
        "places": len({row.place for row in rows}),
        "plants": plants,
        "low": low,
        "high": high,
        "share": plants / whole if whole else None,
        "counted_at": min(counted) if counted else None,
    }


def _widest(rows: Sequence[StockRow]) -> Iterator[str]:
    """Which places make the sum unsure: halves of intervals add up by their squares, but for what they
    share."""
    squares: dict[str, float] = defaultdict(float)
    for row in rows:
        if row.low is not None and row.high is not None:
            squares[row.place] += (row.high - row.low) ** 2
    whole = sum(squares.values())
    first = sorted(squares.items(), key=lambda one: (-one[1], one[0]))[:WIDEST]
    if whole and len(squares) > 1:
        share = sum(square for _, square in first) / whole
        places = ", ".join(place for place, _ in first)
        yield Sentence("Most of the doubt, {share:.0%}, comes from {places}.", share=share, places=places)


def trend(connection: Connection, wanted: Wanted) -> Report:
    """The stock at the end of each day, week or month of the period, rebuilt from the ledger as it stands
    now.

    Raises ValueError for more than MOST_STEPS steps.
    """
    groups, shown = Groups(connection), []
    ends = list(steps(wanted))
    if len(ends) > MOST_STEPS:
        raise ValueError(
            Sentence("{n} steps are too many: take longer ones, or a shorter period", n=len(ends))
        )
    before: int | None = None
    for end in ends:
        rows = groups.meant(stock(connection, end), wanted)
        plants = sum(row.plants for row in rows)
        low, high = bounds(rows)
        change = None if before is None else plants - before
        share = None if not before else (plants - before) / before
        shown.append(
            {"end": end, "plants": plants, "low": low, "high": high, "change": change, "share": share}
        )
        before = plants
    columns = (
        Column("end", marked("until"), Kind.DAY),
        Column("plants", marked("plants"), Kind.COUNT),
        Column("low", marked("low"), Kind.COUNT),
        Column("high", marked("high"), Kind.COUNT),
        Column("change", marked("change"), Kind.COUNT),
        Column("share", marked("share"), Kind.SHARE),
    )
    return Report("trend", marked("Stock over time"), columns, tuple(shown))


def steps(wanted: Wanted) -> Iterator[dt.datetime]:
    """The ends of the steps that the period touches, at the site's midnights; the last is the period's own
    end."""
    first = wanted.since.astimezone(wanted.zone).date()
    last = wanted.until.astimezone(wanted.zone)
    day = _next(first, wanted.step)
    while (moment := dt.datetime.combine(day, dt.time(), wanted.zone) - dt.timedelta(microseconds=1)) < last:
        yield moment
        day = _next(day, wanted.step)
    yield wanted.until


def _next(day: dt.date, step: str) -> dt.date:
    """The first day of the next step."""
    match step:
        case "day":
            return day + dt.timedelta(days=1)
        case "week":
            return day + dt.timedelta(days=7 - day.weekday())
        case _:
            return (day.replace(day=28) + dt.timedelta(days=4)).replace(day=1)


def mortality(connection: Connection, wanted: Wanted) -> Report:
    """Deaths of the period as a share of what stood there and what came in: deaths ÷ (opening + inflow).

    Inflow is what was planted, sown or taken over, and what a count or an adjustment found beyond the books:
    a place that was never counted before begins with its first count. Plants that are carried from one place
    to another are none. Without plants there is no rate.
    """
    groups = Groups(connection)
    moved, by = groups.meant(_moved(connection, wanted), wanted), defaultdict[str | None, list[Any]](list)
    for row in moved:
        by[groups.of(row, wanted.group)].append(row)
    shown = sorted(
        (_deaths(group, rows) for group, rows in by.items()), key=lambda row: str(row["group"] or "")
    )
    shown = [row for row in shown if row["opening"] or row["inflow"] or row["deaths"]]
    columns = (
        Column("group", HEADINGS[wanted.group]),
        Column("opening", marked("opening"), Kind.COUNT),
        Column("inflow", marked("came in"), Kind.COUNT),
        Column("deaths", marked("deaths"), Kind.COUNT),
        Column("rate", marked("mortality"), Kind.SHARE),
    )
    reasons: dict[str, int] = defaultdict(int)
    for row in moved:
        if row.type == MovementType.MUERTE.value and not row.before:
            reasons[row.reason or "?"] -= int(row.plants)
    listed = sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    told = ", ".join(f"{reason} {plants}" for reason, plants in listed if plants)
    notes = (Sentence("Reasons: {reasons}.", reasons=told),) if told else ()
    return Report("mortality", marked("Mortality"), columns, tuple(shown), _deaths(None, moved), notes)


def _deaths(group: str | None, rows: Iterable[Any]) -> Row:
    opening = inflow = deaths = 0
    for row in rows:
        if row.before:
            opening += int(row.plants)
        elif row.type == MovementType.MUERTE.value:
            deaths -= int(row.plants)
        elif row.type in _CAME_IN and row.gain:
            inflow += int(row.plants)
    base = opening + inflow
    return {
        "group": group,
        "opening": opening,
        "inflow": inflow,
        "deaths": deaths,
        "rate": deaths / base if base > 0 else None,
    }


def _moved(connection: Connection, wanted: Wanted) -> Sequence[Any]:
    """Plants moved per place, lot, type and reason: before the period, and in it."""
    from db.models.catalog import PackagingCatalog, ProductSize, ProductState

    before = (StockMovement.occurred_at <= wanted.since).label("before")
    gain = (StockMovement.quantity > 0).label("gain")
    keys = (
        StorageLocation.code.label("place"),
        Product.sku.label("sku"),
        PackagingCatalog.sku.label("packaging"),
        ProductSize.code.label("size"),
        ProductState.code.label("state"),
        StockMovement.movement_type.label("type"),
        StockMovement.reason_description.label("reason"),
        before,
        gain,
    )
    return connection.execute(
        select(*keys, func.sum(StockMovement.quantity).label("plants"))
        .join(StockBatch, StockBatch.id == StockMovement.batch_id)
        .join(StorageBin, StorageBin.id == StockBatch.current_storage_bin_id)
        .join(StorageLocation, StorageLocation.id == StorageBin.storage_location_id)
        .join(Product, Product.id == StockBatch.product_id)
        .join(ProductState, ProductState.id == StockBatch.product_state_id)
        .outerjoin(ProductSize, ProductSize.id == StockBatch.product_size_id)
        .outerjoin(PackagingCatalog, PackagingCatalog.id == StockBatch.packaging_catalog_id)
        .where(StockMovement.occurred_at <= wanted.until)
        .group_by(*(key.element if hasattr(key, "element") else key for key in keys))
    ).all()
