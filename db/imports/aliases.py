"""Other spellings that the importers know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from db.errors import NotFound
from db.imports.words import clean, key, nearest
from db.models.catalog import ProductFamily
from db.models.imports import ImportAlias
from db.models.places import StorageLocation
from db.models.vocabulary import AliasKind


def aliases(connection: Connection) -> list[Mapping[str, Any]]:
    table = ImportAlias
    query = select(table.kind, table.alias, table.name).order_by(table.kind, table.alias)
    return [row._asdict() for row in connection.execute(query)]


def set_alias(connection: Connection, kind: str, spelling: str, name: str) -> str:
    """Let a spelling mean a name, in the caller's transaction; returns the name as the database writes it.

    Raises NotFound when the genus or the place is not known, and for a spelling without a letter.
    """
    if not key(spelling):
        raise NotFound(f"{spelling!r} is no spelling: it has neither letter nor digit")
    meant = _meant(connection, kind, name)
    statement = insert(ImportAlias).values(kind=kind, alias=key(spelling), name=meant)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["kind", "alias"], set_={"name": meant, "updated_at": func.now()}
        )
    )
    return meant


def remove_alias(connection: Connection, kind: str, spelling: str) -> None:
    """Raises NotFound."""
    table = ImportAlias
    gone = connection.execute(delete(table).where(table.kind == kind, table.alias == key(spelling)))
    if not gone.rowcount:
        known = connection.scalars(select(table.alias).where(table.kind == kind))
        raise NotFound(f"there is no alias {spelling!r} of a {kind}{nearest(spelling, known)}")


def _meant(connection: Connection, kind: str, name: str) -> str:
    if kind == AliasKind.SPECIES.value:
        return clean(name).lower()
    column = ProductFamily.name if kind == AliasKind.GENUS.value else StorageLocation.code
    known = {key(each): each for each in connection.scalars(select(column))}
    if key(name) not in known:
        raise NotFound(f"there is no {kind} {name!r}{nearest(name, known.values())}")
    return known[key(name)]
