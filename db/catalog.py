"""One upsert for every table that people and files fill. What it needs to know, it reads from the table.

A row that a person edited or deleted since a file wrote it is kept, unless told to overwrite. To know, it
remembers in `seed_rows` what it wrote.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum, auto
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Numeric, Table, func, insert, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DataError, IntegrityError

from db.models.base import Base
from db.models.catalog import SeedRow
from db.refusals import refusal

Key = tuple[Any, ...]
Values = Mapping[str, Any]

_SEED_ROWS = Base.metadata.tables[SeedRow.__tablename__]


class Rejected(NamedTuple):
    """`row` counts from 0 in the rows given to `upsert`."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True)
class UpsertResult:
    inserted: int
    unchanged: int
    updated: int
    kept: int  # would have been updated, had a person not edited them
    rejected: tuple[Rejected, ...]


class _Verdict(Enum):
    INSERT = auto()
    UNCHANGED = auto()
    UPDATE = auto()
    KEEP = auto()


@dataclass(frozen=True, slots=True)
class _Held:
    """What the database holds under one key, and what a file once wrote there."""

    row: Values | None
    remembered: Values | None

    @property
    def edited(self) -> bool:
        """By a person: it differs from what a file wrote, or no file ever wrote it."""
        if self.remembered is None or self.row is None:
            return not (self.remembered is None and self.row is None)
        columns = self.remembered.keys() & self.row.keys()  # a migration may have dropped some
        return any(_plain(self.row[name]) != self.remembered[name] for name in columns)


def natural_key(table: Table) -> tuple[str, ...]:
    """The columns by which people name a row; empty where they do not."""
    return tuple(table.info.get("natural_key", ()))


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Values],
    *,
    overwrite: bool = False,
    remember: bool = True,
) -> UpsertResult:
    """Insert or update `rows` by their natural key; columns that a row does not give stay as they are.

    What is not remembered counts as edited by a person, whom a seed file does not overwrite.

    Runs in the caller's transaction, and lets nobody else write to the table until it ends. A row that the
    database refuses is rejected by itself.
    """
    # Readers and foreign key checks go on; a second upsert waits, and then finds our rows.
    connection.execute(text(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE"))
    present, remembered = _present(connection, table), _remembered(connection, table)
    counts: Counter[_Verdict] = Counter()
    rejected: list[Rejected] = []
    seen: set[Key] = set()
    for number, row in enumerate(rows):
        values = {name: _as_stored(table.c[name], value) for name, value in row.items()}
        key = tuple(values.get(name) for name in natural_key(table))
        if key in seen:
            rejected.append(Rejected(number, "repeats the key of an earlier row"))
            continue
        seen.add(key)
        held = _Held(present.get(key), remembered.get(_plain_key(key)))
        verdict = _judge(values, held, overwrite)
        reason = _apply(connection, table, (values, held), verdict, remember)
        if reason is None:
            counts[verdict] += 1
        else:
            rejected.append(Rejected(number, reason))
    return UpsertResult(
        inserted=counts[_Verdict.INSERT],
        unchanged=counts[_Verdict.UNCHANGED],
        updated=counts[_Verdict.UPDATE],
        kept=counts[_Verdict.KEEP],
        rejected=tuple(rejected),
    )


def _judge(values: Values, held: _Held, overwrite: bool) -> _Verdict:
    if held.row is not None and all(held.row[name] == value for name, value in values.items()):
        return _Verdict.UNCHANGED
    if held.edited and not overwrite:
        return _Verdict.KEEP
    return _Verdict.INSERT if held.row is None else _Verdict.UPDATE


def _apply(
    connection: Connection, table: Table, told: tuple[Values, _Held], verdict: _Verdict, remember: bool
) -> str | None:
    """Write what the verdict says; the reason if the database refuses."""
    values, held = told
    content = {name: _plain(value) for name, value in values.items()}
    if verdict is _Verdict.KEEP or (
        verdict is _Verdict.UNCHANGED and (held.edited or content == held.remembered)
    ):
        return None
    try:
        with connection.begin_nested():
            if held.row is None:
                connection.execute(insert(table).values(dict(values)))
            elif verdict is _Verdict.UPDATE:
                connection.execute(update(table).where(table.c.id == held.row["id"]).values(dict(values)))
            if remember:
                _remember(connection, table, values, content)
    except (IntegrityError, DataError) as error:
        return refusal(error)
    return None


def _present(connection: Connection, table: Table) -> dict[Key, Values]:
    current = table.info.get("current")
    query = select(table) if current is None else select(table).where(table.c[current])
    rows = [row._asdict() for row in connection.execute(query)]
    return {tuple(row[name] for name in natural_key(table)): row for row in rows}


def _remembered(connection: Connection, table: Table) -> dict[Key, Values]:
    rows = connection.execute(
        select(_SEED_ROWS.c.natural_key, _SEED_ROWS.c.content).where(_SEED_ROWS.c.table_name == table.name)
    )
    return {tuple(row.natural_key): row.content for row in rows}


def _remember(connection: Connection, table: Table, values: Values, content: Values) -> None:
    key = _plain_key(tuple(values.get(name) for name in natural_key(table)))
    statement = postgresql.insert(_SEED_ROWS).values(
        table_name=table.name, natural_key=list(key), content=content
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["table_name", "natural_key"],
            set_={"content": statement.excluded.content, "seeded_at": func.now()},
        )
    )


def _as_stored(column: Column[Any], value: Any) -> Any:
    """The value as the database will give it back, so that equal is equal."""
    if isinstance(column.type, Numeric) and column.type.asdecimal and value is not None:
        scale = Decimal(1).scaleb(-(column.type.scale or 0))
        return Decimal(value).quantize(scale, ROUND_HALF_UP)
    return value


def _plain_key(key: Key) -> Key:
    return tuple(_plain(part) for part in key)


def _plain(value: Any) -> Any:
    """The value as JSON holds it."""
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    return value
