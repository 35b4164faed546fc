"""The rules of the ledger that the database keeps by itself, whoever writes to it."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.db.nursery import NOON, TABLES, Nursery, add, build_nursery, session_of


@pytest.fixture
def nursery(connection: Connection) -> Nursery:
    return build_nursery(connection)


def test_a_movement_has_the_sign_of_its_type(nursery: Nursery) -> None:
    signs = {"sembrar": 1, "plantar": 1, "manual_init": 1, "muerte": -1, "ventas": -1}
    nursery.move("ajuste", 100, reason_description="found")
    for movement_type, sign in signs.items():
        nursery.move(movement_type, 7 * sign)
        with pytest.raises(IntegrityError, match="flow_sign"), nursery.connection.begin_nested():
            nursery.move(movement_type, -7 * sign)
    nursery.connection.commit()


def test_adjustments_and_differences_of_counts_go_either_way(nursery: Nursery) -> None:
    nursery.move("plantar", 100)
    for quantity in (7, -7):
        nursery.move("ajuste", quantity, reason_description="recount")
        nursery.move("foto", quantity, count_id=nursery.count(100), source_type="ia")
    nursery.connection.commit()

    table = TABLES["stock_movements"]
    inbound = select(table.c.is_inbound).where(table.c.movement_type != "plantar").order_by(table.c.id)
    assert nursery.connection.scalars(inbound).all() == [True, True, False, False]


INCOMPLETE: list[tuple[dict[str, Any], str]] = [
    (
        {"movement_type": "ajuste", "quantity": 0, "source_bin_id": 1, "reason_description": "x"},
        "quantity",
    ),
    ({"destination_bin_id": None}, "bins"),
    ({"movement_type": "ajuste"}, "ajuste_has_reason"),
    ({"movement_type": "foto"}, "foto_has_count"),
    ({"movement_type": "transplante"}, "transfer"),
    ({"movement_type": "trasplante"}, "movement_type"),
    ({"transfer_id": uuid.uuid4()}, "transfer"),
    ({"occurred_at": dt.datetime(2999, 1, 1, tzinfo=dt.UTC)}, "not_in_the_future"),
    ({"plants_per_pot": 0}, "plants_per_pot"),
]


def test_a_movement_that_leaves_something_open_is_refused(nursery: Nursery) -> None:
    entry = {
        "batch_id": nursery.batch,
        "movement_type": "plantar",
        "quantity": 5,
        "destination_bin_id": nursery.bin,
        "user_id": nursery.user,
        "source_type": "manual",
        "occurred_at": NOON,
    }
    for values, rule in INCOMPLETE:
        with (
            pytest.raises(IntegrityError, match=f'ck_stock_movements_{rule}"'),
            nursery.connection.begin_nested(),
        ):
            add(nursery.connection, "stock_movements", **entry | values)


REWRITES = [
    "UPDATE stock_movements SET quantity = 6",
    "UPDATE stock_movements SET reason_description = 'typo'",
    "DELETE FROM stock_movements",
    "TRUNCATE stock_movements CASCADE",
    "TRUNCATE stock_batches CASCADE",
    "UPDATE counts SET quantity = 6",
    "UPDATE counts SET counted_at = now()",
    "UPDATE counts SET status = 'accepted', low = 1, high = 9",
    "DELETE FROM counts",
    "TRUNCATE counts CASCADE",
]


def test_history_is_never_rewritten(nursery: Nursery) -> None:
    nursery.move("plantar", 5)
    nursery.count(5)
    nursery.connection.commit()

    for statement in REWRITES:
        with pytest.raises(DBAPIError, match="append-only"), nursery.connection.begin_nested():
            nursery.connection.execute(text(statement))


def test_a_count_can_be_accepted_and_withdrawn_but_not_undecided(nursery: Nursery) -> None:
    count = nursery.count(5)
    decide = text(
        "UPDATE counts SET status = :status, decided_by_user_id = :user, decided_at = now() WHERE id = :id"
    )
    for status in ("accepted", "rejected"):
        nursery.connection.execute(decide, {"status": status, "user": nursery.user, "id": count})
    with pytest.raises(IntegrityError, match="already rejected"):
        nursery.connection.execute(decide, {"status": "proposed", "user": nursery.user, "id": count})


def test_a_photo_counts_a_batch_once(nursery: Nursery) -> None:
    session = session_of(nursery)
    nursery.count(5, source="foto", session_id=session)
    with pytest.raises(IntegrityError, match="uq_counts_session_id_batch_id"):
        nursery.count(6, source="foto", session_id=session)


def test_a_movement_is_taken_back_whole_and_once(nursery: Nursery) -> None:
    planted = nursery.move("plantar", 10)
    died = nursery.move("muerte", -4)
    nursery.move("muerte", 4, reverses_movement_id=died)
    nursery.connection.commit()

    for wrong in (
        {"movement_type": "muerte", "quantity": 4, "reverses_movement_id": died},  # a second time
        {"movement_type": "plantar", "quantity": -9, "reverses_movement_id": planted},  # in part
        {"movement_type": "ventas", "quantity": -10, "reverses_movement_id": planted},  # as another type
        {"movement_type": "plantar", "quantity": -10, "reverses_movement_id": 999_999},  # of nothing
    ):
        with pytest.raises(IntegrityError):
            nursery.move(**wrong)
        nursery.connection.rollback()


def test_a_reversal_is_not_reversed(nursery: Nursery) -> None:
    wrong = nursery.move("ajuste", 10, reason_description="found")
    undone = nursery.move("ajuste", -10, reason_description="not found", reverses_movement_id=wrong)

    with pytest.raises(IntegrityError, match="cannot be reversed"):
        nursery.move("ajuste", 10, reason_description="found after all", reverses_movement_id=undone)


def test_a_transfer_has_two_legs_that_balance_in_plants(nursery: Nursery) -> None:
    potted = add(
        nursery.connection,
        "stock_batches",
        batch_code="LOC1-PROD1-20260301-003",
        current_storage_bin_id=nursery.bin,
        product_id=nursery.product,
        product_state_id=add(nursery.connection, "product_states", code="SEEDLING", name="Seedling"),
    )
    nursery.move("sembrar", 9)
    bins = {"source_bin_id": nursery.bin, "destination_bin_id": nursery.bin}
    out_and_in = uuid.uuid4()
    nursery.move("transplante", -9, transfer_id=out_and_in, **bins)
    nursery.move("transplante", 3, batch_id=potted, plants_per_pot=3, transfer_id=out_and_in, **bins)
    nursery.connection.commit()

    nursery.move("transplante", -1, batch_id=potted, transfer_id=uuid.uuid4(), **bins)
    with pytest.raises(IntegrityError, match=r"has 1 legs and a balance of -1 plants"):
        nursery.connection.commit()


def test_a_batch_holds_the_sum_of_its_movements(nursery: Nursery) -> None:
    nursery.move("plantar", 10)
    nursery.connection.commit()

    nursery.connection.execute(text("UPDATE stock_batches SET quantity_current = 11"))
    with pytest.raises(IntegrityError, match="holds 11 but its movements sum to 10"):
        nursery.connection.commit()


def test_a_batch_never_holds_less_than_nothing(nursery: Nursery) -> None:
    nursery.move("plantar", 3)
    with pytest.raises(IntegrityError, match="ck_stock_batches_quantity_current"):
        nursery.move("ventas", -4)
