"""What is amiss with the database itself: rules that are gone or switched off, and rights.

The figures of the books are `demeter stock verify`'s. A superuser who switches triggers off, changes a
row and switches them on again leaves no trace here but what the row breaks.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, Constraint, ForeignKeyConstraint, Index, text
from sqlalchemy.dialects import postgresql

from db.guards import FUNCTIONS, TRIGGERS
from db.models.schema import METADATA
from db.partitions import DAYS_AHEAD, PARTITIONED, list_partitions
from db.roles import ROLES, differences, existing

_SOON = 3  # days for which there should be partitions


class Severity(StrEnum):
    """`DAMAGE`: a rule does not hold. `NOTE`: all works, but not everything is set up."""

    DAMAGE = "damage"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    severity: Severity
    about: str  # table, trigger, role …
    sentence: str


def examine(connection: Connection, now: dt.datetime, *, rows: bool = True) -> list[Finding]:
    """Everything that is amiss, damage first. With `rows`, also rows that refer to what is not there."""
    found = [
        *_switched_off(connection),
        *_triggers(connection),
        *_functions(connection),
        *_constraints(connection),
        *_indexes(connection),
        *(_orphans(connection) if rows else ()),
        *_partitions(connection, now.astimezone(dt.UTC).date()),
        *_rights(connection),
    ]
    return sorted(found, key=lambda one: (one.severity, one.about))


def _damage(about: str, sentence: str) -> Finding:
    return Finding(Severity.DAMAGE, about, sentence)


def _switched_off(connection: Connection) -> Iterator[Finding]:
    role = connection.scalar(text("SELECT current_setting('session_replication_role')"))
    if role != "origin":
        yield _damage(
            "session_replication_role",
            f"is {role} for this user or database, so that no trigger fires: "
            "ALTER DATABASE or ALTER ROLE … RESET session_replication_role",
        )


def _triggers(connection: Connection) -> Iterator[Finding]:
    """Ours by name; of the foreign keys, those that are switched off."""
    standing: dict[str, tuple[str, str]] = {}
    for table, name, enabled, function, internal in connection.execute(_TRIGGERS):
        if not internal:
            standing[f"{table}.{name}"] = (enabled, function)
        elif enabled in ("D", "R"):
            yield _damage(table, "its foreign keys are not enforced: ALTER TABLE … ENABLE TRIGGER ALL")
    for name, wanted in TRIGGERS.items():
        enabled, function = standing.get(name, ("", wanted))
        if not enabled:
            yield _damage(
                name, "the trigger is missing, so that its rule does not hold: restore it from a backup"
            )
        elif enabled in ("D", "R"):
            table, _, trigger = name.partition(".")
            yield _damage(name, f"the trigger is switched off: ALTER TABLE {table} ENABLE TRIGGER {trigger}")
        elif function != wanted:
            yield _damage(name, f"the trigger calls {function} and not {wanted}")
    for name in sorted(standing.keys() - TRIGGERS.keys()):
        yield Finding(Severity.NOTE, name, "is a trigger that Demeter did not make")


def _functions(connection: Connection) -> Iterator[Finding]:
    standing = {row[0]: row[1] for row in connection.execute(_FUNCTIONS)}
    for name, digest in FUNCTIONS.items():
        if name not in standing:
            yield _damage(name, "the function is missing")
        elif standing[name] != digest:
            yield _damage(name, "the function was replaced: what it checks is not what Demeter wrote")


def _constraints(connection: Connection) -> Iterator[Finding]:
    standing = {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(_CONSTRAINTS)}
    for table in METADATA.tables.values():
        names = {_name(constraint) for constraint in table.constraints} - {None}
        for name in sorted(str(name) for name in names):
            validated, enforced = standing.get((table.name, name), (None, None))
            if validated is None:
                yield _damage(
                    f"{table.name}.{name}", "the constraint is missing, so that its rule does not hold"
                )
            elif not enforced:
                yield _damage(f"{table.name}.{name}", "the constraint is not enforced")
            elif not validated:
                yield _damage(
                    f"{table.name}.{name}",
                    "the constraint was never checked for the rows that are there: "
                    f"ALTER TABLE {table.name} VALIDATE CONSTRAINT {name}",
                )


def _indexes(connection: Connection) -> Iterator[Finding]:
    standing = {row[0]: row[1] for row in connection.execute(_INDEXES)}
    for table in METADATA.tables.values():
        for index in table.indexes:
            name = _index_name(index)
            if index.unique and name not in standing:
                yield _damage(
                    f"{table.name}.{name}", "the unique index is missing, so that its rule does not hold"
                )
            elif name not in standing:
                yield Finding(Severity.NOTE, f"{table.name}.{name}", "the index is missing: it will be slow")
            elif not standing[name]:
                yield _damage(f"{table.name}.{name}", f"the index is broken: REINDEX INDEX {name}")


def _orphans(connection: Connection) -> Iterator[Finding]:
    """Rows that name a row which is not there: written while the foreign keys were switched off."""
    queries = [_orphan_query(constraint) for constraint in _foreign_keys()]
    for name, table, target, number in connection.execute(text(" UNION ALL ".join(queries))):
        if number:
            what = "one row refers" if number == 1 else f"{number} rows refer"
            yield _damage(f"{table}.{name}", f"{what} to a row of {target} that is not there")


def _foreign_keys() -> list[ForeignKeyConstraint]:
    """Of the partitioned tables none: they are large, hold what can be worked out again, and are dropped."""
    return [
        constraint
        for table in METADATA.tables.values()
        if table.name not in PARTITIONED
        for constraint in sorted(table.foreign_key_constraints, key=lambda one: str(_name(one)))
    ]


def _orphan_query(constraint: ForeignKeyConstraint) -> str:
    table, target = constraint.table.name, constraint.referred_table.name
    pairs = [(key.parent.name, key.column.name) for key in constraint.elements]
    given = " AND ".join(f'child."{here}" IS NOT NULL' for here, _ in pairs)
    same = " AND ".join(f'parent."{there}" = child."{here}"' for here, there in pairs)
    return (
        f"SELECT '{_name(constraint)}', '{table}', '{target}', count(*) FROM \"{table}\" AS child"
        f' WHERE {given} AND NOT EXISTS (SELECT FROM "{target}" AS parent WHERE {same})'
    )


def _partitions(connection: Connection, today: dt.date) -> Iterator[Finding]:
    days = {(one.table, one.start.date()) for one in list_partitions(connection)}
    for table in PARTITIONED:
        missing = [
            day for day in (today + dt.timedelta(days=n) for n in range(_SOON)) if (table, day) not in days
        ]
        if today in missing:
            yield _damage(
                table, f"has no partition for {today}: `demeter db upgrade` makes {DAYS_AHEAD + 1} days'"
            )
        elif missing:
            yield Finding(
                Severity.NOTE,
                table,
                f"has no partition for {missing[0]} yet: processing or `demeter db upgrade` makes it",
            )


def _rights(connection: Connection) -> Iterator[Finding]:
    for role in sorted(set(ROLES) - existing(connection)):
        yield Finding(
            Severity.NOTE,
            role,
            "the role is missing: let a user who may create roles run `demeter db upgrade`, or "
            f"CREATE ROLE {role} NOLOGIN and run it",
        )
    missing, excess = differences(connection)
    for severity, verb, rights in (
        (Severity.NOTE, "may not", missing),
        (Severity.DAMAGE, "may", excess),
    ):
        by_role: dict[tuple[str, str], set[str]] = defaultdict(set)
        for right in rights:
            by_role[right.role, right.privilege].add(
                right.table + (f" ({right.column})" if right.column else "")
            )
        for (role, privilege), tables in sorted(by_role.items()):
            named = ", ".join(sorted(tables)[:5]) + (
                f" and {len(tables) - 5} more" if len(tables) > 5 else ""
            )
            should = "should" if verb == "may not" else "should not"
            yield Finding(
                severity, role, f"{verb} {privilege} {named} and {should}: `demeter db upgrade` mends it"
            )


def _name(constraint: Constraint) -> str | None:
    """Its name in the database, made by the naming convention."""
    name = _PREPARER.format_constraint(constraint)
    return None if name is None else name.strip('"')


def _index_name(index: Index) -> str:
    return str(_PREPARER.format_index(index)).strip('"')


_PREPARER = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]
_OURS = "relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
_TRIGGERS = text(
    f"""
    SELECT DISTINCT relname, CASE WHEN tgisinternal THEN '' ELSE tgname END, tgenabled::text,
        CASE WHEN tgisinternal THEN '' ELSE proname END, tgisinternal
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE {_OURS} ORDER BY 1, 2
    """
)
_FUNCTIONS = text(
    "SELECT proname, md5(prosrc) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
)
_CONSTRAINTS = text(
    f"""
    SELECT relname, conname, convalidated,
        coalesce((to_jsonb(pg_constraint) ->> 'conenforced')::boolean, true)  -- from PostgreSQL 18 on
    FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid WHERE {_OURS}
    """
)
_INDEXES = text(
    f"""
    SELECT indexrelid::regclass::text, indisvalid
    FROM pg_index JOIN pg_class ON pg_class.oid = indrelid WHERE {_OURS}
    """
)
