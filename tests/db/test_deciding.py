"""Counts are proposed, accepted, rejected and corrected, in any order: the traps that others fell into."""

from __future__ import annotations

import datetime as dt
from itertools import permutations

import pytest
from sqlalchemy import Connection, func, select, text

from db import deciding, reports
from db.deciding import photo_counts, why_waiting
from db.engine import retry
from db.errors import AlreadyDecided, ClosedPeriod, Forbidden, NotFound
from db.models.stock import Count, StockBatch, StockMovement
from db.models.vocabulary import MovementType
from db.movements import Entry, book
from db.plausible import Counted, Expected, Limits, doubts
from db.runs import Policy, RunInfo, start_run
from db.stock import due_corrections, user_id
from db.undoing import undo
from pipeline.types import ContainerKind
from tests.db.counting import MODEL, count_photo
from tests.db.seen import a_photo, a_result

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
PLACE = "N01-NORTE-C01"
ALL = Limits(width=0.0, gain=0.0, loss=0.0)  # everything waits
SOME = Limits(width=0.25, gain=0.1, loss=0.35)


def day(number: float) -> dt.datetime:
    return NOW + dt.timedelta(days=number)


def begin(connection: Connection, limits: Limits | None = ALL) -> RunInfo:
    user = user_id(connection, "system@demeter.local")
    connection.rollback()
    return start_run(connection, "process", MODEL, "c0ffee", user, Policy(limits=limits))


def photo(
    connection: Connection,
    plants: int,
    number: float = 0,
    limits: Limits | None = ALL,
    warnings: tuple[str, ...] = (),
    content: str = "",
) -> int:
    """A photo of the place on a day, counted; its session."""
    run = begin(connection, limits)
    result = a_result(
        a_photo(content=content or f"{plants} on {number}"),
        {ContainerKind.SEGMENT: plants},
        taken_at=day(number),
        warnings=warnings,
    )
    return count_photo(connection, run, result, PLACE).session_id


def system(connection: Connection) -> int:
    found = user_id(connection, "system@demeter.local")
    connection.rollback()
    return found


def accept(connection: Connection, session: int) -> deciding.Decided:
    user = system(connection)
    return retry(connection, lambda: deciding.accept(connection, session, user))


def reject(connection: Connection, session: int) -> deciding.Decided:
    user = system(connection)
    return retry(connection, lambda: deciding.reject(connection, session, user, "not this bed"))


def adjust(connection: Connection, session: int, plants: int) -> deciding.Decided:
    user = system(connection)
    return retry(
        connection, lambda: deciding.adjust(connection, session, {None: plants}, user, "counted again")
    )


def moved(connection: Connection, number: float, kind: MovementType, plants: int) -> int:
    batch = connection.execute(select(StockBatch.id).order_by(StockBatch.id).limit(1)).scalar_one()
    user = system(connection)
    entry = Entry(
        movement_type=kind, where=batch, quantity=plants, occurred_at=day(number), user_id=user, reason="x"
    )
    return retry(connection, lambda: book(connection, [entry]))[0].id


def plants_at(connection: Connection, number: float | None = None) -> int:
    rows = reports.stock(connection, None if number is None else day(number), PLACE)
    connection.rollback()
    return sum(row.plants for row in rows)


def test_what_is_proposed_is_not_in_the_books_until_it_is_accepted(demo: Connection) -> None:
    session = photo(demo, 400)

    assert plants_at(demo) == 0
    assert [
        (row.session, row.place, row.plants, row.expected) for row in photo_counts(demo, waiting=True)
    ] == [(session, PLACE, 400, 0)]
    assert why_waiting(demo, session)
    demo.rollback()

    done = accept(demo, session)

    assert (done.place, done.plants, done.booked) == (PLACE, 400, 400)
    assert (plants_at(demo), plants_at(demo, -1)) == (400, 0)
    assert photo_counts(demo, waiting=True) == []
    validated = text("SELECT validated, validated_by_user_id FROM photo_sessions")
    assert demo.execute(validated).one() == (True, 1)


def test_two_counts_of_one_place_open_together_each_hold_at_their_time(demo: Connection) -> None:
    """Odoo applied both as deltas: 30 counted became 40."""
    photo(demo, 20, -30, None)
    first, second = photo(demo, 30, 0), photo(demo, 30, 1)

    accept(demo, second)
    accept(demo, first)

    assert (plants_at(demo, -1), plants_at(demo, 0), plants_at(demo)) == (20, 30, 30)


def test_the_order_of_decisions_and_movements_does_not_matter(demo_url: str) -> None:
    from db.engine import connect

    with connect(demo_url) as connection:
        photo(connection, 100, -40, None)
        sessions = [photo(connection, plants, number) for plants, number in ((90, -20), (95, -10), (70, 0))]
        outcomes = []
        for order in permutations(sessions):
            for session in order:
                accept(connection, session)
            outcomes.append([plants_at(connection, number) for number in (-30, -15, -5, 1)])
            for session in sessions:
                reject(connection, session)
            assert plants_at(connection) == 100

    assert outcomes == [[100, 90, 95, 70]] * 6


