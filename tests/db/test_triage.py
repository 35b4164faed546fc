"""Where missing plants may have gone: weights that sum to one, and the check that would tell."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.flows import Flows
from db.models.vocabulary import LineVerdict
from db.reconciling import Boundary, Doubts, Line, LineKey, verdict_of
from db.triage import Cause, Triage, death_rates, triage

START = dt.datetime(2025, 9, 1, tzinfo=dt.UTC)
END = START + dt.timedelta(days=30)
NEXT_DOOR = {7: {8: 1.0}, 8: {7: 1.0}}


def line(opening: int, counted: int, **given: int) -> Line:
    spread, died = given.get("spread", 0), given.get("died", 0)
    sellable = bool(given.get("sellable", 1))
    key = LineKey(given.get("place", 7), "segment" if sellable else "plug", given.get("product", 1))
    first = Boundary(START, opening, max(0, opening - spread), opening + spread)
    last = Boundary(END, counted, max(0, counted - spread), counted + spread)
    flows = Flows(died=-died)
    verdict = verdict_of(first, flows, last, sellable=sellable, doubts=Doubts())
    return Line(key, first, flows, last, sellable, verdict)


def only(*lines: Line) -> Triage:
    return triage(lines, NEXT_DOOR)[0]


def weights(found: Triage) -> dict[Cause, float]:
    return {one.cause: round(one.weight, 2) for one in found.suspects}


def test_what_is_missing_from_what_is_sold_was_most_likely_sold() -> None:
    found = only(line(10_000, 9_500))

    assert found.suspects[0].cause is Cause.SALE
    assert found.check.cause is Cause.SALE  # the sales file would tell


def test_what_is_missing_from_trays_was_not_sold() -> None:
    found = only(line(288, 250, sellable=0))

    assert Cause.SALE not in weights(found)
    assert found.suspects[0].cause is Cause.DEATH


def test_a_product_that_often_dies_is_more_likely_to_have_died() -> None:
    usual, frail = line(1_000, 900), [line(1_000, 900), line(9_000, 6_000, died=3_000, place=9)]

    assert weights(only(usual))[Cause.DEATH] < weights(only(*frail))[Cause.DEATH]
    assert death_rates(frail)[1] > 10 * death_rates([usual])[1]


def test_the_opposite_gap_next_door_was_most_likely_moved_there() -> None:
    found = only(line(500, 400), line(300, 399, place=8))

    assert (found.suspects[0].cause, found.suspects[0].place_id) == (Cause.MOVED, 8)
    assert triage([line(500, 400), line(300, 399, place=8)], {})[0].suspects[0].cause is Cause.SALE


def test_neither_another_product_nor_a_gap_of_the_same_kind_is_a_move() -> None:
    for other in (
        line(300, 399, place=8, product=2),
        line(300, 200, place=8),
        line(300, 390, place=8, spread=80),
    ):
        assert Cause.MOVED not in weights(only(line(500, 400), other))


def test_a_gap_just_beyond_wide_counts_may_be_a_miscount() -> None:
    wide, narrow = line(1_000, 840, spread=100), line(1_000, 840, spread=10)

    assert weights(only(wide))[Cause.MISCOUNT] > 0.2
    assert weights(only(narrow))[Cause.MISCOUNT] < 0.05


def test_a_gain_came_from_somewhere_or_is_a_miscount() -> None:
    assert set(weights(only(line(100, 140)))) == {Cause.PLANTED, Cause.MISCOUNT}


def test_of_a_gap_with_one_likely_cause_that_one_is_to_be_confirmed() -> None:
    assert only(line(100, 200)).check.cause is Cause.PLANTED


def test_what_needs_no_explanation_is_not_triaged() -> None:
    same, within = line(100, 100), line(1_000, 990, spread=50)

    assert within.verdict is LineVerdict.INDISTINCT
    assert triage([same, within], NEXT_DOOR) == {}


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 500), st.booleans())
def test_weights_sum_to_one(opening: int, counted: int, spread: int, sellable: bool) -> None:
    one = line(opening, counted, spread=spread, sellable=sellable)
    for found in triage([one], NEXT_DOOR).values():
        assert sum(suspect.weight for suspect in found.suspects) == pytest.approx(1)
        assert found.check in found.suspects
