"""The catalogue: one implementation for every lookup table, which reads from the table what it needs to know.

Rows are known by their natural keys: `MAM-BOC-001`, `CACTUS/Mammillaria`. Whatever changes here is in the
audit log, since triggers write it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Integer, Numeric, Table, func, insert, select, update
from sqlalchemy.exc import DataError, IntegrityError

from db.catalog import UpsertResult, natural_key, upsert
from db.cells import Lookup, cell_text, headings, hint, read_row, to_csv, write_row
from db.errors import NotFound, Refused, UnreadableFile
from db.imports.numbers import detect_format, parse_number, told_format
from db.imports.read import Row, read_rows
from db.imports.tables import Columns
from db.models.schema import METADATA
from db.refusals import refusal
from db.seed_files import Reject
from pipeline.words import Sentence

# What people call the tables; the rest is read from the tables themselves.
LOOKUPS = {
    "categories": "product_categories",
    "families": "product_families",
    "products": "products",
    "states": "product_states",
    "sizes": "product_sizes",
    "packaging-types": "packaging_types",
    "packaging-materials": "packaging_materials",
    "packaging-colors": "packaging_colors",
    "packaging": "packaging_catalog",
    "bin-types": "storage_bin_types",
    "densities": "density_parameters",
}
_BY_WAY_OF = "storage_bins"  # a table without an `active` of its own through which others are in use


@dataclass(frozen=True, slots=True)
class Entry:
    """A row: its key and its cells, as people write them."""

    key: str
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Imported:
    read: int
    inserted: int
    updated: int
    unchanged: int
    rejects: tuple[Reject, ...]
    notes: tuple[str, ...]


def lookup_table(name: str) -> Table:
    """By what people call it, or by its own name. Raises NotFound."""
    found = LOOKUPS.get(name.lower().replace("_", "-"), name)
    if found not in LOOKUPS.values():
        raise NotFound(
            Sentence(
                "no list is called {name}{hint}; `demeter catalog list` shows them",
                name=name,
                hint=hint(name, LOOKUPS),
            )
        )
    return METADATA.tables[found]


def entries(connection: Connection, table: Table, *, everything: bool = True) -> list[Entry]:
    """The rows by their natural keys; without `everything` only the active ones."""
    query = select(table)
    if not everything and "active" in table.c:
        query = query.where(table.c.active)
    lookup = Lookup(connection)
    rows = [write_row(table, row._asdict(), lookup) for row in connection.execute(query)]
    return sorted((Entry(_key(table, cells), cells) for cells in rows), key=lambda entry: entry.key)


def add(connection: Connection, table: Table, cells: Mapping[str, str]) -> Entry:
    """Raises Refused with the rule that the row breaks."""
    row = _row(connection, table, cells)
    _write(connection, insert(table).values(row), _key(table, cells))
    return _entry(connection, table, _key(table, cells))


def edit(connection: Connection, table: Table, key: str, cells: Mapping[str, str]) -> Entry:
    """Change the columns that are given; an empty cell takes a value away. Raises NotFound and Refused."""
    before = _entry(connection, table, key)
    row = _row(connection, table, cells)
    if row:
        changed = update(table).where(table.c.id == identify(connection, table, key)).values(row)
        _write(connection, changed, before.key)
    return _entry(connection, table, _key(table, {**before.cells, **cells}))


def set_active(connection: Connection, table: Table, key: str, active: bool, *, force: bool = False) -> Entry:
    """Raises NotFound, and Refused for what is in use, unless forced, and for densities, always."""
    if "active" not in table.c:
        raise Refused(Sentence("rows of {name} are not deactivated: edit them", name=table.name))
    identity = identify(connection, table, key)
    used = [] if active or force else in_use(connection, table, identity)
    if used:
        raise Refused(
            Sentence(
                "{key} is in use: {list}; --force deactivates it all the same", key=key, list=", ".join(used)
            )
        )
    connection.execute(update(table).where(table.c.id == identity).values(active=active))
    return _entry(connection, table, key)


def identify(connection: Connection, table: Table, key: str) -> int:
    """The id of a row. Raises NotFound with the keys that are near."""
    ids = Lookup(connection).ids(table)
    folded = {known.casefold(): identity for known, identity in ids.items()}
    found = ids.get(key, folded.get(key.casefold()))
    if found is None:
        near = difflib.get_close_matches(key.upper(), {known.upper(): known for known in ids}, n=3)
        told = Sentence("; did you mean {names}?", names=", ".join(near)) if near else ""
        raise NotFound(Sentence("there is no {key} in {name}{hint}", key=key, name=table.name, hint=told))
    return found


def export(connection: Connection, table: Table) -> str:
    """All rows as CSV, which `load` reads back to the same."""
    found = entries(connection, table)
    return to_csv(list(headings(table)), (entry.cells for entry in found))


def load(connection: Connection, table: Table, path: Path, *, decimal: str | None = None) -> Imported:
    """Insert and update rows from CSV or a spreadsheet, in the caller's transaction.

    Rows that the file does not name, and columns that it lacks, stay as they are. Whoever wants all or
    nothing rolls back when there are rejects. Raises UnreadableFile.
    """
    file = read_rows(path)
    rows = [row for row in file.rows if not row.is_blank]
    names = _header(path, rows[0], table)
    numeric = [name for name, column in headings(table).items() if _is_numeric(column)]
    told = [_cells(row, names) for row in rows[1:]]
    style = (
        told_format(decimal)
        if decimal
        else detect_format(cells[name] for cells in told for name in numeric if cells.get(name))
    )
    lookup, values, lines, rejects = Lookup(connection), [], [], []
    for row, cells in zip(rows[1:], told, strict=True):
        try:
            if len(row.cells) < len(names):
                raise ValueError(
                    Sentence(
                        "has {cells} cells where the header has {columns}",
                        cells=len(row.cells),
                        columns=len(names),
                    )
                )
            plain = {name: str(parse_number(cells[name], style)) for name in numeric if cells.get(name)}
            values.append(read_row(table, cells | plain, lookup))
            lines.append(row.line)
        except ValueError as error:
            rejects.append(Reject(row.line, str(error)))
    done = upsert(connection, table, values, overwrite=True, remember=False)
    rejects += [Reject(lines[one.row], one.reason) for one in done.rejected]
    return _imported(len(told), done, rejects, (*file.notes, *([style.why] if numeric else [])))


def in_use(connection: Connection, table: Table, identity: int) -> list[str]:
    """What stands or is meant to grow, and would be left with a row that is no longer in use: phrases."""
    found = _follow(connection, table, {identity}, _Uses())
    batches = METADATA.tables["stock_batches"]
    plants = connection.scalar(
        select(func.coalesce(func.sum(batches.c.quantity_current), 0)).where(batches.c.id.in_(found.batches))
    )
    places = len(found.configs)
    return [
        *([f"{plants} plants in stock"] if plants else []),
        *([f"configured at {places} place{'s' * (places != 1)}"] if places else []),
    ]


@dataclass(frozen=True, slots=True)
class _Uses:
    batches: set[int] = field(default_factory=set)
    configs: set[int] = field(default_factory=set)


def _follow(connection: Connection, table: Table, ids: set[int], found: _Uses) -> _Uses:
    """Whatever refers to these rows, down to batches with plants and places with a crop."""
    for other in METADATA.tables.values():
        for column in other.columns:
            if not ids or all(key.column is not table.c.id for key in column.foreign_keys):
                continue
            referring = select(other.c.id).where(column.in_(ids))
            if other.name == "stock_batches":
                found.batches.update(connection.scalars(referring.where(other.c.quantity_current > 0)))
            elif other.name == "storage_location_config":
                found.configs.update(connection.scalars(referring.where(other.c.active)))
            elif other.name == _BY_WAY_OF:
                _follow(connection, other, set(connection.scalars(referring)), found)
            elif other.name in LOOKUPS.values() and "active" in other.c:
                _follow(connection, other, set(connection.scalars(referring.where(other.c.active))), found)
    return found


def _key(table: Table, cells: Mapping[str, str]) -> str:
    names = [name for name, column in headings(table).items() if column.name in natural_key(table)]
    order = {name: natural_key(table).index(headings(table)[name].name) for name in names}
    return "/".join(cells.get(name) or "" for name in sorted(names, key=order.__getitem__))


def _entry(connection: Connection, table: Table, key: str) -> Entry:
    identity = identify(connection, table, key)
    row = connection.execute(select(table).where(table.c.id == identity)).one()
    cells = write_row(table, row._asdict(), Lookup(connection))
    return Entry(_key(table, cells), cells)


def _row(connection: Connection, table: Table, cells: Mapping[str, str]) -> dict[str, Any]:
    known = headings(table)
    for name in cells:
        if name not in known:
            raise Refused(
                Sentence(
                    "{name} has no column {column}{hint}; it has {list}",
                    name=table.name,
                    column=name,
                    hint=hint(name, known),
                    list=", ".join(known),
                )
            )
    try:
        return read_row(table, {name: cell_text(cell) for name, cell in cells.items()}, Lookup(connection))
    except ValueError as error:
        raise Refused(str(error)) from error


def _write(connection: Connection, statement: Any, key: str) -> None:
    try:
        with connection.begin_nested():
            connection.execute(statement)
    except (IntegrityError, DataError) as error:
        raise Refused(f"{key or 'the row'}: {refusal(error)}") from error


def _header(path: Path, row: Row, table: Table) -> dict[int, str]:
    known = headings(table)
    keys = tuple(
        name for name, column in known.items() if column.name in natural_key(table) and not column.nullable
    )
    columns = Columns(keys, tuple(name for name in known if name not in keys))
    names: dict[int, str] = {}
    for place, heading in enumerate(row.cells):
        name = columns.named(heading)
        if name is None or name in names.values():
            what = "names twice" if name else "has an unknown column"
            raise UnreadableFile(
                Sentence(
                    "{path}, line {line} {problem} {text!r}{hint}.",
                    path=path,
                    line=row.line,
                    problem=what,
                    text=heading.strip(),
                    hint=hint(heading, known),
                )
            )
        names[place] = name
    missing = [name for name in keys if name not in names.values()]
    if missing:
        raise UnreadableFile(
            Sentence(
                "{path} lacks the column {column!r}, which names its rows.", path=path, column=missing[0]
            )
        )
    return names


def _cells(row: Row, names: Mapping[int, str]) -> dict[str, str]:
    return {name: cell_text(row.cells[place]) for place, name in names.items() if place < len(row.cells)}


def _is_numeric(column: Column[Any]) -> bool:
    return isinstance(column.type, Numeric | Integer) and not column.foreign_keys


def _imported(read: int, done: UpsertResult, rejects: Iterable[Reject], notes: tuple[str, ...]) -> Imported:
    return Imported(read, done.inserted, done.updated, done.unchanged, tuple(sorted(rejects)), notes)
