"""Import a file as the command does, without the command."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from db.imports.drawn import load_drawn
from db.imports.drawn import source_of as source_of_drawn
from db.imports.maps import read_map
from db.imports.places import load_layer, recognise, source_of
from db.imports.staging import Order, Outcome, stage
from db.models.vocabulary import ImportVerdict
from db.stock import user_id

SYSTEM = "system@demeter.local"


def order(connection: Connection, max_rejects: int = 0) -> Order:
    return Order(user_id(connection, SYSTEM), max_rejects)


def import_layer(connection: Connection, path: Path, max_rejects: int = 0) -> Outcome:
    file = read_map(path)
    layer = recognise(file)
    ordered = order(connection, max_rejects)
    return stage(connection, source_of(file, layer), ordered, lambda: load_layer(connection, file, layer))


def import_drawn(connection: Connection, path: Path, max_rejects: int = 0) -> Outcome:
    file = read_map(path)
    ordered = order(connection, max_rejects)
    return stage(connection, source_of_drawn(file), ordered, lambda: load_drawn(connection, file))


def figures(outcome: Outcome) -> tuple[str, int, int, int, int]:
    """Status, read, loaded, fixed, rejected."""
    counts = [outcome.count(verdict) for verdict in ImportVerdict]
    return outcome.status, len(outcome.rows), counts[0], counts[1], counts[2]
