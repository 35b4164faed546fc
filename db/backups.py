"""The database as a file of pg_dump's, proved by restoring it, and back again in one transaction."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql
from sqlalchemy import URL, Connection, text

from db import migrate
from db.engine import connect, parse_address, server_version
from db.errors import DatabaseError, SchemaMismatch, UnreadableFile
from db.programs import Programs, failed, login, programs_for
from db.roles import MAKERS

_SCRATCH = "demeter_verify_"
_LOCK = 0x0DE3E7E7  # pg_advisory_lock: who holds it may remove scratch databases that others left
_CHUNK = 1 << 20
_HEAD = 1 << 13  # bytes of a script within which its settings are
# Written for every server by a pg_restore that knows it; older servers than 17 do not.
_UNKNOWN_TO_OLD = b"SET transaction_timeout = 0;\n"
_PATIENCE = "SET lock_timeout = '30s';\n"


@dataclass(frozen=True, slots=True)
class Content:
    """The rows of a table, and the sha256 of all of them in the order of its key."""

    table: str
    rows: int
    sha256: str


def back_up(connection: Connection, address: str | URL, file: Path, *, verify: bool) -> list[Content]:
    """Write everything as of one moment to `file`, which must not exist, readable by its owner alone.

    With `verify` it is restored into a scratch database of the same server, every table is compared row by
    row, and the scratch database is dropped. Raises DatabaseError, also where the copy is not the same, and
    OSError; what was written is then for the caller to remove.
    """
    programs = programs_for(server_version(connection)[0])
    if verify:
        _require_createdb(connection)
    schema = _schema(connection)
    connection.rollback()
    with connection.begin():
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        snapshot = connection.scalar(text("SELECT pg_export_snapshot()"))
        with login(address) as where:
            programs.run(
                *("pg_dump", "--format=custom", "--no-owner", "--no-acl", f"--schema={schema}"),
                *(f"--snapshot={snapshot}", f"--file={file}", f"--dbname={where}"),
            )
        held = contents(connection)
    _flush(file)
    if verify:
        with _scratch(connection, address) as scratch:
            _load(programs, scratch, file, schema, replace=False)
            with connect(scratch) as copy:
                _compare(held, contents(copy))
    return held


def contents(connection: Connection) -> list[Content]:
    """Every table in the schema, the partitioned ones whole."""
    return [_content(connection, *row) for row in connection.execute(_TABLES)]


def revision_of(file: Path, programs: Programs) -> str:
    """The revision of the tables in a backup. Raises UnreadableFile."""
    try:
        told = programs.run("pg_restore", "--data-only", "--table=alembic_version", "--file=-", str(file))
    except DatabaseError as error:
        raise UnreadableFile(f"{file} is no backup that can be read: {error}") from error
    found = re.search(r"^COPY [^\n]*alembic_version[^\n]*\n(\w+)\n", told, re.MULTILINE)
    if found is None:
        raise UnreadableFile(f"{file} is no backup of Demeter: it holds no tables of ours")
    return found[1]


def holds_anything(connection: Connection) -> bool:
    found = connection.scalar(
        text(
            "SELECT EXISTS (SELECT FROM pg_class WHERE relkind IN ('r', 'p')"
            " AND relnamespace = current_schema()::regnamespace)"
        )
    )
    connection.rollback()
    return bool(found)


def restore(connection: Connection, address: str | URL, file: Path, *, replace: bool) -> list[Content]:
    """Put what a backup holds in the place of all that the schema holds, in one transaction.

    Afterwards the tables are brought to this program's version. Raises UnreadableFile, SchemaMismatch for a
    backup of a newer program, and DatabaseError; the database is then as before.
    """
    programs = programs_for(server_version(connection)[0])
    revision = revision_of(file, programs)
    if revision > migrate.head():
        raise SchemaMismatch(
            f"{file} was made by a newer Demeter (tables {revision}, this one knows {migrate.head()}):"
            " upgrade the program, then restore"
        )
    schema = _schema(connection)
    connection.rollback()
    _load(programs, address, file, schema, replace=replace)
    with connection.begin():
        _take_back(connection)
        return contents(connection)


def _load(programs: Programs, address: str | URL, file: Path, schema: str, *, replace: bool) -> None:
    """One transaction from the first DROP to the last index: COMMIT is said once pg_restore has ended
    well."""
    with connect(address) as connection:
        old = server_version(connection)[0] < 17
    quiet = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null")
    all_of_it = ("--no-owner", "--no-acl", f"--schema={schema}", "--file=-", str(file))
    with (
        login(address) as where,
        subprocess.Popen(
            [programs.folder / "psql", *quiet, f"--dbname={where}", "--file=-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as psql,
        subprocess.Popen(
            [programs.folder / "pg_restore", *all_of_it],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as reader,
    ):
        first = _PATIENCE + "BEGIN;\n" + (_CLEAR if replace else "")
        _pour(psql, reader, first, old=old)


def _pour(psql: subprocess.Popen[bytes], reader: subprocess.Popen[bytes], first: str, *, old: bool) -> None:
    try:
        try:
            _feed(psql, reader, first, old=old)
        except BrokenPipeError:
            reader.kill()  # psql has said why
        else:
            if reader.wait() != 0:
                raise failed("pg_restore", reader.stderr.read() if reader.stderr else b"")
            if psql.stdin is not None:
                psql.stdin.write(b"\nCOMMIT;\n")
        _, errors = psql.communicate()
        if psql.returncode != 0:
            raise failed("psql", errors)
    finally:
        for process in (reader, psql):  # without the COMMIT nothing stays
            process.kill()


def _feed(psql: subprocess.Popen[bytes], reader: subprocess.Popen[bytes], first: str, *, old: bool) -> None:
    if psql.stdin is None or reader.stdout is None:
        raise AssertionError
    psql.stdin.write(first.encode())
    head = reader.stdout.read(_HEAD)
    psql.stdin.write(head.replace(_UNKNOWN_TO_OLD, b"", 1) if old else head)
    while chunk := reader.stdout.read(_CHUNK):
        psql.stdin.write(chunk)
    psql.stdin.flush()


def _take_back(connection: Connection) -> None:
    """Functions that lend the owner's rights come back open to all; migrating gives the roles their own."""
    for maker in sorted(MAKERS):
        there = connection.scalar(
            text(
                "SELECT EXISTS (SELECT FROM pg_proc WHERE proname = :name"
                " AND pronamespace = current_schema()::regnamespace)"
            ),
            {"name": maker},
        )
        if there:
            connection.execute(text(f"REVOKE ALL ON FUNCTION {maker} FROM PUBLIC"))


