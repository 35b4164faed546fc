"""Who changed what, and when, outside the ledger. The triggers `audit_change` write it; here it is read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, select

from db.cells import Lookup, hint, spell, target_of
from db.errors import NotFound
from db.models.changes import Change
from db.models.people import User
from db.models.schema import METADATA


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which changes: of a table, of the row that people call `key`, by a user, from and until a moment."""

    table: str | None = None
    key: str | None = None
    by: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One change. `user` is None where somebody wrote past Demeter; `login` is always of the database.

    Values are as people write them: names instead of ids, or `#12` where the name is gone.
    """

    id: int
    changed_at: dt.datetime
    user: str | None
    login: str
    action: str
    table: str
    key: str
    before: Mapping[str, str] | None
    after: Mapping[str, str] | None


def entries(connection: Connection, wanted: Wanted, limit: int | None = None) -> list[Entry]:
    """The newest first. Raises NotFound for a table or a user that there is not."""
    query = (
        select(
            *(Change.id, Change.changed_at, User.email, Change.login, Change.action, Change.table_name),
            *(Change.row_key, Change.before, Change.after),
        )
        .outerjoin(User, User.id == Change.user_id)
        .where(*_conditions(connection, wanted))
        .order_by(Change.id.desc())
    )
    names = _Names(Lookup(connection))
    found: list[Entry] = []
    for row in connection.execute(query.limit(limit if wanted.key is None else None)):
        table, before, after = row.table_name, row.before, row.after
        spelt = "/".join(names.values(table, row.row_key or {}).values())
        if wanted.key is None or wanted.key.casefold() in (spelt.casefold(), spelt.casefold().split("/")[0]):
            was, now = (_values(names, table, values) for values in (before, after))
            facts = (row.id, row.changed_at, row.email, row.login, row.action)
            found.append(Entry(*facts, table, spelt, was, now))
    return found[:limit]


def count(connection: Connection, wanted: Wanted) -> int:
    """How many there are; `key` is left out of account."""
    query = select(func.count()).select_from(Change).where(*_conditions(connection, wanted))
    return connection.execute(query).scalar_one()


def _conditions(connection: Connection, wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.table is not None:
        known = METADATA.tables
        if wanted.table not in known:
            raise NotFound(f"there is no table {wanted.table}{hint(wanted.table, known)}")
        found.append(Change.table_name == wanted.table)
    if wanted.by is not None:
        users = {row.email: row.id for row in connection.execute(select(User.email, User.id))}
        if wanted.by.lower() not in users:
            raise NotFound(f"there is no user {wanted.by}{hint(wanted.by.lower(), users)}")
        found.append(Change.user_id == users[wanted.by.lower()])
    if wanted.since is not None:
        found.append(Change.changed_at >= wanted.since)
    if wanted.until is not None:
        found.append(Change.changed_at <= wanted.until)
    return found


@dataclass(frozen=True, slots=True)
class _Names:
    lookup: Lookup

    def values(self, table: str, values: Mapping[str, Any]) -> dict[str, str]:
        """By the names of the columns, without `_id`; in the order of the table's columns."""
        known = METADATA.tables.get(table)
        order = list(known.c.keys()) if known is not None else []
        names = sorted(values, key=lambda name: order.index(name) if name in order else len(order))
        return {self._heading(known, name): self._value(known, name, values[name]) for name in names}

    def _heading(self, table: Table | None, name: str) -> str:
        named = table is not None and name in table.c and target_of(table.c[name]) is not None
        return name.removesuffix("_id") if named else name

    def _value(self, table: Table | None, name: str, value: Any) -> str:
        if table is None or name not in table.c or not isinstance(value, int) or isinstance(value, bool):
            return spell(value)
        if target_of(table.c[name]) is None:
            return spell(value)
        return self.lookup.speller(table.c[name])(value) or f"#{value}"


def _values(names: _Names, table: str, values: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    return None if values is None else names.values(table, values)
