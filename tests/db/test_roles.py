"""What the three roles of the database may do, tried as each of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from db.acting import acting_user
from db.audit_log import Wanted, entries
from db.engine import connect
from db.guards import TRIGGERS
from db.health import examine
from db.ingest import claim, save_result
from db.models.schema import METADATA
from db.partitions import DAYS_AHEAD, ensure_partitions
from db.places import PlaceIndex
from db.reports import stock
from db.roles import ADMIN, APPEND_ONLY, MASTER, OPERATOR, ROLES, VIEWER, differences, ensure_roles
from db.runs import start_run
from db.sessions import Stored
from pipeline.storage import image_id, original_key
from pipeline.types import ContainerKind
from tests.db.seen import TAKEN, a_photo, a_result

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def become(module_url: str) -> Iterator[Callable[[str], Connection]]:
    """The connection of somebody who has nothing but that role."""
    with connect(module_url) as connection:

        def switch(role: str) -> Connection:
            connection.execute(text(f"SET ROLE {role}"))
            connection.commit()
            return connection

        yield switch
        connection.rollback()
        connection.execute(text("RESET ROLE"))


def refused(connection: Connection, statement: str) -> bool:
    try:
        with connection.begin():
            connection.execute(text(statement))
    except ProgrammingError as error:
        assert "permission denied" in str(error)
        return True
    return False


def test_every_role_has_its_rights_and_no_other_and_asking_again_changes_nothing(module_url: str) -> None:
    with connect(module_url) as connection, connection.begin():
        assert differences(connection) == (set(), set())
        ensure_roles(connection)
        assert differences(connection) == (set(), set())


@pytest.mark.parametrize("table", METADATA.tables)
def test_a_viewer_reads_every_table_and_writes_none(become: Callable[[str], Connection], table: str) -> None:
    viewer = become(VIEWER)
    assert not refused(viewer, f"SELECT id FROM {table} LIMIT 1")
    for statement in (
        f"DELETE FROM {table}",
        f"UPDATE {table} SET id = id",
        f"INSERT INTO {table} DEFAULT VALUES",
    ):
        assert refused(viewer, statement)


def test_passwords_are_for_admins(become: Callable[[str], Connection]) -> None:
    for role, hidden in ((VIEWER, True), (OPERATOR, True), (ADMIN, False)):
        assert refused(become(role), "SELECT password_hash FROM users") is hidden
        assert not refused(become(role), "SELECT email, role FROM users")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users SET role = 'admin'",
        "INSERT INTO users (email, first_name, last_name) VALUES ('x@x.ar', 'x', '')",
        "UPDATE price_list SET wholesale_unit_price = 1",
        "INSERT INTO price_items (sku, category_id) VALUES ('X1', 1)",
        "UPDATE products SET common_name = 'x'",
        "UPDATE storage_location_config SET active = false",
        "UPDATE stock_movements SET quantity = 1",
        "DELETE FROM stock_movements",
        "UPDATE counts SET quantity = 1",
        "DELETE FROM counts",
        "DELETE FROM stock_batches",
        "UPDATE periods SET month = month",
        "UPDATE reconciliation_lines SET posted = 0",
        "DELETE FROM count_decisions",
        "UPDATE import_rows SET verdict = 'loaded', reason = NULL",
        "INSERT INTO import_aliases (kind, alias, name) VALUES ('species', 'x', 'y')",
        "DELETE FROM location_relationships",
        "DELETE FROM map_features",
        "INSERT INTO audit_log (login, action, table_name) VALUES ('x', 'truncate', 'users')",
        "TRUNCATE stock_movements CASCADE",
        "ALTER TABLE stock_movements DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "DROP TABLE detections_p20200101",
        "CREATE TABLE mine (id integer)",
    ],
)
def test_an_operator_may_not(become: Callable[[str], Connection], statement: str) -> None:
    operator = become(OPERATOR)
    if statement.startswith(("ALTER", "DROP")):  # those are the owner's, in other words
        with pytest.raises(ProgrammingError, match=r"must be owner|does not exist"):
            operator.execute(text(statement))
    else:
        assert refused(operator, statement)


def test_nobody_but_the_owner_writes_the_audit_log_or_changes_the_ledger(
    become: Callable[[str], Connection],
) -> None:
    for role in ROLES:
        for statement in (
            "DELETE FROM audit_log",
            "INSERT INTO audit_log (login, action, table_name) VALUES ('', 'truncate', '')",
            "UPDATE stock_movements SET quantity = 1",
            "DELETE FROM stock_movements",
            "DELETE FROM counts",
        ):
            assert refused(become(role), statement)


def test_what_is_written_once_and_what_people_edit_have_their_rights_and_triggers() -> None:
    """A new table is on one of the lists, or is written by processing and booking alone."""
    once = {name.partition(".")[0] for name in TRIGGERS if name.endswith(".append_only")}
    assert once - {"audit_log", "counts", "corrections"} == APPEND_ONLY
    edited = {name for name, table in METADATA.tables.items() if table.info.get("natural_key")} | MASTER
    audited = {name.partition(".")[0] for name in TRIGGERS if name.endswith(".audit_change")}
    assert edited - {"seed_rows"} <= audited
    assert {f"{name}.audit_truncate" for name in audited} <= TRIGGERS.keys()


def test_an_admin_changes_the_catalogue_and_the_audit_log_knows(become: Callable[[str], Connection]) -> None:
    admin = become(ADMIN)
    with admin.begin():
        acting_user(admin, "system@demeter.local")
        admin.execute(text("UPDATE products SET description = 'x' WHERE sku = 'MAM-BOC-001'"))
        told = entries(admin, Wanted("products", "MAM-BOC-001"))[0]
    assert (told.user, told.after) == ("system@demeter.local", {"description": "x"})


def test_an_operator_processes_photos_and_makes_the_partitions_for_it(
    become: Callable[[str], Connection],
) -> None:
    operator = become(OPERATOR)
    far = NOW.date() + dt.timedelta(days=DAYS_AHEAD + 30)
    with operator.begin():
        assert len(ensure_partitions(operator, far, 2)) == 4
        user = acting_user(operator, None)
    run = start_run(operator, "process", ("plant-1+containers-1", "a" * 64), "c0ffee", user)
    place = PlaceIndex.load(operator).named("N01-NORTE-C01")
    operator.rollback()
    result = a_result(a_photo("p.jpg"), {ContainerKind.SEGMENT: 12}, 3, TAKEN)
    held = claim(operator, run, (image_id(result.photo.sha256), result.photo), place)
    key = original_key(result.photo.sha256, ".jpg", held.first_met.date())
    saved = save_result(operator, run, held, result, Stored(key, None, result.info.taken_at))

    assert saved.posted == 15
    assert [row.plants for row in stock(operator)] == [15]
    operator.rollback()
    with operator.begin():
        operator.execute(
            text("UPDATE counts SET status = 'rejected', decided_at = now(), decided_by_user_id = 1")
        )
        assert entries(operator, Wanted("counts"))[0].after["status"] == "rejected"


def test_a_right_too_many_and_a_role_too_few_are_told(module_url: str) -> None:
    with connect(module_url) as connection, connection.begin() as transaction:
        connection.execute(text(f"GRANT DELETE, UPDATE ON stock_movements TO {OPERATOR}"))
        connection.execute(text(f"REVOKE SELECT ON products FROM {VIEWER}"))
        found = {(one.severity, one.about, one.sentence) for one in examine(connection, NOW)}
        assert found == {
            ("damage", OPERATOR, "may DELETE stock_movements and should not: `demeter db upgrade` mends it"),
            ("damage", OPERATOR, "may UPDATE stock_movements and should not: `demeter db upgrade` mends it"),
            ("note", VIEWER, "may not SELECT products and should: `demeter db upgrade` mends it"),
        }
        ensure_roles(connection)
        assert examine(connection, NOW) == []
        transaction.rollback()
