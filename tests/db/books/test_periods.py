"""Closed months: what they refuse, what becomes of late truths, and how changes behind their back show."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from db.batches import Spot
from db.engine import connect, retry
from db.errors import ClosedPeriod, LedgerRefused
from db.models.stock import Count, StockMovement
from db.models.vocabulary import MovementType
from db.movements import Booked, Entry, book
from db.periods import close, closed_months, damages, open_months
from db.seals import canonical
from db.stock import lot_at
from db.undoing import undo
from db.verify import findings
from tests.conftest import _copied, _url_of
from tests.db.counting import place

MENDOZA = ZoneInfo("America/Argentina/Mendoza")
JANUARY, FEBRUARY, MARCH = (dt.date(2026, month, 1) for month in (1, 2, 3))


def on(month: int, day: int, hour: int = 12) -> dt.datetime:
    return dt.datetime(2026, month, day, hour, tzinfo=MENDOZA)


class Site:
    """A place, a batch, and short words for what is booked there."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        found = place(connection, "N01-NORTE-C01")
        lot = lot_at(connection, found.id, on(1, 1))
        connection.rollback()
        assert lot is not None
        self.spot = Spot(found.id, "segment", lot)

    def book(self, kind: MovementType, quantity: int, at: dt.datetime) -> Booked:
        entry = Entry(movement_type=kind, where=self.spot, quantity=quantity, occurred_at=at, user_id=1)
        return retry(self.connection, lambda: book(self.connection, [entry]))[0]

    def close(self, month: dt.date, key: bytes | None = None) -> None:
        retry(self.connection, lambda: close(self.connection, month, MENDOZA, 1, key))

    def stock(self, at: dt.datetime) -> int:
        moved = self.connection.scalars(
            select(StockMovement.quantity).where(StockMovement.occurred_at <= at)
        ).all()
        self.connection.rollback()
        return sum(moved)

    def found(self, key: bytes | None = None) -> list[str]:
        found = [f"{one.month:%Y-%m} {one.what} {one.problem}" for one in damages(self.connection, key)]
        self.connection.rollback()
        return found


@pytest.fixture
def site(server: str, demo_template: str) -> Iterator[Site]:
    """100 plants counted by hand on 5 January, 10 of which died on the 20th."""
    with _copied(server, demo_template) as name, connect(_url_of(server, name)) as connection:
        site = Site(connection)
        site.book(MovementType.MANUAL_INIT, 100, on(1, 5))
        site.book(MovementType.MUERTE, -10, on(1, 20))
        yield site


def test_a_month_ends_when_it_does_at_the_site(site: Site) -> None:
    site.book(MovementType.MUERTE, -1, on(1, 31, 23))
    site.close(JANUARY)
    assert [(one.movements, one.counts) for one in closed_months(site.connection)] == [(3, 1)]
    site.connection.rollback()
    site.book(MovementType.MUERTE, -1, on(2, 1, 0))
    with pytest.raises(ClosedPeriod, match=r"closed up to and including 2026-01: nothing dated 2026-01-31"):
        site.book(MovementType.MUERTE, -1, on(1, 31, 23))


def test_the_database_itself_refuses_whatever_is_dated_in_a_closed_month(site: Site) -> None:
    site.close(JANUARY)
    connection = site.connection
    with pytest.raises(DBAPIError, match="stock_movements at 2026-01-31"), connection.begin():
        connection.execute(
            text(
                "INSERT INTO stock_movements (batch_id, movement_type, destination_bin_id, quantity, user_id,"
                " source_type, occurred_at) SELECT id, 'plantar', current_storage_bin_id, 1, 1, 'manual',"
                " '2026-01-31 12:00Z' FROM stock_batches"
            )
        )
    count = {"location_id": site.spot.location_id, "batch_id": 1, "user_id": 1, "source": "manual"}
    with pytest.raises(DBAPIError, match="counts at 2026-01-31"), connection.begin():
        connection.execute(insert(Count).values(count | {"counted_at": on(1, 31), "quantity": 5}))
    with pytest.raises(DBAPIError, match="counts at 2026-01-05"), connection.begin():
        connection.execute(update(Count).values(status="rejected"))
    for statement in ("UPDATE periods SET movements = 0", "DELETE FROM period_entries"):
        with pytest.raises(DBAPIError, match="append-only"), connection.begin():
            connection.execute(text(statement))
    assert site.found() == []


def test_months_are_closed_in_order_when_they_are_over_and_once(site: Site) -> None:
    assert open_months(site.connection, MARCH, MENDOZA) == [JANUARY, FEBRUARY, MARCH]
    site.connection.rollback()
    with pytest.raises(LedgerRefused, match="2999-01 is not over yet"):
        site.close(dt.date(2999, 1, 1))
    site.close(JANUARY)
    with pytest.raises(LedgerRefused, match="2026-03 is not next: 2026-02 is next"):
        site.close(MARCH)
    with pytest.raises(LedgerRefused, match="2026-01 is closed already"):
        site.close(JANUARY)


def test_a_count_that_nobody_decided_on_keeps_its_month_open(site: Site) -> None:
    with site.connection.begin():
        count = {"location_id": site.spot.location_id, "batch_id": 1, "user_id": 1, "source": "manual"}
        site.connection.execute(insert(Count).values(count | {"counted_at": on(1, 25), "quantity": 5}))
    with pytest.raises(LedgerRefused, match="1 counts up to 2026-01 are neither accepted nor rejected"):
        site.close(JANUARY)
    retry(site.connection, lambda: close(site.connection, JANUARY, MENDOZA, 1, undecided=True))


