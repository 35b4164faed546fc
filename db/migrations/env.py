"""Run by Alembic for each upgrade, with the connection that db/migrate.py opened."""

from __future__ import annotations

import re

from alembic import context
from sqlalchemy import Connection, text

from db.models.schema import METADATA

_LOCK = 0x0DE3E7E4
_PARTITION = re.compile(r"_p\d{8}$")


def _include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Partitions come and go with the days; they are no part of the schema to compare."""
    return not (kind == "table" and name and _PARTITION.search(name))


def _migrate(connection: Connection) -> None:
    # Waiting for another program's upgrade may take long; waiting for a lock on a table in use may not, since
    # every later query would queue behind us.
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.execute(text("SET statement_timeout = '10min'"))
    connection.commit()
    try:
        context.configure(
            connection=connection,
            target_metadata=METADATA,
            include_name=_include_name,
            compare_server_default=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()  # an aborted transaction would refuse the next lines
        connection.execute(text("RESET lock_timeout"))
        connection.execute(text("RESET statement_timeout"))
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
        connection.commit()


_migrate(context.config.attributes["connection"])
