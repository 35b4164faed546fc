"""Reconciling what is in the database: which counts, flows, places and doubts are read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, text

from db.errors import NotFound
from db.flows import Flows
from db.models.vocabulary import LineVerdict
from db.reconcile import reconcile_period
from db.reconciling import Line, LineKey, Period
from db.stock import settle
from tests.db.nursery import Nursery, add, build_nursery, session_of

START = dt.datetime(2025, 9, 1, 3, tzinfo=dt.UTC)
SEPTEMBER = Period(START, dt.datetime(2025, 10, 1, 3, tzinfo=dt.UTC))
OCTOBER = Period(SEPTEMBER.end, dt.datetime(2025, 11, 1, 3, tzinfo=dt.UTC))


def day(number: float) -> dt.datetime:
    return START + dt.timedelta(days=number - 1)


@pytest.fixture
def nursery(connection: Connection) -> Nursery:
    return build_nursery(connection)


def counted(nursery: Nursery, number: float, quantity: int, spread: int = 0, **values: object) -> int:
    """An accepted count on a day, in the books."""
    bounds = {"low": max(0, quantity - spread), "high": quantity + spread} if spread else {}
    given = {"status": "accepted", "counted_at": day(number)} | bounds | values
    found = nursery.count(quantity, **given)
    if given["status"] == "accepted":
        settle(nursery.connection, int(values.get("batch_id", nursery.batch)), nursery.user)  # type: ignore[call-overload]
    nursery.connection.commit()
    return found


def moved(nursery: Nursery, number: float, kind: str, quantity: int, **values: object) -> int:
    """A movement on a day, in the books, which counts taken later absorb."""
    reason = {"reason_description": "x"} if kind == "ajuste" else {}
    found = nursery.move(kind, quantity, occurred_at=day(number), **reason | values)
    settle(nursery.connection, int(values.get("batch_id", nursery.batch)), nursery.user)  # type: ignore[call-overload]
    nursery.connection.commit()
    return found


def reconciled(nursery: Nursery, period: Period = SEPTEMBER, places: Sequence[str] = ()) -> list[Line]:
    lines = reconcile_period(nursery.connection, period, places)
    nursery.connection.rollback()
    return lines


def test_the_worked_example(nursery: Nursery) -> None:
    counted(nursery, -1, 10_000)
    moved(nursery, 5, "plantar", 500)
    moved(nursery, 12, "muerte", -200)
    moved(nursery, 20, "ajuste", -300)
    counted(nursery, 29, 9_500)

    (line,) = reconciled(nursery)

    assert line.key == LineKey(nursery.location, "segment", nursery.product)
    assert line.flows == Flows(planted=500, died=-200, adjusted=-300)
    assert (line.expected, line.difference, line.inferred_sales) == (10_000, -500, 500)
    assert line.gaps == {nursery.batch: -500}


def test_only_accepted_counts_are_read(nursery: Nursery) -> None:
    counted(nursery, -1, 100)
    counted(nursery, 10, 5, status="proposed")
    counted(nursery, 20, 6, status="rejected")

    (line,) = reconciled(nursery)

    assert (line.verdict, line.expected) == (LineVerdict.MISSING_PHOTO, 100)


def test_the_month_of_a_count_is_the_sites_and_the_boundary_is_the_photo(nursery: Nursery) -> None:
    counted(nursery, 0.99, 100)  # a quarter of an hour before midnight in Mendoza
    counted(nursery, 29, 80)
    moved(nursery, 29.5, "muerte", -7)
    counted(nursery, 58, 70)

    assert [(line.difference, line.flows.died) for line in reconciled(nursery)] == [(-20, 0)]
    assert [(line.difference, line.flows.died) for line in reconciled(nursery, OCTOBER)] == [(-3, -7)]


def test_a_transfer_that_is_undone_leaves_no_trace(nursery: Nursery) -> None:
    import uuid

    counted(nursery, -1, 100)
    state = add(nursery.connection, "product_states", code="SEED", name="Seed", is_sellable=False)
    key = {"current_storage_bin_id": nursery.bin, "product_id": nursery.product, "product_state_id": state}
    other = add(nursery.connection, "stock_batches", batch_code="LOC1-PROD1-20260301-002", **key)
    out, back = uuid.uuid4(), uuid.uuid4()
    bins = {"source_bin_id": nursery.bin, "destination_bin_id": nursery.bin, "occurred_at": day(5)}
    legs = [
        nursery.move("transplante", -9, transfer_id=out, **bins),
        nursery.move("transplante", 9, batch_id=other, transfer_id=out, **bins),
    ]
    nursery.connection.commit()
    assert reconciled(nursery)[0].flows == Flows(sent=-9, received=9)  # states are folded

    nursery.move("transplante", 9, transfer_id=back, reverses_movement_id=legs[0], **bins)
    nursery.move("transplante", -9, batch_id=other, transfer_id=back, reverses_movement_id=legs[1], **bins)
    nursery.connection.commit()
    assert reconciled(nursery)[0].flows == Flows()


def test_a_lot_without_plants_that_nobody_photographed_is_not_missed(nursery: Nursery) -> None:
    counted(nursery, -20, 100)
    moved(nursery, -10, "ventas", -100)

    assert reconciled(nursery) == []


def test_a_lot_that_was_never_counted_lacks_its_photo(nursery: Nursery) -> None:
    moved(nursery, 3, "plantar", 40)

    (line,) = reconciled(nursery)
    assert (line.verdict, line.opening, line.difference) == (LineVerdict.MISSING_PHOTO, None, None)


def test_a_first_entry_of_older_books_is_a_baseline(nursery: Nursery) -> None:
    moved(nursery, -30, "manual_init", 400)
    moved(nursery, -20, "muerte", -10)
    counted(nursery, 29, 380)

    (line,) = reconciled(nursery)

    assert line.opening is not None
    assert (line.opening.at, line.opening.quantity) == (day(-30), 400)
    assert (line.flows, line.difference) == (Flows(died=-10), -10)


def test_what_grows_at_the_place_was_replaced(nursery: Nursery) -> None:
    other = nursery.connection.scalar(
        text(
            "INSERT INTO products (family_id, sku, common_name) SELECT family_id, 'NOT-HAS-001', 'haselberg'"
            " FROM products RETURNING id"
        )
    )
    growing = {"storage_location_id": nursery.location, "expected_product_state_id": nursery.state}
    configured = "storage_location_config"
    first = {"valid_from": day(-90), "valid_to": day(15), "active": False}
    add(nursery.connection, configured, product_id=nursery.product, **growing, **first)
    add(nursery.connection, configured, product_id=other, **growing, valid_from=day(15))
    counted(nursery, -1, 100)

    (line,) = reconciled(nursery)
    assert (line.verdict, line.expected) == (LineVerdict.CONFIG_CHANGED, 100)

    moved(nursery, 14, "ventas", -100)
    assert reconciled(nursery) == []


def test_a_photo_of_half_the_bed_infers_nothing(nursery: Nursery) -> None:
    whole, half = session_of(nursery), session_of(nursery)
    for session, size in ((whole, 900.0), (half, 400.0)):
        nursery.connection.execute(
            text("UPDATE photo_sessions SET bed_in_plants = :size WHERE id = :id"),
            {"size": size, "id": session},
        )
    counted(nursery, -1, 800, session_id=whole, source="foto")
    counted(nursery, 29, 390, session_id=half, source="foto")

    (line,) = reconciled(nursery)

    assert (line.verdict, line.difference) == (LineVerdict.PARTIAL, -410)
    assert line.coverage == pytest.approx(4 / 9)


def test_places_are_chosen_by_place_bed_or_bay(nursery: Nursery) -> None:
    counted(nursery, 10, 100)

    for code in ("N01", "n01-norte", "N01-NORTE-C07"):
        assert len(reconciled(nursery, places=[code])) == 1
    with pytest.raises(NotFound, match="N02"):
        reconciled(nursery, places=["N02"])


def test_reconciling_reads_one_index_range_per_lot(nursery: Nursery) -> None:
    """Not along the movements of all years: the plan of the one query that meets them."""
    from db.reconcile import FLOWS

    connection = nursery.connection
    connection.execute(text("SET LOCAL enable_seqscan = off"))  # two rows would be scanned
    arrays = {"batches": [nursery.batch], "after": [None], "until": [day(1)]}
    plan = connection.execute(text(f"EXPLAIN {FLOWS.text}"), arrays).scalars().all()

    assert any("Index Only Scan using ix_stock_movements_batch_id_occurred_at" in line for line in plan)
