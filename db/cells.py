"""Rows as people write and read them: text in the cells, names instead of ids.

A column `family` of products stands for `family_id`, and holds the natural key of a row of
product_families: `CACTUS/Mammillaria`.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Date, Float, Integer, Numeric, Table, select
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from db.catalog import natural_key
from pipeline.words import Sentence

Cells = Mapping[str, str | None]  # None and an empty cell are the same

_BOOKKEEPING = {"id", "created_at", "updated_at"}
_MEASURED = {"centroid_lat", "centroid_lon", "area_m2"}  # from the geometry
_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # what a spreadsheet would run, if our quotation mark did not stop it


@dataclass(frozen=True, slots=True)
class Lookup:
    """Ids by natural key and back, read once per table."""

    connection: Connection
    known: dict[str, dict[str, int]] = field(default_factory=dict)

    def ids(self, table: Table) -> Mapping[str, int]:
        if table.name not in self.known:
            self.known[table.name] = self._read(table)
        return self.known[table.name]

    def speller(self, column: Column[Any]) -> Callable[[Any], str]:
        """What tells a value of the column as people write it; "" for None and for an id that is gone."""
        table = target_of(column)
        if table is None:
            return spell
        names = {identity: name for name, identity in self.ids(table).items()}
        return lambda identity: names.get(identity, "")

    def _read(self, table: Table) -> dict[str, int]:
        columns = [table.c[name] for name in natural_key(table)]
        spellers = [self.speller(column) for column in columns]
        rows = self.connection.execute(select(table.c.id, *columns))
        return {
            "/".join(say(part) for say, part in zip(spellers, row[1:], strict=True)): row[0] for row in rows
        }


def headings(table: Table) -> dict[str, Column[Any]]:
    """What people may call each column: a reference is named without its `_id`."""
    return {
        column.name if target_of(column) is None else column.name.removesuffix("_id"): column
        for column in table.columns
        if column.name not in _BOOKKEEPING and column.computed is None and not _is_measured(column)
    }


def target_of(column: Column[Any]) -> Table | None:
    """The table that the column refers to."""
    return next((key.column.table for key in column.foreign_keys), None)


def read_row(table: Table, cells: Cells, lookup: Lookup) -> dict[str, Any]:
    """The columns of a row. An empty cell is NULL where that may be, else it says nothing.

    Raises ValueError with a sentence.
    """
    known = headings(table)
    row: dict[str, Any] = {}
    for name, cell in cells.items():
        column = known[name]
        target = target_of(column)
        if not cell:
            if column.nullable:
                row[column.name] = None
        elif target is None:
            row[column.name] = _parse(column, cell)
        else:
            row[column.name] = _find(name, cell, target, lookup)
    return row


def write_row(table: Table, row: Mapping[str, Any], lookup: Lookup) -> dict[str, str]:
    """The cells of a row, which `read_row` reads back to the same."""
    return {
        name: lookup.speller(column)(_shortest(row[column.name])) for name, column in headings(table).items()
    }


def to_csv(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """A table as text for a file. Text that a spreadsheet would run as a formula gets a ' before it."""
    lines = (columns, *([_guarded(row[name]) for name in columns] for row in rows))
    return "".join(",".join(map(_quoted, cells)) + "\n" for cells in lines)


def cell_text(cell: str) -> str:
    """A cell of a file: trimmed, with accents in one spelling, and without the ' that guards it."""
    return unguarded(unicodedata.normalize("NFC", cell).strip())


def unguarded(cell: str) -> str:
    """Without the ' by which `to_csv` keeps spreadsheets from running a formula."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell


def hint(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return Sentence("; did you mean {names}?", names=repr(near[0])) if near else ""


def spell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case dict() | list():
            return json.dumps(value, ensure_ascii=False, sort_keys=True)
        case dt.datetime() | dt.date():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case _:
            return str(value)


def _shortest(value: Any) -> Any:
    """Without zeros at its end: `1.000` would be a thousand to some."""
    return value.normalize() if isinstance(value, Decimal) else value


def _quoted(cell: str) -> str:
    """csv.writer leaves a lone carriage return bare, and csv.reader then takes it for the end of a line."""
    return '"' + cell.replace('"', '""') + '"' if any(sign in cell for sign in ',"\r\n') else cell


def _guarded(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) and not _is_number(cell) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_measured(column: Column[Any]) -> bool:
    return column.name in _MEASURED and "geometry" in column.table.c


def _find(name: str, key: str, target: Table, lookup: Lookup) -> int:
    ids = lookup.ids(target)
    if key not in ids:
        raise ValueError(
            Sentence(
                "{name} {key!r} is not in {name2}{hint}",
                name=name,
                key=key,
                name2=target.name,
                hint=hint(key, ids),
            )
        )
    return ids[key]


def _parse(column: Column[Any], cell: str) -> Any:
    """A cell as the column's type. Raises ValueError with a sentence."""
    for kind, (parse, what) in _PARSERS.items():
        if isinstance(column.type, kind):
            try:
                return parse(cell)
            except (ValueError, InvalidOperation) as error:
                raise ValueError(
                    Sentence("{name} must be {kind}, not {cell!r}", name=column.name, kind=what, cell=cell)
                ) from error
    return cell


def _parse_bool(cell: str) -> bool:
    return {"true": True, "false": False}[cell.lower()] if cell.lower() in {"true", "false"} else _refuse()


def _parse_number(cell: str) -> Decimal:
    number = Decimal(cell)
    return number if number.is_finite() else _refuse()


def _parse_moment(cell: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(cell)
    return moment if moment.tzinfo is not None else _refuse()


def _refuse() -> Any:
    raise ValueError


_PARSERS: dict[type, tuple[Callable[[str], Any], str]] = {
    Boolean: (_parse_bool, "true or false"),
    Integer: (int, "a whole number"),
    Float: (lambda cell: float(_parse_number(cell)), "a number"),
    Numeric: (_parse_number, "a number"),
    TIMESTAMP: (_parse_moment, "a time with its zone, like 2025-01-31T00:00:00Z"),
    Date: (dt.date.fromisoformat, "a date, like 2025-01-31"),
    JSONB: (json.loads, "JSON"),
}
