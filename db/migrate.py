"""The schema's revision: bring it to this program's, and refuse to work with any other.

Alembic is configured here, in code; there is no alembic.ini. For a new revision, against a database at head:

    python -c 'from db.migrate import draft; draft("postgresql://…", "add the price list")'
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, text

from db.engine import connect
from db.errors import Busy, SchemaMismatch
from db.partitions import DAYS_AHEAD, ensure_partitions

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic takes a third of a second to import, and every command checks the revision: only what migrates
# loads it.

_SCRIPTS = Path(__file__).with_name("migrations")
_PATTERN = "r[0-9][0-9][0-9][0-9]_*.py"  # one file a revision, named by its number


def upgrade(address: str | URL) -> None:
    """Bring the schema to head, make the next days' partitions, and give the roles their rights.

    Several programs may do it at once.

    Each revision is a transaction: one that fails leaves the database at the revision before it. Raises
    SchemaMismatch, and changes nothing, when the database is ahead of this program; and Busy while a run
    counts into it, which was begun for the tables as they are.
    """
    from alembic import command

    from db.roles import ensure_roles

    with connect(address) as connection:
        _refuse_unknown(current(connection))
        with _no_run(connection):
            command.upgrade(_config(connection), "head")
            connection.commit()
            ensure_partitions(connection, dt.datetime.now(dt.UTC).date(), DAYS_AHEAD + 1)
            connection.commit()
            ensure_roles(connection)
            connection.commit()


def head() -> str:
    """The revision that this program was written for."""
    known = _known()
    if not known:
        raise SchemaMismatch("This copy of Demeter holds no migrations: install it again.")
    return max(known)


def current(connection: Connection) -> str | None:
    """The database's revision; None where nothing was ever migrated. Leaves no transaction open."""
    with nullcontext() if connection.in_transaction() else connection.begin():
        if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
            return None
        revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return revision


def check(connection: Connection) -> None:
    """Raise SchemaMismatch unless the database is at head."""
    revision = current(connection)
    if revision is None:
        raise SchemaMismatch("The database has no Demeter tables yet: run `demeter db upgrade`.")
    if revision != head():
        _refuse_unknown(revision)
        raise SchemaMismatch(
            f"The database is at revision {revision} and this program needs {head()}: "
            "run `demeter db upgrade`."
        )


def draft(address: str | URL, message: str) -> None:
    """Write the revision that would take the database to the models. Read it before you keep it."""
    from alembic import command

    with connect(address) as connection:
        rev_id = f"{int(head()) + 1:04}"
        command.revision(_config(connection), message, autogenerate=True, rev_id=rev_id)


@contextmanager
def _no_run(connection: Connection) -> Iterator[None]:
    """Meanwhile. Other upgrades are let in: they wait for each other.

    The lock is given back by itself: a server notices only after a moment that a connection was closed, and the
    run that comes next should not be told that it is taken.
    """
    from db.runs import RUN_LOCK

    if not connection.scalar(text("SELECT pg_try_advisory_lock_shared(:lock)"), {"lock": RUN_LOCK}):
        raise Busy("a run is counting into this database; upgrade it when the run has finished")
    connection.commit()
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock_shared(:lock)"), {"lock": RUN_LOCK})
            connection.commit()


def _refuse_unknown(revision: str | None) -> None:
    if revision is not None and revision not in _known():
        raise SchemaMismatch(
            f"The database is at revision {revision}, which this program does not know (it knows {head()}): "
            "a newer Demeter migrated it, so upgrade the program."
        )


def _known() -> set[str]:
    return {path.name[1:5] for path in _SCRIPTS.glob(f"versions/{_PATTERN}")}


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("file_template", "r%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config
