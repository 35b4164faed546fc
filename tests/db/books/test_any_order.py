"""Movements, counts, undos, back-datings and closings in any order: the books say what happened, and every
rule of theirs holds after each step."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from db.batches import Spot
from db.engine import connect, retry
from db.errors import AlreadyUndone, ClosedPeriod, InsufficientStock
from db.models.vocabulary import MovementType
from db.movements import Entry, book
from db.periods import close, damages, hold_periods
from db.seals import seals_of
from db.stock import PhotoCount, Tally, book_photo_count, lot_at, reject_counts, settle_all
from db.undoing import undo
from db.verify import findings
from tests.db.books.account import Account, Counted, Moved
from tests.db.counting import place
from tests.db.nursery import Nursery, session_of

UTC = ZoneInfo("UTC")
NEW_YEAR = dt.datetime(2026, 1, 1, 12, tzinfo=UTC)
PLACES = ("N01-NORTE-C01", "N01-SUR-C03")  # configured for the same lot
MONTHS = [dt.date(2026, month, 1) for month in (1, 2, 3)]
days, plants, spots = st.integers(0, 99), st.integers(1, 60), st.sampled_from((0, 1))

# As nobody else may: with triggers off.
FORGET = """
    SET session_replication_role = replica;
    TRUNCATE stock_movements, counts, stock_batches, storage_bins, periods, period_entries CASCADE;
    SET session_replication_role = origin;
