"""From a stock figure to its count, photo, models and movements; now, earlier, and as it was known then."""

from __future__ import annotations

import datetime as dt
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from db.errors import AlreadyDecided, InsufficientStock, NotFound
from db.evidence import AsOf, Explained, explain, stock_at
from db.models.vocabulary import MovementType
from tests.db.test_deciding import PLACE, accept, adjust, day, moved, photo, plants_at, reject

NOW = AsOf()
numbers = count(1)


def now(connection: Connection) -> dt.datetime:
    """By the server's clock, between two transactions."""
    connection.rollback()
    found = connection.execute(select(func.clock_timestamp())).scalar_one()
    connection.rollback()
    return found


def only(connection: Connection, when: AsOf = NOW) -> Explained:
    (found,) = explain(connection, PLACE, when)
    connection.rollback()
    return found


def test_a_figure_rests_on_its_count_its_photo_and_what_moved_since(demo: Connection) -> None:
    session = photo(demo, 400, 0, None)
    moved(demo, 2, MovementType.MUERTE, -5)
    sold = moved(demo, 3, MovementType.VENTAS, -20)

    found = only(demo)

    assert (found.lot.place, found.lot.plants, found.lot.counted, found.lot.moved) == (PLACE, 375, 400, -25)
    assert [(one.type, one.quantity) for one in found.since] == [("muerte", -5), ("ventas", -20)]
    assert (found.since[1].id, found.since[1].user) == (sold, "system@demeter.local")
    asserted = found.count
    assert asserted is not None
    assert (asserted.quantity, asserted.source, asserted.posted, asserted.replaces) == (
        400,
        "foto",
        400,
        None,
    )
    assert asserted.low is not None
    assert (found.lot.low, found.lot.high) == (asserted.low - 25, (asserted.high or 0) - 25)
    assert asserted.photo is not None
    assert (asserted.photo.session, asserted.photo.seen, asserted.photo.hidden) == (session, 400, 0)
    assert (asserted.photo.model_sha256, asserted.photo.config_hash) == ("a" * 64, "c0ffee")
    assert (asserted.photo.storage_key or "").startswith("original/")


def test_a_correction_leads_to_the_photo_that_it_replaces(demo: Connection) -> None:
    adjust(demo, photo(demo, 400, 0, None), 430)

    found = only(demo).count

    assert found is not None
    assert (found.quantity, found.source, found.notes, found.photo) == (430, "manual", "counted again", None)
    assert found.replaces is not None
    assert found.replaces.photo is not None
    assert (found.replaces.quantity, found.replaces.photo.seen) == (400, 400)


def test_earlier_stock_rests_on_the_count_before(demo: Connection) -> None:
    photo(demo, 400, -30, None)
    moved(demo, -20, MovementType.PLANTAR, 10)
    photo(demo, 380, 0, None)

    earlier = only(demo, AsOf(day(-10)))
    assert (earlier.lot.plants, earlier.lot.counted, earlier.lot.moved) == (410, 400, 10)
    assert only(demo, AsOf(day(1))).lot.plants == 380
    assert explain(demo, PLACE, AsOf(day(-40))) == []


def test_what_was_known_then_is_not_what_is_known_now(demo: Connection) -> None:
    photo(demo, 400, -30, None)
    knew = now(demo)
    moved(demo, -20, MovementType.MUERTE, -50)

    assert only(demo, AsOf(day(-10))).lot.plants == 350
    assert only(demo, AsOf(day(-10), knew)).lot.plants == 400
    assert only(demo, AsOf(day(-10), knew)).since == ()


def test_a_count_that_was_rejected_since_held_until_then(demo: Connection) -> None:
    session = photo(demo, 400, -30, None)
    before = now(demo)
    reject(demo, session)
    between = now(demo)
    accept(demo, session)

    assert only(demo).lot.plants == 400
    assert explain(demo, PLACE, AsOf(None, between)) == []
    demo.rollback()
    assert (only(demo, AsOf(None, before)).lot.plants) == 400


def test_a_correction_was_not_known_before_it_was_made(demo: Connection) -> None:
    session = photo(demo, 400, 0, None)
    before = now(demo)
    adjust(demo, session, 430)

    then = only(demo, AsOf(None, before))
    assert (then.lot.plants, then.lot.counted, then.count and then.count.source) == (400, 400, "foto")
    assert only(demo).lot.plants == 430


def test_what_was_never_counted_is_the_sum_of_what_moved(demo: Connection) -> None:
    session = photo(demo, 40, 0, None)
    moved(demo, 1, MovementType.PLANTAR, 60)
    reject(demo, session)

    found = only(demo)
    assert (found.lot.plants, found.lot.low, found.lot.counted, found.count) == (60, None, None, None)
    assert sum(one.quantity for one in found.since) == 60


def test_places_are_chosen_by_place_bed_or_bay(demo: Connection) -> None:
    photo(demo, 40, 0, None)

    for code in ("N01", "n01-norte", PLACE):
        assert [lot.plants for lot in stock_at(demo, code, AsOf())] == [40]
    assert stock_at(demo, "N02", AsOf()) == []
    with pytest.raises(NotFound, match="N77"):
        stock_at(demo, "N77", AsOf())


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["photo", "plantar", "muerte", "reject"]), st.integers(-40, 0), st.integers(1, 300)
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda event: event[1],
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EVENTS, st.integers(-40, 1))
def test_count_and_movements_since_make_the_figure_at_any_time(
    demo: Connection, events: list[tuple[str, int, int]], asked: int
) -> None:
    """Also by what was known half way, which is what the books said then."""
    sessions = [photo(demo, 500, -50, None, content=str(next(numbers)))]
    half, said = now(demo), plants_at(demo, asked)
    for kind, number, plants in events:
        try:
            if kind == "photo":
                sessions.append(photo(demo, plants, number, None, content=str(next(numbers))))
            elif kind == "reject" and len(sessions) > 1:
                reject(demo, sessions.pop())
            elif kind in ("plantar", "muerte"):
                moved(demo, number + 0.5, MovementType(kind), plants if kind == "plantar" else -plants)
        except (InsufficientStock, AlreadyDecided):  # what the books would not take needs no rejection
            demo.rollback()
    for when in (AsOf(), AsOf(day(asked)), AsOf(day(asked), half)):
        for one in explain(demo, PLACE, when):
            assert (one.lot.counted or 0) + sum(moved.quantity for moved in one.since) == one.lot.plants
    then = sum(lot.plants for lot in stock_at(demo, PLACE, AsOf(day(asked), half)))
    demo.rollback()
    assert then == said
