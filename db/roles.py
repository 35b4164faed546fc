"""Three roles of the database, and exactly what each may do.

They are groups without a login: `GRANT demeter_operator TO ana`. Whoever owns the tables (who runs
`demeter db upgrade`) may do everything. Partitions need no rights of their own: rows reach them through their
table. Triggers still refuse what nobody may, such as changing the ledger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import Connection, Table, text

from db.models.schema import METADATA

ADMIN, OPERATOR, VIEWER = "demeter_admin", "demeter_operator", "demeter_viewer"
ROLES = (ADMIN, OPERATOR, VIEWER)

_LOCK = 0x0DE3E7E6
_ALL = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_WRITE = frozenset({"SELECT", "INSERT", "UPDATE"})
_APPEND = frozenset({"SELECT", "INSERT"})
_READ = frozenset({"SELECT"})

# Written once; triggers refuse the rest.
APPEND_ONLY = frozenset(
    {
        *("stock_movements", "restatements", "session_corrections", "periods", "period_entries"),
        *("reconciliations", "reconciliation_lines", "reconciliation_postings", "count_decisions"),
        *("import_runs", "import_rows"),
    }
)
# What processing clears before it writes it anew.
CLEARED = frozenset({"session_containers", "session_findings", "detections", "estimations", "stock_checks"})
# Master data without a name by which people call its rows.
MASTER = frozenset({"seed_rows", "location_relationships", "map_features", "product_sample_images"})
# The functions that make and drop a day's partition, with the rights of the owner.
MAKERS = frozenset({"make_partition", "drop_partition"})
# Columns apart from which nobody but an admin may read, and alone of which an operator may change.
HIDDEN = {"users": frozenset({"password_hash"})}
DECISIONS = {"counts": frozenset({"status", "decided_by_user_id", "decided_at"})}


class Right(NamedTuple):
    role: str
    table: str
    privilege: str
    column: str | None = None


def ensure_roles(connection: Connection) -> None:
    """Make the roles, if the connected user may, and give those that exist exactly their rights.

    Runs in the caller's transaction. What it may not do, it leaves; `demeter db check` tells.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if existing(connection) != set(ROLES) and _may_create(connection):
        for role in ROLES:
            connection.execute(text(_CREATE.format(role=role)))
    present = existing(connection)
    for role in sorted(present):
        connection.execute(text(f"GRANT USAGE ON SCHEMA {_schema(connection)} TO {role}"))
    missing, excess = differences(connection)
    for statement in (*_statements("GRANT", "TO", missing), *_statements("REVOKE", "FROM", excess)):
        connection.execute(text(statement))


def existing(connection: Connection) -> set[str]:
    found = text("SELECT rolname FROM pg_roles WHERE rolname = ANY (:roles)")
    return set(connection.scalars(found, {"roles": list(ROLES)}))


def differences(connection: Connection) -> tuple[set[Right], set[Right]]:
    """The rights that the roles which exist lack, and those that they have too many."""
    present = existing(connection)
    should = {
        right for table in METADATA.tables.values() for right in _of_table(table) if right.role in present
    }
    should |= {Right(role, "alembic_version", "SELECT") for role in present}
    should |= {Right(role, maker, "EXECUTE") for role in present & {ADMIN, OPERATOR} for maker in MAKERS}
    held = {Right(*row) for row in connection.execute(_HELD, {"roles": list(ROLES)})}
    return should - held, held - should


def _of_table(table: Table) -> Iterator[Right]:
    master = bool(table.info.get("natural_key")) or table.name in MASTER
    rights = {
        ADMIN: _ALL if master or table.name in CLEARED else _operator(table.name),
        OPERATOR: _READ if master else _operator(table.name),
        VIEWER: _READ,
    }
    for role, privileges in rights.items():
        hidden = frozenset() if role == ADMIN else HIDDEN.get(table.name, frozenset())
        for privilege in privileges:
            columns: Iterable[str | None] = [None]
            if privilege == "SELECT" and hidden:
                columns = frozenset(table.c.keys()) - hidden
            elif privilege == "UPDATE" and table.name in DECISIONS:
                columns = DECISIONS[table.name]
            yield from (Right(role, table.name, privilege, column) for column in columns)


def _operator(table: str) -> frozenset[str]:
    if table == "audit_log":  # its trigger writes with the rights of the owner
        return _READ
    if table in APPEND_ONLY:
        return _APPEND
    return _ALL if table in CLEARED else _WRITE


def _statements(verb: str, to: str, rights: Collection[Right]) -> list[str]:
    """As few as possible: the tables that get the same rights together, and columns by their table."""
    functions = [right for right in rights if right.table in MAKERS]
    whole: dict[tuple[str, str], set[str]] = defaultdict(set)
    parts: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for role, table, privilege, column in (right for right in rights if right.table not in MAKERS):
        if column is None:
            whole[role, table].add(privilege)
        else:
            parts[role, table, privilege].add(column)
    together: dict[tuple[str, frozenset[str]], list[str]] = defaultdict(list)
    for (role, table), privileges in whole.items():
        together[role, frozenset(privileges)].append(f'"{table}"')
    return [
        *(f"{verb} EXECUTE ON FUNCTION {right.table} {to} {right.role}" for right in sorted(functions)),
        *(
            f"{verb} {', '.join(sorted(privileges))} ON {', '.join(sorted(tables))} {to} {role}"
            for (role, privileges), tables in sorted(together.items(), key=str)
        ),
        *(
            f'{verb} {privilege} ({", ".join(sorted(columns))}) ON "{table}" {to} {role}'
            for (role, table, privilege), columns in sorted(parts.items())
        ),
    ]


def _may_create(connection: Connection) -> bool:
    mine = text("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    return connection.scalar(mine) is True


def _schema(connection: Connection) -> str:
    return str(connection.scalar(text("SELECT quote_ident(current_schema())")))


# Roles belong to the whole server: another database's upgrade may make them at the same moment.
_CREATE = """
    DO $$
    BEGIN
        CREATE ROLE {role} NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;
    END
    $$
"""
_HELD = text(
    """
    SELECT rolname, relname, privilege_type, NULL
    FROM pg_class CROSS JOIN aclexplode(relacl) JOIN pg_roles ON pg_roles.oid = grantee
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
        AND rolname = ANY (:roles)
    UNION ALL
    SELECT rolname, relname, privilege_type, attname
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
    CROSS JOIN aclexplode(attacl) JOIN pg_roles ON pg_roles.oid = grantee
    WHERE relnamespace = current_schema()::regnamespace AND rolname = ANY (:roles)
    UNION ALL
    SELECT rolname, proname, privilege_type, NULL
    FROM pg_proc CROSS JOIN aclexplode(proacl) JOIN pg_roles ON pg_roles.oid = grantee
    WHERE pronamespace = current_schema()::regnamespace AND rolname = ANY (:roles)
    """
)
