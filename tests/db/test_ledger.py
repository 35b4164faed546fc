"""Counts as assertions: the pure rules, and the same books whatever the order of arrival."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from db.ledger import Assertion, Flow, corrections, differences


def day(number: float) -> dt.datetime:
    return dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=number)


def stock_after(assertions: list[Assertion], flows: list[Flow]) -> int:
    return sum(differences(assertions, flows).values()) + sum(flow.quantity for flow in flows)


def test_the_first_count_posts_everything_it_found() -> None:
    assert differences([Assertion(day(1), 7, 400)], []) == {7: 400}


def test_a_later_count_posts_only_the_difference_and_stock_equals_it() -> None:
    counts = [Assertion(day(1), 1, 400), Assertion(day(30), 2, 380)]

    assert differences(counts, []) == {1: 400, 2: -20}
    assert stock_after(counts, []) == 380


def test_recorded_movements_explain_part_of_the_difference() -> None:
    # 10,000 counted, 500 planted, 200 dead, 300 transplanted away, 9,500 counted: 500 are unexplained.
    counts = [Assertion(day(0), 1, 10_000), Assertion(day(30), 2, 9_500)]
    flows = [Flow(day(5), 500), Flow(day(10), -200), Flow(day(20), -300)]

    assert differences(counts, flows)[2] == -500
    assert stock_after(counts, flows) == 9_500


def test_a_back_dated_movement_leaves_the_count_standing() -> None:
    counts = [Assertion(day(0), 1, 100), Assertion(day(30), 2, 90)]
    before, after = differences(counts, []), differences(counts, [Flow(day(10), -4)])

    assert corrections(after, posted=before) == {2: 4}
    assert stock_after(counts, [Flow(day(10), -4)]) == 90


def test_a_movement_after_the_last_count_changes_the_stock() -> None:
    assert stock_after([Assertion(day(0), 1, 100)], [Flow(day(1), -30)]) == 70


def test_a_movement_at_the_very_moment_of_a_count_is_included_in_it() -> None:
    assert stock_after([Assertion(day(1), 1, 100)], [Flow(day(1), 30)]) == 100


def test_an_older_photo_that_arrives_late_does_not_move_todays_stock() -> None:
    newer, older = Assertion(day(30), 1, 90), Assertion(day(0), 2, 100)
    posted = differences([newer], [])
    due = corrections(differences([newer, older], []), posted)

    assert due == {2: 100, 1: -100}
    assert sum(posted.values()) + sum(due.values()) == 90


def test_of_two_counts_at_one_moment_the_later_recorded_holds() -> None:
    assert stock_after([Assertion(day(1), 1, 30), Assertion(day(1), 2, 40)], []) == 40


def test_a_count_that_is_no_longer_accepted_is_taken_back_whole() -> None:
    assert corrections(wanted={}, posted={5: 120}) == {5: -120}


moments = st.integers(0, 40).map(day)
counts_lists = st.lists(st.tuples(moments, st.integers(0, 500)), max_size=6).map(
    lambda items: [Assertion(at, number, quantity) for number, (at, quantity) in enumerate(items, start=1)]
)
flow_lists = st.lists(st.builds(Flow, moments, st.integers(-300, 300).filter(bool)), max_size=8)


@given(counts_lists, flow_lists)
def test_stock_is_the_last_count_plus_the_movements_after_it(
    counts: list[Assertion], flows: list[Flow]
) -> None:
    last = max(counts, default=None)
    after = [flow.quantity for flow in flows if last is None or flow.occurred_at > last.counted_at]

    assert stock_after(counts, flows) == (last.quantity if last else 0) + sum(after)


@given(counts_lists, flow_lists, st.randoms(use_true_random=False))
def test_the_books_are_the_same_in_whatever_order_things_arrive(counts, flows, random) -> None:
    arrivals: list[Assertion | Flow] = [*counts, *flows]
    random.shuffle(arrivals)
    known_counts: list[Assertion] = []
    known_flows: list[Flow] = []
    posted: dict[int, int] = {}
    for arrival in arrivals:
        if isinstance(arrival, Assertion):
            known_counts.append(arrival)
        else:
            known_flows.append(arrival)
        for count, quantity in corrections(differences(known_counts, known_flows), posted).items():
            posted[count] = posted.get(count, 0) + quantity

    wanted = differences(counts, flows)
    assert {count: quantity for count, quantity in posted.items() if quantity} == {
        count: quantity for count, quantity in wanted.items() if quantity
    }


@given(counts_lists, flow_lists)
def test_settling_twice_posts_nothing_more(counts: list[Assertion], flows: list[Flow]) -> None:
    wanted = differences(counts, flows)
    assert corrections(wanted, wanted) == {}
