"""Load seed files: one per table, in load order, with natural keys instead of ids.

A column `family` of products.csv stands for `family_id`, and holds the natural key of a row of
product_families: `CACTUS/Mammillaria`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, select

from db.catalog import natural_key, upsert
from db.cells import Lookup, headings, hint, read_row, target_of
from db.errors import SeedError
from db.geojson import metres_outside, shape_columns
from db.models.schema import METADATA
from db.seed_files import Record, Reject, SeedFile, find_seed_files, read_seed_file

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


def load_seeds(connection: Connection, folder: Path, *, overwrite: bool = False) -> list[SeedReport]:
    """Load every file of the folder in one transaction: the caller's if one is open, else its own.

    Rows that a person edited are kept, unless `overwrite`. Rows that cannot be loaded are reported and the
    rest goes on. Raises SeedError, and loads nothing, when a file as a whole makes no sense.
    """
    files = [read_seed_file(path) for path in find_seed_files(folder)]
    tables = [_table(file) for file in files]
    with nullcontext() if connection.in_transaction() else connection.begin():
        return [
            _load(connection, file, table, overwrite=overwrite)
            for file, table in zip(files, tables, strict=True)
        ]


def load_records(connection: Connection, table: Table, name: str, records: Sequence[Record]) -> SeedReport:
    """Load what a person gives of one table in the caller's transaction, over what is there; no seed
    overwrites it later. The report bears `name`."""
    columns = tuple({column: None for record in records for column in record.cells})
    file = SeedFile(Path(name), table.name, columns, tuple(records), ())
    return _load(connection, file, _table(file), overwrite=True, remember=False)


def _load(
    connection: Connection, file: SeedFile, table: Table, *, overwrite: bool, remember: bool = True
) -> SeedReport:
    lookup = Lookup(connection)
    rows, lines, rejects = [], [], list(file.rejects)
    for record in file.records:
        try:
            rows.append(_row(table, record, lookup))
            lines.append(record.line)
        except ValueError as error:
            rejects.append(Reject(record.line, str(error)))
    outcome = upsert(connection, table, rows, overwrite=overwrite, remember=remember)
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
    table = METADATA.tables.get(file.table)
    if table is None or not natural_key(table):
        seeded = [name for name, one in METADATA.tables.items() if natural_key(one)]
        raise SeedError(f"{file.path} names no table that can be seeded{hint(file.table, seeded)}.")
    known = headings(table)
    for name in file.columns:
        if name not in known:
            raise SeedError(f"{file.path} has an unknown column {name!r}{hint(name, list(known))}.")
    missing = [name for name, column in known.items() if column.name in natural_key(table)]
    missing = [name for name in missing if name not in file.columns and not known[name].nullable]
    if missing and file.records:
        raise SeedError(f"{file.path} lacks the column {missing[0]!r}, which names its rows.")
    return table


def _row(table: Table, record: Record, lookup: Lookup) -> dict[str, Any]:
    """The columns of a record. Raises ValueError with a sentence."""
    row = read_row(table, record.cells, lookup)
    if row.get("geometry") is not None:
        row |= shape_columns(row["geometry"])
        _check_containment(table, row, lookup.connection)
    return row


def _check_containment(table: Table, row: dict[str, Any], connection: Connection) -> None:
    for column in table.columns:
        parent = target_of(column)
        if parent is None or "geometry" not in parent.c or row.get(column.name) is None:
            continue
        outer = connection.scalar(select(parent.c.geometry).where(parent.c.id == row[column.name]))
        outside = metres_outside(row["geometry"], outer) if outer is not None else 0.0
        if outside > _TOLERANCE_M:
            raise ValueError(f"its polygon reaches {outside:.1f} m out of that of its {parent.name} row")
