"""The price list as a file of our own format: one line per code and time, names instead of ids."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from db.cells import spell, to_csv
from db.errors import NotFound, Refused
from db.imports.dates import parse_day
from db.imports.numbers import NumberFormat, detect_format, parse_count, parse_number, told_format
from db.imports.read import ReadOptions, read_rows
from db.imports.tables import Columns, Record, records
from db.prices import Item, Line, Outcome, Wanted, lines, set_price
from db.pricing import Terms, terms_at
from db.seed_files import Reject

_T = TypeVar("_T", Item, Terms)
_ITEM = ("code", "category", "packaging", "product", "size", "description")
_NUMBERS = ("wholesale", "retail", "units_per_box", "box_price", "discount_percent")
COLUMNS = (
    *_ITEM,
    *_NUMBERS,
    *("availability", "currency", "observations", "valid_from", "valid_to"),
)
_KNOWN = Columns(("code", "category"), COLUMNS[2:])


@dataclass(frozen=True, slots=True)
class PriceRow:
    line: int
    item: Item
    terms: Terms
    start: dt.date
    stop: dt.date | None
    unsaid: frozenset[str]  # columns that the file lacks: they stay as they are


@dataclass(frozen=True, slots=True)
class PriceFile:
    """What a file says, and the lines of it that say nothing that can be meant."""

    rows: tuple[PriceRow, ...]
    rejects: tuple[Reject, ...]
    notes: tuple[str, ...]  # what was found out about its encoding and numbers


def write_prices(found: Iterable[Line]) -> str:
    """Lines of the list as CSV, which `read_prices` reads back to the same."""
    return to_csv(COLUMNS, (price_cells(line) for line in found))


def price_cells(line: Line) -> dict[str, str]:
    item, terms, span = line.item, line.span.terms, line.span
    values = {name: getattr(item, name) for name in _ITEM} | {
        name: getattr(terms, name) for name in (*_NUMBERS, "availability", "currency", "observations")
    }
    values |= {"valid_from": span.start, "valid_to": span.stop}
    return {name: spell(values[name]) for name in COLUMNS}


def read_prices(
    path: Path,
    default_start: dt.date,
    *,
    start: dt.date | None = None,
    decimal: str | None = None,
    currency: str = "ARS",
) -> PriceFile:
    """Read CSV or a spreadsheet. `start`, where given, outranks the file's own valid_from.

    `decimal` is the sign that marks decimals; without it the file has to show it. Raises UnreadableFile.
    """
    file = read_rows(path, ReadOptions())
    found = records(file, _KNOWN)
    style = told_format(decimal) if decimal else detect_format(_written_numbers(found))
    rows, rejects = [], []
    for record in found:
        try:
            rows.append(_row(record, style, (start, default_start), currency))
        except ValueError as error:
            rejects.append(Reject(record.line, str(error)))
    return PriceFile(tuple(rows), tuple(rejects), (*file.notes, style.why))


def save_prices(
    connection: Connection, rows: Iterable[PriceRow], *, today: dt.date | None
) -> tuple[dict[Outcome, int], list[Reject]]:
    """Set every price, in the caller's transaction; how many came out how, and the lines that could not be.

    Lines of one code are set in order of time, whatever their order in the file.
    """
    counted = dict.fromkeys(Outcome, 0)
    rejects = []
    held: dict[str, list[Line]] = {}
    for line in lines(connection, Wanted(), None):
        held.setdefault(line.sku, []).append(line)
    for row in sorted(rows, key=lambda row: (row.item.sku, row.start, row.line)):
        item, terms = _completed(row, held.get(row.item.sku, []))
        try:
            outcome = set_price(connection, item, terms, row.start, row.stop, today=today)
        except (NotFound, Refused) as error:
            rejects.append(Reject(row.line, str(error)))
        else:
            counted[outcome] += 1
    return counted, sorted(rejects)


def _completed(row: PriceRow, held: list[Line]) -> tuple[Item, Terms]:
    """What the file does not speak of is taken from the list as it was when the row begins."""
    if not held or not row.unsaid:
        return row.item, row.terms
    terms = terms_at((line.span for line in held), row.start) or Terms()
    return _keep(row.item, held[-1].item, row.unsaid), _keep(row.terms, terms, row.unsaid)


def _keep(new: _T, old: _T, names: Collection[str]) -> _T:
    kept = {field.name: getattr(old, field.name) for field in fields(old) if field.name in names}
    return replace(new, **kept)


def _written_numbers(found: Iterable[Record]) -> Iterable[str]:
    for record in found:
        yield from (
            record.cells[name] for name in _NUMBERS if name in record.cells and name not in record.exact
        )


def _row(
    record: Record, style: NumberFormat, starts: tuple[dt.date | None, dt.date], currency: str
) -> PriceRow:
    """Raises ValueError with a sentence."""
    if record.problem:
        raise ValueError(record.problem)
    cells = record.cells
    for name in ("code", "category"):
        if not cells[name]:
            raise ValueError(f"has no {name}")
    described = [cells.get(name) or None for name in _ITEM[2:]]
    item = Item(cells["code"], cells["category"], *described)
    told, default = starts
    begin = told or _day(cells, "valid_from") or default
    unsaid = frozenset(COLUMNS) - cells.keys()
    return PriceRow(
        record.line, item, _terms(record, style, currency), begin, _day(cells, "valid_to"), unsaid
    )


def _terms(record: Record, style: NumberFormat, currency: str) -> Terms:
    cells = record.cells
    return Terms(
        wholesale=_number(record, "wholesale", style),
        retail=_number(record, "retail", style),
        units_per_box=_count(record, "units_per_box", style),
        box_price=_number(record, "box_price", style),
        discount_percent=_number(record, "discount_percent", style) or Decimal(0),
        availability=cells.get("availability") or None,
        observations=cells.get("observations") or None,
        currency=(cells.get("currency") or currency).upper(),
    )


def _number(record: Record, name: str, style: NumberFormat) -> Decimal | None:
    cell = record.cells.get(name)
    if not cell:
        return None
    try:
        return parse_number(cell, style, exact=name in record.exact)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error


def _count(record: Record, name: str, style: NumberFormat) -> int | None:
    cell = record.cells.get(name)
    if not cell:
        return None
    try:
        return parse_count(cell, style, exact=name in record.exact)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error


def _day(cells: Mapping[str, str], name: str) -> dt.date | None:
    cell = cells.get(name)
    if not cell:
        return None
    try:
        return parse_day(cell)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error
