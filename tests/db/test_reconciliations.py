"""Posting: sales get a name, stock stays what was counted, and running again changes nothing."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select, text

from db.batches import Lot, Spot
from db.engine import retry
from db.errors import AlreadyReconciled, ClosedPeriod, Forbidden, InsufficientStock
from db.models.reconciliations import ReconciliationLine, ReconciliationPosting
from db.models.stock import StockMovement
from db.models.vocabulary import LineVerdict, MovementType
from db.movements import Entry, book
from db.reconciliations import Posted, Standing, post, standing
from db.reconciling import Period
from db.stock import due_corrections
from db.undoing import undo
from tests.db.nursery import Nursery, add, build_nursery
from tests.db.test_reconcile import OCTOBER, SEPTEMBER, counted, day


@pytest.fixture
def nursery(connection: Connection) -> Nursery:
    found = build_nursery(connection)
    connection.execute(text("UPDATE users SET role = 'supervisor' WHERE email = 'ana@vivero.ar'"))
    connection.execute(text("UPDATE storage_bin_types SET is_default = true"))
    connection.commit()
    return found


def posted(nursery: Nursery, period: Period = SEPTEMBER, *, gains: bool = False) -> Posted:
    return retry(nursery.connection, lambda: post(nursery.connection, period, nursery.user, gains=gains))


def only(nursery: Nursery, period: Period = SEPTEMBER) -> Standing:
    (found,) = standing(nursery.connection, period)
    nursery.connection.rollback()
    return found


def booked(nursery: Nursery, number: float, kind: MovementType, quantity: int, **values: object) -> int:
    entry = Entry(
        movement_type=kind,
        where=int(values.get("batch", nursery.batch)),  # type: ignore[call-overload]
        quantity=quantity,
        occurred_at=day(number),
        user_id=nursery.user,
        reason="x",
    )
    (found,) = retry(nursery.connection, lambda: book(nursery.connection, [entry]))
    return found.id


def stock(nursery: Nursery, moment: dt.datetime | None = None) -> int:
    until = text("true") if moment is None else StockMovement.occurred_at <= moment
    found = nursery.connection.scalar(
        select(func.sum(StockMovement.quantity)).where(StockMovement.batch_id == nursery.batch, until)
    )
    nursery.connection.rollback()
    return int(found or 0)


def by_type(nursery: Nursery) -> dict[str, int]:
    rows = nursery.connection.execute(
        select(StockMovement.movement_type, func.sum(StockMovement.quantity))
        .group_by(StockMovement.movement_type)
        .order_by(StockMovement.movement_type)
    )
    found = {kind: int(plants) for kind, plants in rows if plants}
    nursery.connection.rollback()
    return found


def rows_in(nursery: Nursery) -> list[int]:
    tables = (StockMovement, ReconciliationLine, ReconciliationPosting)
    found = [nursery.connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables]
    nursery.connection.rollback()
    return found


def movement_of(nursery: Nursery, kind: str) -> int:
    found = nursery.connection.scalars(
        select(StockMovement.id).where(StockMovement.movement_type == kind)
    ).one()
    nursery.connection.rollback()
    return found


def worked_example(nursery: Nursery) -> None:
    counted(nursery, -1, 10_000)
    booked(nursery, 5, MovementType.PLANTAR, 500)
    booked(nursery, 12, MovementType.MUERTE, -200)
    booked(nursery, 20, MovementType.AJUSTE, -300)
    counted(nursery, 29, 9_500)


def test_the_worked_example_books_500_sales_and_stock_stays_what_was_counted(nursery: Nursery) -> None:
    worked_example(nursery)
    before = by_type(nursery)

    done = posted(nursery)

    assert (done.sold, done.new, done.restated, done.adjusted) == (500, 1, 0, 0)
    assert before == {"ajuste": -300, "foto": 9_500, "muerte": -200, "plantar": 500}
    # The count had posted −500 as unexplained; now they are sales.
    assert by_type(nursery) == {
        "ajuste": -300,
        "foto": 10_000,
        "muerte": -200,
        "plantar": 500,
        "ventas": -500,
    }
    assert stock(nursery) == 9_500
    assert stock(nursery, day(28)) == 10_000
    assert due_corrections(nursery.connection, [nursery.batch]) == {}
    nursery.connection.rollback()
    source = select(StockMovement.source_type, StockMovement.occurred_at).where(
        StockMovement.movement_type == "ventas"
    )
    assert nursery.connection.execute(source).all() == [("calculated", day(29))]


def test_running_twice_changes_nothing(nursery: Nursery) -> None:
    worked_example(nursery)
    posted(nursery)
    before = rows_in(nursery)

    assert posted(nursery) == Posted(None, 0, 0, 1, 0, 0)
    assert rows_in(nursery) == before
    again = only(nursery)
    assert (again.line.inferred_sales, again.posted, again.restated) == (500, -500, False)


def test_a_movement_that_comes_late_restates_the_difference_and_nothing_else(nursery: Nursery) -> None:
    worked_example(nursery)
    posted(nursery)
    booked(nursery, 15, MovementType.MUERTE, -50)

    late = only(nursery)
    assert (late.restated, late.earlier, late.line.difference, late.posted) == (True, -500, -450, -500)
    assert stock(nursery) == 9_500

    done = posted(nursery)

    assert (done.new, done.restated, done.sold) == (0, 1, 450)
    assert by_type(nursery) == {
        "ajuste": -300,
        "foto": 10_000,
        "muerte": -250,
        "plantar": 500,
        "ventas": -450,
    }
    assert (stock(nursery), only(nursery).posted, only(nursery).restated) == (9_500, -450, False)
    versions = select(ReconciliationLine.version, ReconciliationLine.posted).order_by(ReconciliationLine.id)
    assert [tuple(row) for row in nursery.connection.execute(versions)] == [(1, -500), (2, -450)]


def test_a_sale_within_the_error_is_kept_as_a_line_and_not_booked(nursery: Nursery) -> None:
    counted(nursery, -1, 1_000, 30)
    counted(nursery, 29, 960, 40)

    assert posted(nursery).sold == 0
    assert (only(nursery).line.verdict, "ventas" in by_type(nursery)) == (LineVerdict.INDISTINCT, False)


def test_a_loss_from_trays_is_an_adjustment_and_never_a_sale(nursery: Nursery) -> None:
    nursery.connection.execute(text("UPDATE storage_bin_types SET sellable = false"))
    counted(nursery, -1, 288)
    counted(nursery, 29, 250)

    done = posted(nursery)

    assert (done.sold, done.adjusted) == (0, -38)
    assert by_type(nursery) == {"ajuste": -38, "foto": 288}


def test_a_gain_is_booked_only_when_a_supervisor_accepts_it(nursery: Nursery) -> None:
    counted(nursery, -1, 100)
    counted(nursery, 29, 130)

    assert posted(nursery).adjusted == 0
    assert posted(nursery, gains=True).adjusted == 30
    assert by_type(nursery) == {"ajuste": 30, "foto": 100}
    assert posted(nursery).reconciliation is None  # accepted once, it stays
    assert stock(nursery) == 130


def test_a_sale_taken_back_by_hand_does_not_come_back_by_itself(nursery: Nursery) -> None:
    worked_example(nursery)
    posted(nursery)
    sale = movement_of(nursery, "ventas")
    retry(nursery.connection, lambda: undo(nursery.connection, sale, nursery.user))

    assert (only(nursery).line.difference, only(nursery).posted) == (-500, 0)
    assert posted(nursery).reconciliation is None
    assert (stock(nursery), "ventas" in by_type(nursery)) == (9_500, False)


def test_a_longer_period_counts_what_was_posted_as_sold(nursery: Nursery) -> None:
    worked_example(nursery)
    counted(nursery, 59, 9_400)
    posted(nursery)
    both = Period(SEPTEMBER.start, OCTOBER.end)

    assert (only(nursery, both).line.flows.sold, only(nursery, both).line.difference) == (-500, -100)
    assert posted(nursery, both).sold == 100
    assert by_type(nursery)["ventas"] == -600


def test_what_a_longer_period_posted_is_not_inferred_again(nursery: Nursery) -> None:
    worked_example(nursery)
    counted(nursery, 59, 9_400)
    assert posted(nursery, Period(SEPTEMBER.start, OCTOBER.end)).sold == 600

    with pytest.raises(AlreadyReconciled, match=r"N01-NORTE-C07: reconciliation 1, of 2025-09-01"):
        posted(nursery)
    assert by_type(nursery)["ventas"] == -600


def test_a_closing_count_that_is_rejected_takes_its_sales_with_it(nursery: Nursery) -> None:
    worked_example(nursery)
    posted(nursery)
    nursery.connection.execute(
        text(
            "UPDATE counts SET status = 'rejected', decided_by_user_id = :user, decided_at = now()"
            " WHERE quantity = 9500"
        ),
        {"user": nursery.user},
    )
    nursery.connection.commit()

    done = posted(nursery)

    assert (done.restated, only(nursery).line.verdict) == (1, LineVerdict.MISSING_PHOTO)
    assert (stock(nursery), "ventas" in by_type(nursery)) == (10_000, False)


def test_a_closed_month_is_not_posted_into(nursery: Nursery) -> None:
    worked_example(nursery)
    close(nursery, SEPTEMBER)
    before = rows_in(nursery)

    with pytest.raises(ClosedPeriod, match="2025-09"):
        posted(nursery)
    assert rows_in(nursery) == before


def close(nursery: Nursery, period: Period) -> None:
    nursery.connection.execute(
        text(
            "INSERT INTO periods (month, timezone, ends_at, hash, movements, counts, evidence,"
            " closed_by_user_id) VALUES (:month, 'America/Argentina/Mendoza', :ends, :hash, 0, 0, 0, :user)"
        ),
        {"month": period.start.date(), "ends": period.end, "hash": b"0" * 32, "user": nursery.user},
    )
    nursery.connection.commit()


def test_a_reversal_of_a_closed_month_holds_as_of_what_it_takes_back(nursery: Nursery) -> None:
    worked_example(nursery)
    died = movement_of(nursery, "muerte")
    posted(nursery)
    close(nursery, SEPTEMBER)
    retry(nursery.connection, lambda: undo(nursery.connection, died, nursery.user))
    counted(nursery, 58, 9_480)

    assert only(nursery, OCTOBER).line.difference == -20
    late = only(nursery)
    assert (late.restated, late.earlier, late.line.difference) == (True, -500, -700)


def test_a_worker_may_look_and_not_post(nursery: Nursery) -> None:
    worked_example(nursery)
    nursery.connection.execute(text("UPDATE users SET role = 'worker'"))
    nursery.connection.commit()

    assert only(nursery).line.inferred_sales == 500
    with pytest.raises(Forbidden, match=r"ana@vivero.ar is worker"):
        posted(nursery)


def test_a_folded_line_books_its_sales_from_the_batch_that_lacks_them(nursery: Nursery) -> None:
    lot = Lot(nursery.product, add(nursery.connection, "product_states", code="JUV", name="J"), None, None)
    nursery.connection.commit()
    entry = Entry(
        movement_type=MovementType.PLANTAR,
        where=Spot(nursery.location, "segment", lot),
        quantity=60,
        occurred_at=day(-5),
        user_id=nursery.user,
    )
    (young,) = retry(nursery.connection, lambda: book(nursery.connection, [entry]))
    counted(nursery, -1, 100)
    counted(nursery, 29, 30)
    counted(nursery, 29, 55, batch_id=young.batch_id)

    assert only(nursery).line.difference == -75
    assert posted(nursery).sold == 75
    sales = select(StockMovement.batch_id, StockMovement.quantity).where(
        StockMovement.movement_type == "ventas"
    )
    assert sorted(tuple(row) for row in nursery.connection.execute(sales)) == [
        (nursery.batch, -70),
        (young.batch_id, -5),
    ]


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.integers(-9, 29), st.integers(0, 200)),
        st.tuples(st.just("plantar"), st.integers(-9, 29), st.integers(1, 60)),
        st.tuples(st.just("muerte"), st.integers(-9, 29), st.integers(1, 60)),
        st.tuples(st.just("post"), st.just(0), st.just(0)),
    ),
    min_size=2,
    max_size=8,
    unique_by=lambda event: event[:2] if event[0] == "count" else object(),
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EVENTS)
def test_posting_at_any_time_gives_the_same_books(
    nursery: Nursery, events: list[tuple[str, int, int]]
) -> None:
    """Whenever reconciliations are posted in between, at the end the books are those of posting once."""
    assert _play(nursery, events, keep_posts=True) == _play(nursery, events, keep_posts=False)


def _play(nursery: Nursery, events: list[tuple[str, int, int]], *, keep_posts: bool) -> object:
    place = nursery.connection.scalar(text("SELECT count(*) FROM storage_locations")) or 0
    code = f"N01-NORTE-X{place}"
    location = add(nursery.connection, "storage_locations", storage_area_id=1, code=code, name=code)
    nursery.connection.commit()
    spot = Spot(location, "segment", Lot(nursery.product, nursery.state, None, None))
    entry = {"where": spot, "user_id": nursery.user, "reason": "x"}
    first = Entry(movement_type=MovementType.PLANTAR, quantity=100, occurred_at=day(-10), **entry)
    (made,) = retry(nursery.connection, lambda: book(nursery.connection, [first]))
    for kind, number, quantity in events:
        if kind == "post" and not keep_posts:
            continue
        with suppress(InsufficientStock):
            if kind == "count":
                counted(nursery, number, quantity, batch_id=made.batch_id, location_id=location)
            elif kind == "post":
                retry(nursery.connection, lambda: post(nursery.connection, SEPTEMBER, nursery.user, [code]))
            else:
                plants = -quantity if kind == "muerte" else quantity
                moment = day(number + 0.5)
                later = Entry(movement_type=MovementType(kind), quantity=plants, occurred_at=moment, **entry)
                retry(nursery.connection, lambda later=later: book(nursery.connection, [later]))
        nursery.connection.rollback()
    retry(nursery.connection, lambda: post(nursery.connection, SEPTEMBER, nursery.user, [code]))
    again = retry(nursery.connection, lambda: post(nursery.connection, SEPTEMBER, nursery.user, [code]))
    assert again.reconciliation is None
    found = standing(nursery.connection, SEPTEMBER, [code])
    history = nursery.connection.execute(
        text(
            "SELECT occurred_at, movement_type = 'foto', sum(quantity) FROM stock_movements"
            " WHERE batch_id = :batch GROUP BY 1, 2 HAVING sum(quantity) <> 0 ORDER BY 1, 2"
        ),
        {"batch": made.batch_id},
    ).all()
    nursery.connection.rollback()
    return [(one.line.difference, one.line.verdict, one.posted) for one in found], [tuple(h) for h in history]
