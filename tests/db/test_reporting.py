"""Reports against figures that are worked out another way: in Python, from the raw rows."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, text

from db.errors import NotFound
from db.models.vocabulary import MovementType
from db.reporting.frame import Wanted
from db.reporting.stock_reports import MOST_STEPS, mortality, steps, summary, trend
from db.reporting.visits import photo_log, stale
from pipeline.interval import add
from tests.db.test_deciding import NOW, day, moved, photo

ZONE = ZoneInfo("America/Argentina/Mendoza")


def wanted(**more: Any) -> Wanted:
    return Wanted(**{"until": day(20), "since": day(-20), "zone": ZONE, **more})


@pytest.fixture
def history(demo: Connection) -> Connection:
    """One place over forty days: counted, grown, died, sold, counted again."""
    photo(demo, 500, -18, None)
    moved(demo, -10, MovementType.PLANTAR, 100)
    moved(demo, -5, MovementType.MUERTE, -30)
    moved(demo, 2, MovementType.MUERTE, -6)
    photo(demo, 570, 5, None)
    return demo


def ledger(connection: Connection) -> list[Any]:
    rows = connection.execute(
        text("SELECT movement_type, quantity, occurred_at FROM stock_movements ORDER BY occurred_at")
    ).all()
    connection.rollback()
    return list(rows)


def test_the_summary_is_the_ledgers_sum_and_its_bounds_those_of_the_last_count(history: Connection) -> None:
    found = summary(history, wanted())
    assert found.total is not None
    assert found.total["plants"] == sum(row.quantity for row in ledger(history)) == 570
    counts = history.execute(
        text("SELECT quantity, low, high FROM counts WHERE counted_at = :at AND status = 'accepted'"),
        {"at": day(5)},
    ).all()
    assert (found.total["low"], found.total["high"]) == add(tuple(row) for row in counts)
    for group in ("bay", "bed", "place", "product", "family", "category", "packaging", "size", "state"):
        by = summary(history, wanted(group=group))
        assert sum(row["plants"] for row in by.rows) == 570
        assert sum(row["share"] for row in by.rows) == pytest.approx(1)
    assert [row["group"] for row in summary(history, wanted()).rows] == ["N01"]


def test_what_is_asked_for_is_what_is_summed(history: Connection) -> None:
    assert summary(history, wanted(places=("N02",))).rows == ()
    assert summary(history, wanted(places=("N01-NORTE", "N02"))).total["plants"] == 570  # type: ignore[index]
    [line] = summary(history, wanted(group="product")).rows
    assert summary(history, wanted(products=(line["group"],))).total["plants"] == 570  # type: ignore[index]
    with pytest.raises(NotFound, match="there is no product, family or category 'Nothing'"):
        summary(history, wanted(products=("Nothing",)))
    with pytest.raises(NotFound, match="there is no place, bed or bay 'N77'"):
        summary(history, wanted(places=("N77",)))


def test_the_trend_is_the_ledger_up_to_each_midnight_of_the_site(history: Connection) -> None:
    rows = ledger(history)
    found = trend(history, wanted(step="day"))
    assert len(found.rows) == 41
    for line in found.rows:
        assert line["plants"] == sum(row.quantity for row in rows if row.occurred_at <= line["end"])
    changes = [line["change"] for line in found.rows[1:]]
    assert sum(changes) == found.rows[-1]["plants"] - found.rows[0]["plants"]
    assert found.rows[0]["change"] is None
    with pytest.raises(ValueError, match="steps are too many"):
        trend(history, wanted(step="day", since=day(-MOST_STEPS - 30)))


@pytest.mark.parametrize("step", ["day", "week", "month"])
def test_steps_end_at_midnights_of_the_site_and_with_the_period(step: str) -> None:
    ends = list(steps(wanted(step=step)))
    assert ends == sorted(set(ends))
    assert ends[-1] == day(20)
    for end in ends[:-1]:
        after = (end + dt.timedelta(microseconds=1)).astimezone(ZONE)
        assert (after.hour, after.minute, after.second) == (0, 0, 0)
        assert step != "week" or after.weekday() == 0
        assert step != "month" or after.day == 1


def test_mortality_is_deaths_by_what_stood_there_and_what_came_in(history: Connection) -> None:
    since = day(-12)
    found = mortality(history, wanted(since=since))
    opening = came_in = deaths = 0
    for row in ledger(history):
        if row.occurred_at <= since:
            opening += row.quantity
        elif row.movement_type == "muerte":
            deaths -= row.quantity
        elif row.quantity > 0 and row.movement_type not in ("transplante", "ventas"):
            came_in += row.quantity
    assert found.total is not None
    assert (found.total["opening"], found.total["inflow"], found.total["deaths"]) == (
        opening,
        came_in,
        deaths,
    )
    assert (opening, came_in, deaths) == (500, 106, 36)  # the second count found six more than the books
    assert found.total["rate"] == pytest.approx(36 / 606)
    nothing = mortality(history, wanted(places=("N02",)))
    assert nothing.rows == ()
    assert nothing.total is not None
    assert nothing.total["rate"] is None


def test_a_place_is_stale_after_so_many_days_and_one_that_was_never_counted_always(
    history: Connection,
) -> None:
    found = stale(history, wanted(days=14))
    places: dict[str, Any] = defaultdict(dict, {row["place"]: row for row in found.rows})
    assert places["N01-NORTE-C01"]["days"] == 15
    assert places["N01-NORTE-C01"]["plants"] == 570
    assert places["N02-SUR-C01"]["days"] is None
    assert "N01-NORTE-C01" not in {row["place"] for row in stale(history, wanted(days=15)).rows}
    assert len(found.rows) == 20


def test_the_photo_log_has_each_photo_of_the_period_once(history: Connection) -> None:
    photo(history, 580, 6, None)
    found = photo_log(history, wanted())
    assert [row["plants"] for row in found.rows] == [580, 570, 500]
    assert found.notes[0] == "3 of 3 photos were counted and booked."
    assert [row["plants"] for row in photo_log(history, wanted(until=day(0))).rows] == [500]
    assert day(0) == NOW