def test_an_undo_from_a_closed_month_is_dated_at_the_beginning_of_the_open_one(site: Site) -> None:
    site.close(JANUARY)
    death = 2
    [undone] = retry(site.connection, lambda: undo(site.connection, death, 1))
    assert (undone.before, undone.after) == (90, 100)
    assert [site.stock(at) for at in (on(1, 31, 23), on(2, 1, 0))] == [90, 100]
    assert list(findings(site.connection)) == []


def test_an_undo_does_not_move_what_a_later_count_in_the_closed_month_has_found(site: Site) -> None:
    """The death that was none is taken back, and the count after it stands: it explains ten more."""
    counted = counted_at(site, on(1, 31), 88)
    site.close(JANUARY)
    [undone] = retry(site.connection, lambda: undo(site.connection, 2, 1))
    assert (undone.before, undone.after) == (88, 88)
    rows = site.connection.execute(
        select(StockMovement.movement_type, StockMovement.quantity, StockMovement.count_id)
        .where(StockMovement.occurred_at >= on(2, 1, 0))
        .order_by(StockMovement.id)
    ).all()
    site.connection.rollback()
    assert rows == [("muerte", 10, None), ("foto", -10, counted)]
    assert list(findings(site.connection)) == []


def test_a_first_count_of_a_closed_month_stands(site: Site) -> None:
    site.close(JANUARY)
    with pytest.raises(ClosedPeriod):
        retry(site.connection, lambda: undo(site.connection, 1, 1))


def test_a_late_truth_before_a_count_of_an_open_month_leaves_it_standing(site: Site) -> None:
    counted_at(site, on(2, 20), 80)
    site.close(JANUARY)
    late = site.book(MovementType.MUERTE, -4, on(2, 10))
    assert (late.before, late.after) == (80, 80)
    assert site.stock(on(2, 15)) == 86


CHANGES = {
    "UPDATE stock_movements SET reason_description = 'x' WHERE id = 2": "movement 2 was changed",
    "UPDATE stock_movements SET occurred_at = occurred_at + interval '1 microsecond' WHERE id = 2":
    "movement 2 was changed",
    "UPDATE stock_movements SET occurred_at = '2026-02-01 12:00Z' WHERE id = 2":
    "movement 2 is gone, or was dated into another month",
    "DELETE FROM stock_movements WHERE id = 2": "movement 2 is gone, or was dated into another month",
    "UPDATE counts SET notes = 'x'": "count 1 was changed",
    "INSERT INTO counts (id, location_id, batch_id, source, counted_at, quantity, user_id)"
    " SELECT 99, location_id, batch_id, source, '2026-01-09 12:00Z', 5, user_id FROM counts":
    "count 99 was added after the month was closed",
    "UPDATE periods SET closed_by_user_id = 2 WHERE month = '2026-01-01'":
    "seal does not fit what it seals: the period or its list was changed",
    "UPDATE period_entries SET sha256 = sha256('x') WHERE kind = 'movement' AND row_id = 2":
    "movement 2 was changed",
    "UPDATE periods SET hash = sha256('x') WHERE month = '2026-01-01'":
    "seal does not fit what it seals: the period or its list was changed",
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_changed_later_is_found_and_named(site: Site, change: str) -> None:
    site.close(JANUARY)
    site.close(FEBRUARY)
    assert site.found() == []
    with site.connection.begin():
        site.connection.execute(text("SET LOCAL session_replication_role = replica"))
        site.connection.execute(text(change))
    assert f"2026-01 {CHANGES[change]}" in site.found()


def test_who_seals_a_month_anew_breaks_the_chain_and_has_no_key(site: Site) -> None:
    site.close(JANUARY, b"the key of the site")
    site.close(FEBRUARY, b"the key of the site")
    assert site.found(b"the key of the site") == []
    assert len(site.found(b"another key")) == 2
    with site.connection.begin():
        site.connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in (
            "UPDATE stock_movements SET quantity = -9 WHERE id = 2",
            "DELETE FROM period_entries USING periods WHERE period_id = periods.id AND month = '2026-01-01'",
            "DELETE FROM periods WHERE month = '2026-01-01'",
            "UPDATE periods SET previous_id = NULL, previous_hash = NULL WHERE month = '2026-02-01'",
        ):
            site.connection.execute(text(statement))
    assert any("2026-02 seal does not fit" in one for one in site.found())


def test_the_canonical_text_is_what_it_always_was() -> None:
    """To change it is to make every closed month look damaged."""
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 60, MENDOZA)
    values = ["demeter-x-1", 7, None, True, "maceta é\n", moment, moment.date(), b"\x01\xff"]
    assert canonical(values).decode() == (
        '["demeter-x-1",7,null,true,"maceta é\\n","2026-01-02T06:04:05.000060Z","2026-01-02","01ff"]'
    )


def counted_at(site: Site, at: dt.datetime, quantity: int) -> int:
    from db.stock import settle

    def work() -> int:
        count = site.connection.execute(
            insert(Count)
            .values(
                location_id=site.spot.location_id,
                batch_id=1,
                source="manual",
                status="accepted",
                counted_at=at,
                quantity=quantity,
                user_id=1,
            )
            .returning(Count.id)
        ).scalar_one()
        settle(site.connection, 1, 1)
        return count

    return retry(site.connection, work)