"""


class Books(RuleBasedStateMachine):
    """The books, beside a simple account of the same."""

    url = ""
    movements: Bundle[int] = Bundle("movements")
    sessions: Bundle[int] = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.opened = connect(self.url)
        self.connection = self.opened.__enter__()
        self.connection.execute(text(FORGET))
        self.connection.commit()
        found = [place(self.connection, code) for code in PLACES]
        lot = lot_at(self.connection, found[0].id, NEW_YEAR)
        self.connection.rollback()
        assert lot is not None
        self.lot, self.user = lot, 1
        self.spots = [Spot(one.id, "segment", lot) for one in found]
        self.account = Account()
        self.seals: list[dict[tuple[str, int], bytes]] = []

    def teardown(self) -> None:
        self.opened.__exit__(None, None, None)

    @rule(target=movements, where=spots, day=days, quantity=plants)
    def plant(self, where: int, day: int, quantity: int) -> Any:
        return self.book((MovementType.PLANTAR, where, day, quantity))

    @rule(target=movements, where=spots, day=days, quantity=plants, sold=st.booleans())
    def lose(self, where: int, day: int, quantity: int, sold: bool) -> Any:
        kind = MovementType.VENTAS if sold else MovementType.MUERTE
        return self.book((kind, where, day, -quantity))

    @rule(target=movements, where=spots, day=days, quantity=plants, dead=st.integers(0, 3))
    def carry(self, where: int, day: int, quantity: int, dead: int) -> Any:
        legs = [
            (MovementType.TRANSPLANTE, where, day, -quantity),
            (MovementType.TRANSPLANTE, 1 - where, day, quantity),
        ]
        return self.book(*legs, *([(MovementType.MUERTE, where, day, -dead)] if dead else []))

    def book(self, *legs: tuple[MovementType, int, int, int]) -> Any:
        transfer = uuid.uuid4() if len(legs) > 1 else None
        at = NEW_YEAR + dt.timedelta(days=legs[0][2])
        entries = [
            Entry(
                movement_type=kind,
                where=self.spots[where],
                quantity=quantity,
                occurred_at=at,
                user_id=self.user,
                transfer_id=transfer,
            )
            for kind, where, _, quantity in legs
        ]
        booked = self.attempt(
            lambda: book(self.connection, entries),
            self.account.with_moved(Moved(where, at, quantity, 0) for _, where, _, quantity in legs),
            closed=self.account.is_closed(at),
        )
        if booked is None:
            return multiple()
        number = booked[-1].id
        self.account = self.account.with_moved(
            Moved(where, at, quantity, number) for _, where, _, quantity in legs
        )
        return number

    @rule(movement=movements)
    def take_back(self, movement: int) -> None:
        if all(one.booking != movement for one in self.account.moved):
            with pytest.raises(AlreadyUndone):
                retry(self.connection, lambda: undo(self.connection, movement, self.user))
            return
        after = self.account.without_booking(movement)
        if self.attempt(lambda: undo(self.connection, movement, self.user), after, closed=False):
            self.account = after

    @rule(target=sessions, where=spots, day=days, quantity=st.integers(0, 90))
    def count(self, where: int, day: int, quantity: int) -> Any:
        at = NEW_YEAR + dt.timedelta(days=day)
        nursery = Nursery(self.connection, *(0,) * 7)
        session = retry(self.connection, lambda: session_of(nursery))
        tally = {"segment": Tally(quantity, quantity, quantity)}
        photo = PhotoCount(session, self.spots[where].location_id, at, self.user, tally)
        after = self.account.with_counted(Counted(where, at, session, quantity))
        done = self.attempt(
            lambda: [book_photo_count(self.connection, photo, self.lot)],
            after,
            closed=self.account.is_closed(at),
        )
        if done is None:
            return multiple()
        self.account = after
        return session

    @rule(session=sessions)
    def reject(self, session: int) -> None:
        counted = [one for one in self.account.counted if one.number == session]
        after = self.account.without_count(session)
        closed = any(self.account.is_closed(one.at) for one in counted)

        def work() -> list[bool]:
            settle_all(self.connection, reject_counts(self.connection, session, self.user), self.user)
            return [True]

        if self.attempt(work, after, closed=closed):
            self.account = after

    @rule()
    def close_the_next_month(self) -> None:
        if len(self.seals) == len(MONTHS):
            return
        month = MONTHS[len(self.seals)]
        retry(self.connection, lambda: close(self.connection, month, UTC, self.user))
        self.account = Account(
            self.account.moved, self.account.counted, hold_periods(self.connection), self.account.places
        )
        self.connection.rollback()
        self.seals.append(self.sealed(len(self.seals)))

    def attempt(self, work: Callable[[], list[Any]], after: Account, *, closed: bool) -> list[Any] | None:
        """Do it, and see it refused exactly where the month is closed or plants would be lacking."""
        refusal = ClosedPeriod if closed else InsufficientStock if after.lacks() else None
        if refusal is None:
            return retry(self.connection, work)
        with pytest.raises(refusal):
            retry(self.connection, work)
        return None

    def sealed(self, index: int) -> dict[tuple[str, int], bytes]:
        ends = [dt.datetime.combine(dt.date(2026, month.month + 1, 1), dt.time.min, UTC) for month in MONTHS]
        found = seals_of(self.connection, (ends[index - 1] if index else None, ends[index]))
        self.connection.rollback()
        return found

    @invariant()
    def the_books_say_what_happened(self) -> None:
        rows = self.connection.execute(
            text(
                "SELECT storage_location_id, sum(quantity_current), sum((SELECT sum(quantity) FROM"
                " stock_movements WHERE batch_id = batch.id)) FROM stock_batches AS batch"
                " JOIN storage_bins AS bin ON bin.id = batch.current_storage_bin_id GROUP BY 1"
            )
        )
        held = {location: (current, moved or 0) for location, current, moved in rows}
        self.connection.rollback()
        for where, spot in enumerate(self.spots):
            expected = self.account.held(where)
            assert held.get(spot.location_id, (0, 0)) == (expected, expected)

    @invariant()
    def every_rule_holds_and_closed_months_are_as_they_were(self) -> None:
        assert list(findings(self.connection)) == []
        assert list(damages(self.connection)) == []
        self.connection.rollback()
        assert [self.sealed(index) for index in range(len(self.seals))] == self.seals


@pytest.fixture
def machine(module_url: str) -> Iterator[type[Books]]:
    yield type("Books", (Books,), {"url": module_url})


def test_any_sequence_gives_the_books_that_the_facts_give(machine: type[Books]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=14,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
