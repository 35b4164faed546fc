"""Load seed files: one per table, in load order, with natural keys instead of ids.

A column `family` of products.csv stands for `family_id`, and holds the natural key of a row of
product_families: `CACTUS/Mammillaria`.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Date, Float, Integer, Numeric, Table, select
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from db.catalog import natural_key, upsert
from db.errors import SeedError
from db.geojson import metres_outside, shape_columns
from db.models import catalog, changes, people, places, prices
from db.models.base import Base
from db.seed_files import Record, Reject, SeedFile, find_seed_files, read_seed_file

MODELS = (catalog, changes, people, places, prices)  # importing them fills Base.metadata

_BOOKKEEPING = {"id", "created_at", "updated_at"}
_MEASURED = {"centroid_lat", "centroid_lon", "area_m2"}  # from the geometry
_TOLERANCE_M = 1.0  # how far a drawn bed may stick out of its bay


@dataclass(frozen=True, slots=True)
class SeedReport:
    file: str
    read: int
    inserted: int
    unchanged: int
    updated: int
    kept: int  # edited by a person, so left alone
    rejected: tuple[Reject, ...]


@dataclass(frozen=True, slots=True)
class _Lookup:
    """Ids by natural key, read once per table."""

    connection: Connection
    known: dict[str, dict[str, int]] = field(default_factory=dict)

    def ids(self, table: Table) -> Mapping[str, int]:
        if table.name not in self.known:
            self.known[table.name] = self._read(table)
        return self.known[table.name]

    def _read(self, table: Table) -> dict[str, int]:
        columns = [table.c[name] for name in natural_key(table)]
        spell = [self._speller(column) for column in columns]
        rows = self.connection.execute(select(table.c.id, *columns))
        return {"/".join(say(part) for say, part in zip(spell, row[1:], strict=True)): row[0] for row in rows}

    def _speller(self, column: Column[Any]) -> Callable[[Any], str]:
        target = _target(column)
        if target is None:
            return str
        names = {identity: name for name, identity in self.ids(target).items()}
        return lambda identity: names.get(identity, "")


def load_seeds(connection: Connection, folder: Path, *, overwrite: bool = False) -> list[SeedReport]:
    """Load every file of the folder in one transaction: the caller's if one is open, else its own.

    Rows that a person edited are kept, unless `overwrite`. Rows that cannot be loaded are reported and the
    rest goes on. Raises SeedError, and loads nothing, when a file as a whole makes no sense.
    """
    files = [read_seed_file(path) for path in find_seed_files(folder)]
    tables = [_table(file) for file in files]
    with nullcontext() if connection.in_transaction() else connection.begin():
        return [_load(connection, file, table, overwrite) for file, table in zip(files, tables, strict=True)]


def load_records(connection: Connection, table: Table, name: str, records: Sequence[Record]) -> SeedReport:
    """Load records of one table in the caller's transaction, over what is there; the report bears `name`."""
    columns = tuple({column: None for record in records for column in record.cells})
    file = SeedFile(Path(name), table.name, columns, tuple(records), ())
    return _load(connection, file, _table(file), overwrite=True)


def _load(connection: Connection, file: SeedFile, table: Table, overwrite: bool) -> SeedReport:
    lookup = _Lookup(connection)
    rows, lines, rejects = [], [], list(file.rejects)
    for record in file.records:
        try:
            rows.append(_row(table, record, lookup))
            lines.append(record.line)
        except ValueError as error:
            rejects.append(Reject(record.line, str(error)))
    outcome = upsert(connection, table, rows, overwrite=overwrite)
    rejects += [Reject(lines[rejected.row], rejected.reason) for rejected in outcome.rejected]
    return SeedReport(
        file=file.path.name,
        read=len(file.records) + len(file.rejects),
        inserted=outcome.inserted,
        unchanged=outcome.unchanged,
        updated=outcome.updated,
        kept=outcome.kept,
        rejected=tuple(sorted(rejects)),
    )


def _table(file: SeedFile) -> Table:
    """The table of a file, whose columns it all knows. Raises SeedError."""
    table = Base.metadata.tables.get(file.table)
    if table is None or not natural_key(table):
        seeded = [name for name, one in Base.metadata.tables.items() if natural_key(one)]
        raise SeedError(f"{file.path} names no table that can be seeded{_hint(file.table, seeded)}.")
    known = _headings(table)
    for name in file.columns:
        if name not in known:
            raise SeedError(f"{file.path} has an unknown column {name!r}{_hint(name, list(known))}.")
    missing = [name for name, column in known.items() if column.name in natural_key(table)]
    missing = [name for name in missing if name not in file.columns and not known[name].nullable]
    if missing and file.records:
        raise SeedError(f"{file.path} lacks the column {missing[0]!r}, which names its rows.")
    return table


def _headings(table: Table) -> dict[str, Column[Any]]:
    """What a file may call each column: a reference is named without its `_id`."""
    return {
        column.name if _target(column) is None else column.name.removesuffix("_id"): column
        for column in table.columns
        if column.name not in _BOOKKEEPING and column.computed is None and not _is_measured(column)
    }


def _is_measured(column: Column[Any]) -> bool:
    return column.name in _MEASURED and "geometry" in column.table.c


def _target(column: Column[Any]) -> Table | None:
    return next((key.column.table for key in column.foreign_keys), None)


def _row(table: Table, record: Record, lookup: _Lookup) -> dict[str, Any]:
    """The columns of a record. Raises ValueError with a sentence."""
    headings = _headings(table)
    row: dict[str, Any] = {}
    for name, cell in record.cells.items():
        column = headings[name]
        target = _target(column)
        if cell is None:
            if column.nullable:
                row[column.name] = None
        elif target is None:
            row[column.name] = _parse(column, cell)
        else:
            row[column.name] = _find(name, cell, target, lookup)
    if row.get("geometry") is not None:
        row |= shape_columns(row["geometry"])
        _check_containment(table, row, lookup.connection)
    return row


def _find(name: str, key: str, target: Table, lookup: _Lookup) -> int:
    ids = lookup.ids(target)
    if key not in ids:
        raise ValueError(f"{name} {key!r} is not in {target.name}{_hint(key, list(ids))}")
    return ids[key]


def _hint(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _check_containment(table: Table, row: dict[str, Any], connection: Connection) -> None:
    for column in table.columns:
        parent = _target(column)
        if parent is None or "geometry" not in parent.c or row.get(column.name) is None:
            continue
        outer = connection.scalar(select(parent.c.geometry).where(parent.c.id == row[column.name]))
        outside = metres_outside(row["geometry"], outer) if outer is not None else 0.0
        if outside > _TOLERANCE_M:
            raise ValueError(f"its polygon reaches {outside:.1f} m out of that of its {parent.name} row")


def _parse(column: Column[Any], cell: str) -> Any:
    """A cell as the column's type. Raises ValueError with a sentence."""
    for kind, (parse, what) in _PARSERS.items():
        if isinstance(column.type, kind):
            try:
                return parse(cell)
            except (ValueError, InvalidOperation) as error:
                raise ValueError(f"{column.name} must be {what}, not {cell!r}") from error
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