def test_a_movement_between_count_and_acceptance_comes_after_the_count(demo: Connection) -> None:
    """OCA's stock count was blocked without a word when stock had moved meanwhile."""
    photo(demo, 100, -30, None)
    session = photo(demo, 90, 0)
    moved(demo, 2, MovementType.MUERTE, -5)

    assert accept(demo, session).booked == -10
    assert (plants_at(demo, 0), plants_at(demo)) == (90, 85)


def test_a_count_while_stock_moves_is_ordered_by_time(demo: Connection) -> None:
    photo(demo, 100, -30, None)
    session = photo(demo, 90, 0)
    moved(demo, -1 / 24, MovementType.VENTAS, -10)  # an hour before the photo, booked after it
    moved(demo, 1 / 24, MovementType.PLANTAR, 7)
    accept(demo, session)

    assert (plants_at(demo, 0), plants_at(demo)) == (90, 97)
    assert due_corrections(demo, [1]) == {}


def test_a_receipt_dated_back_before_a_count_leaves_it_standing(demo: Connection) -> None:
    """In ERPNext the count no longer held."""
    photo(demo, 100, -30, None)
    accept(demo, photo(demo, 90, 0))
    receipt = moved(demo, -10, MovementType.PLANTAR, 40)

    assert (plants_at(demo, -5), plants_at(demo)) == (140, 90)
    user = system(demo)
    retry(demo, lambda: undo(demo, receipt, user))
    assert (plants_at(demo, -5), plants_at(demo)) == (100, 90)


def test_a_decision_about_a_closed_month_is_refused_and_a_reversal_goes_to_the_open_one(
    demo: Connection,
) -> None:
    photo(demo, 100, -40, None)
    waiting = photo(demo, 90, -35)
    died = moved(demo, -38, MovementType.MUERTE, -4)
    close = text(
        "INSERT INTO periods (month, timezone, ends_at, hash, movements, counts, evidence, closed_by_user_id)"
        " VALUES ('2026-01-01', 'UTC', '2026-02-01', decode(repeat('00', 32), 'hex'), 0, 0, 0, 1)"
    )
    demo.execute(close)
    demo.commit()

    with pytest.raises(ClosedPeriod, match="2026-01"):
        accept(demo, waiting)
    demo.rollback()
    before = plants_at(demo, -30)
    user = system(demo)
    retry(demo, lambda: undo(demo, died, user))
    assert plants_at(demo, -30) == before
    assert plants_at(demo) == 100


def test_history_outlives_an_empty_place(demo: Connection) -> None:
    """InvenTree deleted what reached zero."""
    photo(demo, 40, -30, None)
    moved(demo, -20, MovementType.VENTAS, -40)
    assert (plants_at(demo), plants_at(demo, -25)) == (0, 40)

    accept(demo, photo(demo, 15, 0))  # some stood behind
    assert (plants_at(demo), plants_at(demo, -25)) == (15, 40)
    assert demo.scalar(select(func.count()).select_from(StockMovement)) == 3


def test_a_rejected_count_is_forgotten_and_kept(demo: Connection) -> None:
    session = photo(demo, 400, 0, None)

    done = reject(demo, session)

    assert (done.plants, done.booked, plants_at(demo)) == (None, -400, 0)
    assert demo.scalar(select(Count.quantity).where(Count.status == "rejected")) == 400
    demo.rollback()
    assert (accept(demo, session).booked, plants_at(demo)) == (400, 400)  # it was right after all


def test_a_correction_stands_in_place_of_what_the_photo_said(demo: Connection) -> None:
    session = photo(demo, 400, 0, None)

    assert adjust(demo, session, 430).booked == 30
    assert adjust(demo, session, 425).booked == -5

    rows = demo.execute(select(Count.source, Count.status, Count.quantity).order_by(Count.id)).all()
    assert rows == [("foto", "rejected", 400), ("manual", "rejected", 430), ("manual", "accepted", 425)]
    chain = text("SELECT count_id, decision, replacement_count_id FROM count_decisions ORDER BY id")
    assert demo.execute(chain).all() == [(1, "adjusted", 2), (2, "adjusted", 3)]
    (row,) = reports.stock(demo)
    assert (row.plants, row.low, row.high) == (425, 425, 425)
    demo.rollback()
    assert reject(demo, session).booked == -425


def test_a_proposal_may_be_corrected_at_once(demo: Connection) -> None:
    assert adjust(demo, photo(demo, 400), 390).booked == 390
    assert plants_at(demo) == 390


def test_a_new_count_of_a_photo_that_a_person_corrected_waits(demo: Connection) -> None:
    session = photo(demo, 400, 0, None)
    adjust(demo, session, 430)
    user = system(demo)
    run = start_run(demo, "process", ("plant-2", "b" * 64), "c0ffee", user, Policy())
    result = a_result(a_photo(content="400 on 0"), {ContainerKind.SEGMENT: 410}, taken_at=day(0))

    again = count_photo(demo, run, result, PLACE)

    assert (again.posted, plants_at(demo)) == (None, 430)
    assert why_waiting(demo, again.session_id) == ["a person corrected an earlier count of this photo"]


