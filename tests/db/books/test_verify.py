"""Books damaged by somebody who switched the triggers off: what `stock verify` finds, and by which name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

from tests.cli.shop import Shop
from tests.conftest import _copied, _url_of

HERE, THERE, TRAYS = "N01-NORTE-C01", "N01-SUR-C03", "N02-SUR-C05"


@pytest.fixture(scope="module")
def shop(server: str, demo_template: str) -> Iterator[Shop]:
    """1 first count, 2 death, 3 and 4 transfer, 5 sale, 6 undoes it, 7 sowing; October is closed."""
    with _copied(server, demo_template) as name:
        shop = Shop(_url_of(server, name))
        shop.done("stock", "init", HERE, 100, "--date", "2026-10-01")
        shop.done("stock", "death", HERE, 10, "--date", "2026-10-10")
        shop.done("stock", "move", HERE, THERE, 20, "--date", "2026-10-20")
        [sale] = shop.done("stock", "sale", HERE, 5, "--date", "2026-10-25")
        shop.done("stock", "undo", sale["movement"])
        shop.done("stock", "sow", TRAYS, 50, "--product", "MAM-BOC-001", "--date", "2026-11-01")
        assert shop.run("period", "close", "2026-10", "--yes").code == 0
        assert shop.run("stock", "verify").out == "The books are sound: 11 checks, nothing found.\n"
        yield shop


SALE_OUT_OF_TRAYS = """
    INSERT INTO stock_movements
        (batch_id, movement_type, source_bin_id, quantity, user_id, source_type, occurred_at)
    SELECT id, 'ventas', current_storage_bin_id, -5, 1, 'manual', '2026-11-02 12:00Z'
    FROM stock_batches WHERE id = 3
"""
DAMAGES = [
    (
        "UPDATE stock_batches SET quantity_current = 71 WHERE id = 1",
        "balance",
        "holds 71 but its movements sum to 70",
    ),
    (
        "UPDATE stock_batches SET quantity_empty_containers = 1 WHERE id = 1",
        "empty_pots",
        "has 1 empty pots but 10",
    ),
    (
        "UPDATE stock_movements SET occurred_at = '2026-09-01 12:00Z' WHERE id = 2",
        "never_negative",
        "holds -10 at 2026-09-01",
    ),
    ("DELETE FROM stock_movements WHERE id = 4", "transfers", "has 1 legs and a balance of -20 plants"),
    (
        "UPDATE stock_movements SET plants_per_pot = 2 WHERE id = 4",
        "transfers",
        "2 legs and a balance of 20 plants",
    ),
    (
        "UPDATE stock_movements SET quantity = 4 WHERE id = 6",
        "reversals",
        "movement 6 does not take back movement 5",
    ),
    ("UPDATE stock_movements SET source_bin_id = 2 WHERE id = 2", "bins", "movement 2 names another bin"),
    (
        SALE_OUT_OF_TRAYS,
        "sales",
        "is a sale out of seedling_tray, which is never sold",
    ),
    (
        "UPDATE counts SET quantity = 90",
        "counts",
        "count 1 of batch LOC1-PROD1-20261001-001 is posted wrong by +10",
    ),
    ("UPDATE counts SET status = 'rejected'", "counts", "is posted wrong by +100, and is rejected"),
    ("UPDATE counts SET batch_id = 3", "first_counts", "movement 1 is the first count of another batch"),
    (
        "UPDATE stock_movements SET reason_description = 'x' WHERE id = 2",
        "periods",
        "2026-10 movement 2 was changed",
    ),
]


@pytest.mark.parametrize(("damage", "check", "sentence"), DAMAGES)
def test_each_damage_is_named(shop: Shop, damage: str, check: str, sentence: str) -> None:
    tables = ("stock_movements", "stock_batches", "counts")
    with shop.database() as connection:
        before = {table: rows(connection, table) for table in tables}
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        assert connection.execute(text(damage)).rowcount == 1
    try:
        told = shop.run("stock", "verify", "--format", "json")
        found = [f"{one['check']}: {one['what']} {one['problem']}" for one in told.json]
        assert told.code == 9
        assert any(one.startswith(f"{check}: ") and sentence in one for one in found), found
    finally:
        with shop.database() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            for table, held in before.items():
                restore(connection, table, held)
    assert shop.run("stock", "verify", "--quiet").code == 0


def rows(connection: Connection, table: str) -> str:
    return str(
        connection.scalar(text(f"SELECT coalesce(json_agg(t ORDER BY id), '[]')::text FROM {table} AS t"))
    )


def restore(connection: Connection, table: str, held: str) -> None:
    generated = {"stock_movements": "is_inbound", "stock_batches": "has_packaging"}.get(table, "")
    names = connection.scalars(
        text(
            "SELECT column_name FROM information_schema.columns WHERE table_name = :table"
            " AND column_name <> :generated ORDER BY ordinal_position"
        ),
        {"table": table, "generated": generated},
    ).all()
    columns = ", ".join(names)
    source = f"json_populate_recordset(NULL::{table}, :held)"
    connection.execute(text(f"DELETE FROM {table}"))
    connection.execute(
        text(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {source}"), {"held": held}
    )


def test_a_wrong_sign_is_named_where_even_the_constraint_was_dropped(shop: Shop) -> None:
    with shop.database() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            text("ALTER TABLE stock_movements DROP CONSTRAINT ck_stock_movements_outflow_sign")
        )
        connection.execute(text("UPDATE stock_movements SET reverses_movement_id = NULL WHERE id = 6"))
    told = shop.run("stock", "verify", "--format", "json")
    assert {"check": "signs", "what": "movement 6", "problem": "is a ventas of 5"} in told.json
