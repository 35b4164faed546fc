"""The one connection a command needs, and a clear sentence when it cannot be had or breaks."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from sqlalchemy import URL, Connection, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from db.errors import DatabaseError, DatabaseUnavailable

OLDEST_SERVER = (15, 0)  # unique keys where NULL is a value (NULLS NOT DISTINCT)

_DRIVER = "postgresql+psycopg"
_DEFAULTS = {"connect_timeout": "10", "application_name": "demeter"}  # an address may say otherwise
_PATTERN = "postgresql://user:password@host:5432/name"
_REMEDY = "check that the server is running and that host, port, database, user and password are right"
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_REMEDIES = {
    "25006": "it takes no writing now, perhaps because it is a copy; give the address of the original",
    "42501": "its user may not do this; give the address with the user who owns the database",
    "53100": "its disk is full; make room and run again",
    "53200": "it is out of memory; run again when it is less busy",
    "53300": "it has no connection free; run again when it is less busy",
    "55P03": "another program holds a lock for too long; run again when it has finished",
    "40P01": "another program was writing the same rows; run again",
    "57014": "the statement took too long; run again when the server is less busy",
}

T = TypeVar("T")

# Two programs met head-on, and the server asked this one to begin again: deadlock, serialization failure, and
# a key that the other one wrote a moment ago (what is found there now decides anew).
_BEGIN_AGAIN = frozenset({"40P01", "40001", "23505"})
_ATTEMPTS = 8


def retry(connection: Connection, work: Callable[[], T], *, keep: bool = True) -> T:
    """Do `work` in a transaction of its own, and again where another program got in its way.

    With `keep=False` it is only tried: all rules are checked as at a commit, then nothing is left of it.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with connection.begin() as transaction:
                result = work()
                if not keep:
                    connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
                    transaction.rollback()
                return result
        except (DBAPIError, psycopg.Error) as error:  # psycopg's own: COPY speaks to the driver itself
            cause = error.orig if isinstance(error, DBAPIError) else error
            if getattr(cause, "sqlstate", None) not in _BEGIN_AGAIN or attempt == _ATTEMPTS:
                raise
            time.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311  not a secret
    raise AssertionError  # pragma: no cover  the last attempt returned or raised


@contextmanager
def connect(address: str | URL) -> Iterator[Connection]:
    """A connection in UTC, closed at the end. Raises DatabaseUnavailable, also if it breaks while in use."""
    url = parse_address(address)
    engine = create_engine(url, poolclass=NullPool)
    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise DatabaseUnavailable(
            f"Cannot connect to {_name(url)} ({_cause(error, url)}): {_REMEDY}."
        ) from error
    with guard(), connection:
        require_version(server_version(connection))
        connection.exec_driver_sql("SET TIME ZONE 'UTC'")
        connection.commit()
        yield connection


@contextmanager
def guard() -> Iterator[None]:
    """Turn a server that goes away, is out of something or forbids us to write into DatabaseUnavailable."""
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:  # psycopg's own: COPY speaks to the driver itself
        message = _interruption(error.orig if isinstance(error, DBAPIError) else error)
        if message is None:
            raise
        raise DatabaseUnavailable(message) from error


def reopened(connection: Connection) -> bool:
    """Whether the connection broke. If so, its next statement opens a new one, without locks and settings."""
    if not connection.invalidated:
        if not connection.connection.driver_connection.closed:  # type: ignore[union-attr]
            return False
        connection.invalidate()
    connection.rollback()
    return True


def parse_address(address: str | URL) -> URL:
    """Read `postgresql://user:password@host:port/name`, also spelt postgres:// or postgresql+psycopg://."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:  # never quoted: it may hold a password
        raise DatabaseUnavailable(f"The database address cannot be read: write it as {_PATTERN}.") from error
    if url.drivername not in {"postgres", "postgresql", _DRIVER}:
        raise DatabaseUnavailable(
            f"The database address starts with {url.drivername}:// but only PostgreSQL will do: "
            f"write it as {_PATTERN}."
        )
    return url.set(drivername=_DRIVER, query={**_DEFAULTS, **url.query})


def server_version(connection: Connection) -> tuple[int, ...]:
    """(18, 6), say. Known since the connection was opened: asks nothing of the server."""
    return tuple(int(part) for part in connection.dialect.server_version_info or ())


def require_version(version: tuple[int, ...]) -> None:
    if version < OLDEST_SERVER:
        found = ".".join(map(str, version))
        raise DatabaseError(
            f"The server is PostgreSQL {found} and Demeter needs {OLDEST_SERVER[0]} or newer: "
            "upgrade it, or unset the database address to use the embedded server."
        )


def _name(url: URL) -> str:
    host = url.host or url.query.get("host") or "the local socket"
    return f"database {url.database or url.username or 'postgres'!r} at {host}, port {url.port or 5432}"


def _interruption(error: BaseException | None) -> str | None:
    """The sentence for a trouble of the server's; None for one of ours, such as a broken rule."""
    state = (error.sqlstate or "") if isinstance(error, psycopg.Error) else ""
    of_server = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if not of_server and state not in _REMEDIES:
        return None
    if not state or state.startswith(("08", "57P")):  # without a state, it was not the server that spoke
        return "The database went away in the middle of the work: what was saved is kept, so run again."
    remedy = _REMEDIES.get(state, f"run again, and if it persists, {_REMEDY}")
    return f"The database could not do its work ({_first_line(error)}): {remedy}."


def _cause(error: DBAPIError, url: URL) -> str:
    """The driver's words, without the password should they ever hold it."""
    words = _first_line(error.orig)
    for password in (url.password, url.query.get("password")):
        if password:
            words = re.sub(rf"(?<!\w){re.escape(str(password))}(?!\w)", "***", words)
    return words


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
