"""The schema's revision: bring it to this program's, and refuse to work with any other.

Alembic is configured here, in code; there is no alembic.ini. For a new revision, against a database at head:

    python -c 'from db.migrate import draft; draft("postgresql://…", "add the price list")'
"""

from __future__ import annotations

import datetime as dt
from contextlib import nullcontext
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection

from db.engine import connect
from db.errors import SchemaMismatch
from db.partitions import DAYS_AHEAD, ensure_partitions
from db.roles import ensure_roles

_SCRIPTS = Path(__file__).with_name("migrations")


def upgrade(address: str | URL) -> None:
    """Bring the schema to head, make the next days' partitions, and give the roles their rights.

    Several programs may do it at once.

    Each revision is a transaction: one that fails leaves the database at the revision before it. Raises
    SchemaMismatch, and changes nothing, when the database is ahead of this program.
    """
    with connect(address) as connection:
        _refuse_unknown(current(connection))
        command.upgrade(_config(connection), "head")
        connection.commit()
        ensure_partitions(connection, dt.datetime.now(dt.UTC).date(), DAYS_AHEAD + 1)
        connection.commit()
        ensure_roles(connection)
        connection.commit()


def head() -> str:
    """The revision that this program was written for."""
    revision = _scripts().get_current_head()
    if revision is None:
        raise SchemaMismatch("This copy of Demeter holds no migrations: install it again.")
    return revision


def current(connection: Connection) -> str | None:
    """The database's revision; None where nothing was ever migrated. Leaves no transaction open."""
    with nullcontext() if connection.in_transaction() else connection.begin():
        return MigrationContext.configure(connection).get_current_revision()


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
    with connect(address) as connection:
        rev_id = f"{int(head()) + 1:04}"
        command.revision(_config(connection), message, autogenerate=True, rev_id=rev_id)


def _refuse_unknown(revision: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if revision is not None and revision not in known:
        raise SchemaMismatch(
            f"The database is at revision {revision}, which this program does not know (it knows {head()}): "
            "a newer Demeter migrated it, so upgrade the program."
        )


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("file_template", "r%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_SCRIPTS))
