"""A database that somebody with all rights has damaged: what is wrong is named."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import Connection, text

from db.guards import FUNCTIONS, TRIGGERS
from db.health import Finding, Severity, examine
from db.partitions import PARTITIONED
from tools.make_guards import FILE, page

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def connection(books: Connection) -> Connection:
    return books


def after(connection: Connection, *damage: str) -> list[tuple[str, str]]:
    for statement in damage:
        connection.execute(text(statement))
    return [(one.about, one.sentence) for one in examine(connection, NOW) if one.severity is Severity.DAMAGE]


def test_a_database_at_head_is_well(connection: Connection) -> None:
    assert examine(connection, NOW) == []


def test_the_list_of_triggers_and_functions_is_of_this_schema(connection: Connection) -> None:
    assert FILE.read_text(encoding="utf-8") == page(connection), "run tools/make_guards.py"
    assert len(TRIGGERS) > 60
    assert len(FUNCTIONS) > 8


@pytest.mark.parametrize(
    ("damage", "about", "words"),
    [
        (
            "ALTER TABLE stock_movements DISABLE TRIGGER append_only",
            "stock_movements.append_only",
            "switched off: ALTER TABLE stock_movements ENABLE TRIGGER append_only",
        ),
        (
            "ALTER TABLE counts ENABLE REPLICA TRIGGER only_the_decision",
            "counts.only_the_decision",
            "switched off",
        ),
        ("DROP TRIGGER audit_change ON price_list", "price_list.audit_change", "missing"),
        (
            """
            CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN RETURN NULL; END'
            """,
            "refuse_change",
            "replaced",
        ),
        (
            "ALTER TABLE stock_batches DROP CONSTRAINT ck_stock_batches_quantity_current",
            "stock_batches.ck_stock_batches_quantity_current",
            "missing",
        ),
        ("DROP INDEX uq_storage_location_config_active", None, "unique index is missing"),
        ("SET LOCAL session_replication_role = replica", "session_replication_role", "no trigger fires"),
    ],
)
def test_a_rule_that_is_gone_or_switched_off_is_named(
    connection: Connection, damage: str, about: str | None, words: str
) -> None:
    [(named, sentence)] = after(connection, damage)
    assert named == (about or "storage_location_config.uq_storage_location_config_active")
    assert words in sentence


def test_foreign_keys_that_are_switched_off_are_named_with_all_triggers_of_the_table(
    connection: Connection,
) -> None:
    found = after(connection, "ALTER TABLE stock_batches DISABLE TRIGGER ALL")
    assert ("stock_batches", "its foreign keys are not enforced: ALTER TABLE … ENABLE TRIGGER ALL") in found
    assert any(about == "stock_batches.touch_updated_at" for about, _ in found)


def test_rows_that_refer_to_nothing_are_counted(connection: Connection) -> None:
    found = after(
        connection,
        "SET LOCAL session_replication_role = replica",
        "DELETE FROM products WHERE sku = 'MAM-BOC-001'",
        "DELETE FROM storage_areas WHERE code = 'N01-NORTE'",
        "SET LOCAL session_replication_role = origin",
    )
    told = dict(found)
    assert told["storage_locations.fk_storage_locations_storage_area_id"] == (
        "5 rows refer to a row of storage_areas that is not there"
    )
    assert "storage_location_config.fk_storage_location_config_product_id" in told
    assert all("refer" in sentence for _, sentence in found)
    assert examine(connection, NOW, rows=False) == []


def test_a_rule_that_was_never_checked_for_the_old_rows_is_named(connection: Connection) -> None:
    rule = "ck_products_sku"
    found = after(
        connection,
        f"ALTER TABLE products DROP CONSTRAINT {rule}",
        f"ALTER TABLE products ADD CONSTRAINT {rule} CHECK (sku ~ '^[A-Z0-9-]{{6,20}}$') NOT VALID",
    )
    assert [about for about, _ in found] == [f"products.{rule}"]
    assert f"VALIDATE CONSTRAINT {rule}" in found[0][1]


def test_partitions_that_run_out_are_told_in_time(connection: Connection) -> None:
    tomorrow = NOW.date() + dt.timedelta(days=1)
    for table in PARTITIONED:
        connection.execute(text(f"DROP TABLE {table}_p{tomorrow:%Y%m%d}"))
    soon = [one for one in examine(connection, NOW) if one.about in PARTITIONED]
    assert {(one.severity, one.about) for one in soon} == {
        (Severity.NOTE, "detections"),
        (Severity.NOTE, "estimations"),
    }
    for table in PARTITIONED:
        connection.execute(text(f"DROP TABLE {table}_p{NOW:%Y%m%d}"))
    assert all(f"no partition for {NOW.date()}" in sentence for _, sentence in after(connection))


def test_what_others_added_is_told_and_is_no_damage(connection: Connection) -> None:
    connection.execute(
        text("CREATE TRIGGER theirs AFTER INSERT ON products FOR EACH ROW EXECUTE FUNCTION audit_change()")
    )
    assert examine(connection, NOW) == [
        Finding(Severity.NOTE, "products.theirs", "is a trigger that Demeter did not make")
    ]