def _compare(held: list[Content], copied: list[Content]) -> None:
    others = sorted(set(held) ^ set(copied), key=lambda one: one.table)
    if others:
        names = ", ".join(dict.fromkeys(one.table for one in others))
        raise DatabaseError(
            f"the backup is not the same as the database: {names} differ; nothing was kept of it"
        )


def _content(connection: Connection, table: str, columns: list[str], order: list[str]) -> Content:
    query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table), sql.SQL(", ".join(order))
    )
    digest, rows = hashlib.sha256(), 0
    driver = connection.connection.driver_connection
    if driver is None:
        raise AssertionError
    with driver.cursor() as cursor, cursor.copy(query) as copy:
        for chunk in copy:
            digest.update(chunk)
            rows += bytes(chunk).count(b"\n")  # within a value it is written as \n
    return Content(table, rows, digest.hexdigest())


@contextmanager
def _scratch(connection: Connection, address: str | URL) -> Iterator[URL]:
    """An empty database of the same server, for as long as the context lasts."""
    # Others on this server may be proving backups of other databases; a lock is for one database alone.
    ours = _SCRATCH + hashlib.sha256(str(parse_address(address).database).encode()).hexdigest()[:8]
    name = f"{ours}_{os.getpid()}_{secrets.token_hex(4)}"
    alone = connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK})
    left = text(
        "SELECT datname FROM pg_database WHERE starts_with(datname, :begin)"
        " AND datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user)"
    )
    old = list(connection.scalars(left, {"begin": ours})) if alone else []
    connection.rollback()
    for one in old:  # of a backup that was killed
        _outside(connection, f'DROP DATABASE IF EXISTS "{one}" WITH (FORCE)')
    try:
        _outside(connection, f'CREATE DATABASE "{name}" TEMPLATE template0')
        yield parse_address(address).set(database=name)
    finally:
        _outside(connection, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
        connection.rollback()


def _outside(connection: Connection, statement: str) -> None:
    """A statement that must not be in a transaction."""
    driver = connection.connection.driver_connection
    if driver is None:
        raise AssertionError
    driver.autocommit = True
    try:
        driver.execute(statement)
    finally:
        driver.autocommit = False


def _require_createdb(connection: Connection) -> None:
    may = connection.scalar(text("SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user"))
    if not may:
        raise DatabaseError(
            "A backup is proved by restoring it into a scratch database, which this user may not make:"
            " ALTER ROLE … CREATEDB, or take it unproved with --no-verify"
        )


def _schema(connection: Connection) -> str:
    return str(connection.scalar(text("SELECT current_schema()")))


def _flush(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Text is put in order by its bytes, whatever the databases' languages are; a table without a key by all of
# it.
_TABLES = text(
    """
    SELECT relname,
        (SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''),
        coalesce(
            (SELECT array_agg(quote_ident(attname) || CASE WHEN attcollation <> 0 THEN ' COLLATE "C"' ELSE ''
            END
                    ORDER BY array_position(indkey::int2[], attnum))
                FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
                WHERE indrelid = pg_class.oid AND indisprimary),
            ARRAY[quote_ident(relname) || '::text COLLATE "C"'])
    FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    ORDER BY relname
    """
)
# All tables, views, functions and types of the schema but those of extensions.
_CLEAR = """
DO $clear$
DECLARE
    it record;
BEGIN
    FOR it IN SELECT pg_class.oid::regclass AS name, CASE relkind WHEN 'v' THEN 'VIEW'
            WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE'
            ELSE 'TABLE' END AS kind
        FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND NOT relispartition
            AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND NOT EXISTS (SELECT FROM pg_depend
                WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
                    AND (deptype = 'e' OR relkind = 'S' AND deptype IN ('i', 'a')))
    LOOP
        EXECUTE format('DROP %s IF EXISTS %s CASCADE', it.kind, it.name);
    END LOOP;
    FOR it IN SELECT oid::regprocedure AS name FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND NOT EXISTS (SELECT FROM pg_depend
            WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e')
    LOOP
        EXECUTE format('DROP ROUTINE %s CASCADE', it.name);
    END LOOP;
END
$clear$;
"""
