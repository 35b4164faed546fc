"""The arithmetic of prices, without a database."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.pricing import (
    Span,
    Terms,
    box_price,
    changed,
    cut,
    effective,
    money,
    overlay,
    rewritten,
    sku_of,
    terms_at,
)

D = Decimal
START = dt.date(2026, 1, 1)
DAYS = [START + dt.timedelta(days=n) for n in range(40)]


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("C R8 T -1", "CR8T1"),
        ("cr8t-1", "CR8T1"),
        ("S R5 B-4 ESP-1", "SR5B4ESP1"),
        ("IR8-1.0-Hmix", "IR81.0HMIX"),
        ("C R8\u00a0T–1", "CR8T1"),
        ("ＣＲ８", "CR8"),
    ],
)
def test_a_code_is_the_same_however_it_is_spaced(written: str, key: str) -> None:
    assert sku_of(written) == key


@pytest.mark.parametrize(
    ("exact", "rounded"),
    [("0.005", "0.01"), ("2.675", "2.68"), ("1.004", "1.00"), ("-0.005", "-0.01"), ("1200.505", "1200.51")],
)
def test_money_is_rounded_half_up(exact: str, rounded: str) -> None:
    assert money(D(exact)) == D(rounded)


@pytest.mark.parametrize(("step", "rounded"), [("1", "1068.00"), ("10", "1070.00"), ("50", "1050.00")])
def test_money_is_rounded_to_the_step_of_the_client(step: str, rounded: str) -> None:
    assert money(D(950) * D("1.124"), D(step)) == D(rounded)


def test_a_discount_of_twenty_percent_leaves_eighty() -> None:
    assert effective(D("1200.51"), D(20)) == D("960.41")
    assert effective(D("950.00"), D(0)) == D("950.00")
    assert effective(D("950.00"), D(100)) == D("0.00")


def test_a_box_costs_what_the_list_says_else_what_its_units_cost() -> None:
    assert box_price(Terms(D(7740), units_per_box=24)) == D("185760.00")
    assert box_price(Terms(D(7740), units_per_box=24, box_price=D(185860))) == D(185860)
    assert box_price(Terms(D(7740))) is None
    assert box_price(Terms(units_per_box=24)) is None


def test_a_price_that_is_not_there_stays_not_there() -> None:
    assert changed(Terms(D(100)), D(10), D(0)) == Terms(D("110.00"))
    assert changed(Terms(), D(10), D(5)) == Terms()


def test_a_box_price_of_its_own_rises_with_the_units_in_it() -> None:
    terms = Terms(D(100), units_per_box=24, box_price=D(2410))
    assert changed(terms, D(0), D(5), D(1)) == replace(terms, wholesale=D(105), box_price=D(2530))


@pytest.mark.parametrize(("percent", "amount"), [(-100, 0), (0, -100), (0, 10**11)])
def test_no_price_becomes_nothing_or_more_than_fits(percent: int, amount: int) -> None:
    with pytest.raises(ValueError, match="would become"):
        changed(Terms(D(100)), D(percent), D(amount))


def test_a_new_price_ends_the_one_before() -> None:
    old, new = Terms(D(950)), Terms(D(1000))
    assert overlay([Span(DAYS[0], None, old)], Span(DAYS[5], None, new)) == [
        Span(DAYS[0], DAYS[5], old),
        Span(DAYS[5], None, new),
    ]


def test_after_an_offer_the_old_price_is_back() -> None:
    old, offer = Terms(D(950)), Terms(D(800))
    assert overlay([Span(DAYS[0], None, old)], Span(DAYS[5], DAYS[9], offer)) == [
        Span(DAYS[0], DAYS[5], old),
        Span(DAYS[5], DAYS[9], offer),
        Span(DAYS[9], None, old),
    ]


def test_a_price_without_an_end_leaves_what_was_announced_for_later() -> None:
    old, new, later = Terms(D(950)), Terms(D(1000)), Terms(D(1100))
    announced = [Span(DAYS[0], DAYS[9], old), Span(DAYS[9], None, later)]
    assert overlay(announced, Span(DAYS[5], None, new)) == [
        Span(DAYS[0], DAYS[5], old),
        Span(DAYS[5], DAYS[9], new),
        Span(DAYS[9], None, later),
    ]


def test_the_past_is_not_rewritten_unnoticed() -> None:
    old = [Span(DAYS[2], None, Terms(D(950)))]
    dearer = Terms(D(1000))
    today = DAYS[10]
    assert rewritten(old, overlay(old, Span(DAYS[10], None, dearer)), today) is None
    assert rewritten(old, overlay(old, Span(DAYS[5], None, dearer)), today) == DAYS[5]
    assert rewritten(old, cut(old, DAYS[5]), today) == DAYS[5]
    assert rewritten(old, overlay(old, Span(DAYS[0], None, dearer)), today) is None  # nothing was known then


some_terms = st.integers(1, 3).map(lambda price: Terms(D(price)))
days = st.integers(0, 29).map(DAYS.__getitem__)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    start = draw(days)
    length = draw(st.one_of(st.none(), st.integers(1, 9)))
    return Span(start, None if length is None else start + dt.timedelta(days=length), draw(some_terms))


@given(st.lists(spans(), max_size=6), spans())
def test_a_new_price_holds_where_it_is_said_and_nowhere_else(earlier: list[Span], new: Span) -> None:
    before: list[Span] = []
    for span in earlier:
        before = overlay(before, span)
    after = overlay(before, new)

    later = [span.start for span in before if span.start > new.start and span.terms != new.terms]
    stop = new.stop if new.stop is not None else min(later, default=None)
    for day in DAYS:
        said = new.start <= day and (stop is None or day < stop)
        assert terms_at(after, day) == (new.terms if said else terms_at(before, day))
    assert overlay(after, new) == after  # saying it again changes nothing
    for left, right in pairwise(after):
        assert left.stop is not None
        assert left.start < left.stop <= right.start
        assert left.stop < right.start or left.terms != right.terms


@given(st.lists(spans(), max_size=5), days)
def test_what_ends_keeps_what_it_cost_before(told: list[Span], day: dt.date) -> None:
    before: list[Span] = []
    for span in told:
        before = overlay(before, span)
    after = cut(before, day)
    assert [terms_at(after, one) for one in DAYS] == [
        terms_at(before, one) if one < day else None for one in DAYS
    ]


@given(
    st.decimals("0.01", "9999999", places=2),
    st.decimals("-90", "99", places=2),
    st.sampled_from(["0.01", "1", "10"]),
)
def test_a_changed_price_is_the_nearest_multiple_of_the_step(price: D, percent: D, step: str) -> None:
    wanted = price * (100 + percent) / 100
    rounded = money(wanted, D(step))
    assert rounded % D(step) == 0
    assert abs(rounded - wanted) <= D(step) / 2
