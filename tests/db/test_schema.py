"""The rules that the database keeps by itself, whoever writes to it."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import IntegrityError

from db.partitions import PARTITIONED
from tests.db.nursery import NOON, TABLES, Nursery, add, build_nursery, session_of

MAY_CASCADE = {
    ("session_containers", "photo_sessions"),
    ("session_findings", "photo_sessions"),
    *((table, target) for table in PARTITIONED for target in ("photo_sessions", "session_containers")),
}
MAY_SET_NULL = {("images", "users"), ("photo_sessions", "users")}


@pytest.fixture
def nursery(connection: Connection) -> Nursery:
    return build_nursery(connection)


def test_every_table_is_keyed_by_id(connection: Connection) -> None:
    for table in TABLES.values():
        expected = ["id", "created_at"] if table.name in PARTITIONED else ["id"]
        assert [column.name for column in table.primary_key] == expected, table.name


def test_every_reference_has_the_type_of_what_it_refers_to(connection: Connection) -> None:
    mismatches = connection.execute(
        text(
            "SELECT conrelid::regclass, conname FROM pg_constraint"
            " JOIN pg_attribute AS here ON here.attrelid = conrelid AND here.attnum = conkey[1]"
            " JOIN pg_attribute AS there ON there.attrelid = confrelid AND there.attnum = confkey[1]"
            " WHERE contype = 'f' AND here.atttypid <> there.atttypid"
        )
    ).all()

    assert mismatches == []


def test_every_reference_is_found_by_an_index(connection: Connection) -> None:
    """So that nothing is read whole when what it refers to is deleted or looked up. What was seen in photos
    is not looked up by its class, of which none is deleted, and is written too often to index for nothing."""
    unindexed = text(
        """
        SELECT conrelid::regclass::text || '.' || attname
        FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
            JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
        WHERE contype = 'f' AND NOT relispartition AND NOT EXISTS (
            SELECT FROM pg_index WHERE indrelid = conrelid AND indkey[0] = conkey[1]
                AND (indpred IS NULL OR pg_get_expr(indpred, indrelid) = format('(%I IS NOT NULL)', attname))
        )
        ORDER BY 1
        """
    )
    assert list(connection.scalars(unindexed)) == [
        "detections.classification_id",
        "estimations.classification_id",
    ]


def test_only_what_was_seen_goes_with_its_session_and_nothing_else_is_deleted_unasked(
    connection: Connection,
) -> None:
    rules = connection.execute(
        text(
            "SELECT conrelid::regclass::text, confrelid::regclass::text, confdeltype::text FROM pg_constraint"
            " JOIN pg_class ON pg_class.oid = conrelid WHERE contype = 'f' AND NOT relispartition"
        )
    ).all()

    assert {(table, target) for table, target, rule in rules if rule == "c"} == MAY_CASCADE
    assert {(table, target) for table, target, rule in rules if rule == "n"} == MAY_SET_NULL
    assert {rule for _, _, rule in rules} == {"c", "n", "r"}


def test_deleting_a_session_deletes_its_containers_and_what_was_seen_in_them(nursery: Nursery) -> None:
    connection = nursery.connection
    session = session_of(nursery)
    container = add(
        connection,
        "session_containers",
        session_id=session,
        ordinal=0,
        kind="segment",
        polygon=[[0, 0], [9, 0], [9, 9]],
        score=0.9,
        seen=1,
        hidden=1,
        low=1,
        high=3,
    )
    place = {"session_id": session, "session_container_id": container}
    box = {"center_x_px": 5, "center_y_px": 5, "width_px": 2, "height_px": 2, "score": 0.8}
    connection.execute(insert(TABLES["detections"]).values(**place, **box))
    connection.execute(
        insert(TABLES["estimations"]).values(
            **place,
            method="residual",
            version="1",
            band_number=1,
            y_start=0,
            y_end=9,
            residual_px=50,
            suppressed_px=50,
            cell_px=4,
            plants=1.5,
        )
    )

    connection.execute(text("DELETE FROM photo_sessions"))

    for table in ("session_containers", "detections", "estimations"):
        assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0


def test_a_photo_is_claimed_once_per_model_and_configuration(nursery: Nursery) -> None:
    session = session_of(nursery)
    again = text(
        "INSERT INTO photo_sessions (image_id, run_id, model, model_sha256, config_hash)"
        " SELECT image_id, run_id, model, model_sha256, :config FROM photo_sessions WHERE id = :id"
    )
    nursery.connection.execute(again, {"id": session, "config": "another"})
    with pytest.raises(IntegrityError, match="uq_photo_sessions_image_id_model_sha256_config_hash"):
        nursery.connection.execute(again, {"id": session, "config": "c"})


CONTRADICTIONS = [
    ("low = 5, high = 9, total_detected = 10", "interval"),
    ("low = 0", "interval_both"),
    ("validated = true", "validated"),
    ("avg_confidence = 1.01", "avg_confidence"),
    ("status = 'done'", "status"),
    ("supersedes_session_id = id", "supersedes"),
]


def test_a_session_that_contradicts_itself_is_refused(nursery: Nursery) -> None:
    session_of(nursery)
    for change, rule in CONTRADICTIONS:
        with (
            pytest.raises(IntegrityError, match=f'ck_photo_sessions_{rule}"'),
            nursery.connection.begin_nested(),
        ):
            nursery.connection.execute(text(f"UPDATE photo_sessions SET {change}"))


def test_a_row_that_changes_is_marked_with_the_time(nursery: Nursery) -> None:
    nursery.connection.execute(text("UPDATE products SET common_name = 'powder puff'"))

    assert nursery.connection.scalar(text("SELECT updated_at = now() FROM products"))
    assert nursery.connection.scalar(text("SELECT updated_at IS NULL FROM product_states"))


def test_there_is_one_bin_per_place_category_product_and_pot_also_without_pot(nursery: Nursery) -> None:
    with pytest.raises(IntegrityError, match="uq_storage_bins_content"):
        add(
            nursery.connection,
            "storage_bins",
            storage_location_id=nursery.location,
            storage_bin_type_id=nursery.bin_type,
            category="segment",
            product_id=nursery.product,
            code="N01-NORTE-C07-OTHER",
        )


def test_the_category_of_a_bin_is_that_of_its_type(nursery: Nursery) -> None:
    with pytest.raises(IntegrityError, match="fk_storage_bins_storage_bin_type_id"):
        nursery.connection.execute(text("UPDATE storage_bins SET category = 'plug'"))


def test_there_is_one_batch_per_bin_product_state_size_and_pot(nursery: Nursery) -> None:
    with pytest.raises(IntegrityError, match="uq_stock_batches_key"):
        add(
            nursery.connection,
            "stock_batches",
            batch_code="LOC1-PROD1-20260301-002",
            current_storage_bin_id=nursery.bin,
            product_id=nursery.product,
            product_state_id=nursery.state,
        )


def test_a_place_has_one_configuration_at_any_time(nursery: Nursery) -> None:
    connection = nursery.connection
    config = {
        "storage_location_id": nursery.location,
        "product_id": nursery.product,
        "expected_product_state_id": nursery.state,
    }
    add(connection, "storage_location_config", **config, valid_from=NOON - dt.timedelta(days=30))
    connection.execute(
        text("UPDATE storage_location_config SET active = false, valid_to = :now"), {"now": NOON}
    )
    add(connection, "storage_location_config", **config, valid_from=NOON)  # begins as the first ends
    connection.commit()

    with pytest.raises(IntegrityError, match="storage_location_config"):
        add(connection, "storage_location_config", **config, valid_from=NOON + dt.timedelta(days=1))
    connection.rollback()
    with pytest.raises(IntegrityError, match="ex_storage_location_config_no_overlap"):
        add(
            connection,
            "storage_location_config",
            **config,
            active=False,
            valid_from=NOON - dt.timedelta(days=40),
            valid_to=NOON - dt.timedelta(days=20),
        )


def test_the_user_who_acts_for_the_program_has_no_password_and_no_double(connection: Connection) -> None:
    system = {"first_name": "Demeter", "last_name": "System", "role": "system"}
    add(connection, "users", email="system@demeter.local", **system)
    connection.commit()

    with pytest.raises(IntegrityError, match="uq_users_one_system"):
        add(connection, "users", email="other@demeter.local", **system)
    connection.rollback()
    with pytest.raises(IntegrityError, match="ck_users_system_has_no_login"):
        connection.execute(text("UPDATE users SET password_hash = :hash"), {"hash": "$2b$12$" + "x" * 53})


def test_an_address_that_could_be_spelt_twice_or_never_arrives_is_refused(connection: Connection) -> None:
    for email in ("Ana@vivero.ar", "ana", "ana@vivero", "a na@vivero.ar"):
        with pytest.raises(IntegrityError, match="ck_users_email"), connection.begin_nested():
            add(connection, "users", email=email, first_name="Ana", last_name="Paz")


def test_a_density_says_the_same_twice(nursery: Nursery) -> None:
    pots = {"storage_bin_type_id": nursery.bin_type, "avg_area_per_plant_cm2": 64, "avg_diameter_cm": 8}
    add(nursery.connection, "density_parameters", **pots, plants_per_m2=156.25)
    nursery.connection.commit()

    with pytest.raises(IntegrityError, match="uq_density_parameters_key"):  # any product, no pot, again
        add(nursery.connection, "density_parameters", **pots, plants_per_m2=156.25)
    nursery.connection.rollback()
    with pytest.raises(IntegrityError, match="ck_density_parameters_consistent"):
        add(
            nursery.connection, "density_parameters", **pots, product_id=nursery.product, plants_per_m2=1562.5
        )
