"""Import a file as the command does, without the command."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from sqlalchemy import Connection, select

from db.imports.drawn import load_drawn
from db.imports.drawn import source_of as source_of_drawn
from db.imports.maps import read_map
from db.imports.places import load_layer, recognise, source_of
from db.imports.prices import judge_prices, load_prices
from db.imports.read import read_rows
from db.imports.seedlings import Inventory, load_seedlings
from db.imports.species import load_species
from db.imports.staging import Order, Outcome, Source, stage
from db.models.catalog import PackagingCatalog
from db.models.vocabulary import ImportVerdict
from db.stock import user_id

AS_OF = dt.datetime(2025, 9, 1, 12, tzinfo=dt.UTC)
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


def import_prices(connection: Connection, path: Path, max_rejects: int = 0) -> Outcome:
    file = read_rows(path)
    read = judge_prices(file, connection.scalars(select(PackagingCatalog.sku)))
    start = read.dated or dt.date(2025, 1, 1)
    load = lambda: (load_prices(connection, read, start), read.notes)  # noqa: E731
    return stage(connection, Source.of("prices", file), order(connection, max_rejects), load)


def import_species(connection: Connection, path: Path, max_rejects: int = 0) -> Outcome:
    file = read_rows(path)
    ordered = order(connection, max_rejects)
    return stage(connection, Source.of("species", file), ordered, lambda: load_species(connection, file))


def import_seedlings(connection: Connection, path: Path, max_rejects: int = 0) -> Outcome:
    file = read_rows(path)
    ordered = order(connection, max_rejects)
    inventory = Inventory(AS_OF, ordered.user_id, create_places=True)
    load = lambda: load_seedlings(connection, file, inventory)  # noqa: E731
    return stage(connection, Source.of("seedlings", file), ordered, load)