def test_another_state_in_the_same_pots_is_counted_with_the_configured_one(demo: Connection) -> None:
    photo(demo, 100, -30, None)
    state = demo.scalar(text("SELECT id FROM product_states WHERE code = 'FLOWERING'"))
    demo.execute(text("UPDATE storage_location_config SET expected_product_state_id = :id"), {"id": state})
    demo.commit()

    photo(demo, 98, 0, None)

    assert (plants_at(demo, -1), plants_at(demo)) == (100, 98)


def test_what_was_dated_back_while_a_count_waited_is_seen_by_it(demo: Connection) -> None:
    photo(demo, 100, -30, None)
    session = photo(demo, 90, 0)
    state = demo.scalar(text("SELECT id FROM product_states WHERE code = 'FLOWERING'"))
    demo.execute(
        text(
            "INSERT INTO stock_batches (batch_code, current_storage_bin_id, product_id,"
            " product_state_id, product_size_id, packaging_catalog_id) SELECT 'OTHER-1',"
            " current_storage_bin_id, product_id, :state, product_size_id, packaging_catalog_id"
            " FROM stock_batches LIMIT 1"
        ),
        {"state": state},
    )
    other = demo.scalar(text("SELECT id FROM stock_batches WHERE batch_code = 'OTHER-1'"))
    demo.commit()
    user = system(demo)
    entry = Entry(
        movement_type=MovementType.PLANTAR, where=other or 0, quantity=8, occurred_at=day(-5), user_id=user
    )
    retry(demo, lambda: book(demo, [entry]))

    accept(demo, session)

    assert (plants_at(demo, -1), plants_at(demo)) == (108, 90)


def test_decisions_are_a_supervisors_and_about_what_there_is(demo: Connection) -> None:
    session = photo(demo, 400)
    demo.execute(
        text(
            "INSERT INTO users (email, first_name, last_name, role) VALUES"
            " ('luis@vivero.ar', 'Luis', 'P', 'worker'), ('eva@vivero.ar', 'Eva', 'P', 'admin')"
        )
    )
    demo.commit()
    worker = user_id(demo, "luis@vivero.ar")
    demo.rollback()
    with pytest.raises(Forbidden, match=r"luis@vivero.ar is worker"):
        retry(demo, lambda: deciding.accept(demo, session, worker))
    boss = user_id(demo, "eva@vivero.ar")
    demo.rollback()
    with pytest.raises(NotFound, match="there is no photo 999"):
        retry(demo, lambda: deciding.accept(demo, 999, boss))
    retry(demo, lambda: deciding.accept(demo, session, boss))
    with pytest.raises(AlreadyDecided, match=f"the count of photo {session} was accepted on"):
        retry(demo, lambda: deciding.accept(demo, session, boss))
    with pytest.raises(NotFound, match="the photo counts no box, only segment"):
        retry(demo, lambda: deciding.adjust(demo, session, {"box": 5}, boss, "x"))


def test_photos_are_booked_unseen_unless_limits_are_set(demo: Connection) -> None:
    photo(demo, 400, 0, None, warnings=("46 of 372 plants stand outside every container",))

    assert plants_at(demo) == 400


def test_within_the_limits_photos_are_booked_unseen(demo: Connection) -> None:
    photo(demo, 400, 0, SOME)
    photo(demo, 380, 20, SOME)
    assert plants_at(demo) == 380

    photo(demo, 700, 25, SOME)
    (waits,) = photo_counts(demo, waiting=True)
    assert (plants_at(demo), waits.expected) == (380, 380)
    assert waits.notes == "it shows 700 where the books have 380, and nothing booked came"


@pytest.mark.parametrize(
    ("counted", "expected", "words"),
    [
        (Counted(400, 380, 420), None, []),
        (Counted(400, 380, 420, warned=True), None, ["the photo carries a warning"]),
        (Counted(400, 200, 420), None, ["its interval is ±50%, and ±25% is the limit"]),
        (Counted(0, 0, 3), None, ["its interval is ±100%, and ±25% is the limit"]),
        (Counted(0, 0, 0), None, []),
        (Counted(400, 380, 420), Expected(400, 30), []),
        (Counted(400, 380, 420), Expected(340, 30), ["it shows 400 where the books have 340"]),
        (Counted(250, 240, 260), Expected(400, 30), []),  # 35 % of 400 may go in thirty days
        (Counted(250, 240, 260), Expected(410, 30), ["it shows 250 where the books have 410"]),
        (Counted(250, 240, 260), Expected(410, 60), []),
    ],
)
def test_plants_do_not_multiply_and_go_slowly(
    counted: Counted, expected: Expected | None, words: list[str]
) -> None:
    found = list(doubts(counted, expected, SOME))

    assert [sentence[: len(word)] for sentence, word in zip(found, words, strict=True)] == words
