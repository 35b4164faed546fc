"""What became of the plants between two counts: the worked example, each edge case, and properties."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from db.flows import Flows, Span, flow
from db.ledger import Assertion, Flow, differences
from db.models.vocabulary import LineVerdict, MovementType
from db.reconciling import (
    Case,
    Doubts,
    Line,
    LineKey,
    Observed,
    Period,
    allocate,
    reconcile,
    sum_of_differences,
)

START = dt.datetime(2025, 9, 1, 3, tzinfo=dt.UTC)  # midnight in Mendoza
SEPTEMBER = Period(START, dt.datetime(2025, 10, 1, 3, tzinfo=dt.UTC))
OCTOBER = Period(SEPTEMBER.end, dt.datetime(2025, 11, 1, 3, tzinfo=dt.UTC))
SEGMENT = LineKey(7, "segment", 42)
BATCH = 1

SURE = Doubts()

Moved = tuple[float, str, int]  # day of September, type, quantity


def day(number: float) -> dt.datetime:
    """Day 1 begins with September; days before it are August's."""
    return START + dt.timedelta(days=number - 1)


def counted(number: float, quantity: int, spread: int = 0, **values: int) -> Observed:
    """A count on a day, right to within `spread` plants."""
    bounds = (max(0, quantity - spread), quantity + spread) if spread else (None, None)
    return Observed(
        values.get("batch", BATCH), day(number), values.get("id", int(number * 10 + 1000)), quantity, *bounds
    )


def line(
    counts: Iterable[Observed],
    moved: Iterable[Moved] = (),
    period: Period = SEPTEMBER,
    doubts: Doubts = SURE,
    *,
    sellable: bool = True,
) -> Line:
    by_batch: dict[int, list[Observed]] = {BATCH: []}
    for one in counts:
        by_batch.setdefault(one.batch, []).append(one)
    case = Case(SEGMENT, by_batch, sellable, period)
    return reconcile(case, {span: flows_in(span, moved) for span in case.spans()}, doubts)


def flows_in(span: Span, moved: Iterable[Moved]) -> Flows:
    inside = [
        flow(kind, quantity)
        for number, kind, quantity in moved
        if span.batch == BATCH
        and (span.after is None or day(number) > span.after)
        and day(number) <= span.until
    ]
    return sum(inside, Flows())


def test_the_worked_example() -> None:
    # 10,000 counted, 500 planted, 200 dead, 300 transplanted away, 9,500 counted: 500 were sold.
    found = line(
        [counted(-1, 10_000), counted(29, 9_500)],
        [(5, "plantar", 500), (12, "muerte", -200), (20, "transplante", -300)],
    )

    assert found.flows == Flows(planted=500, died=-200, sent=-300)
    assert (found.expected, found.difference, found.bounds) == (10_000, -500, (-500, -500))
    assert (found.verdict, found.inferred_sales) == (LineVerdict.SALE, 500)


def test_nothing_missing_is_no_sale_but_still_a_line() -> None:
    found = line([counted(-1, 100), counted(29, 90)], [(9, "muerte", -10)])

    assert (found.verdict, found.difference, found.inferred_sales) == (LineVerdict.BALANCED, 0, 0)


def test_more_plants_than_expected_is_a_gain_to_explain_and_no_sale() -> None:
    found = line([counted(-1, 100, 5), counted(29, 140, 6)])

    assert (found.verdict, found.difference, found.bounds) == (LineVerdict.GAIN, 40, (32, 48))
    assert found.inferred_sales == 0


def test_a_gap_within_the_error_of_the_counts_is_indistinct() -> None:
    # ±30 and ±40 make ±50.
    assert line([counted(-1, 1000, 30), counted(29, 955, 40)]).bounds == (-95, 5)
    assert line([counted(-1, 1000, 30), counted(29, 955, 40)]).verdict is LineVerdict.INDISTINCT
    assert line([counted(-1, 1000, 30), counted(29, 950, 40)]).verdict is LineVerdict.INDISTINCT
    assert line([counted(-1, 1000, 30), counted(29, 949, 40)]).verdict is LineVerdict.SALE


def test_what_is_indistinct_is_carried_forward_and_shows_over_two_months() -> None:
    counts = [counted(-1, 1000, 30), counted(29, 960, 40), counted(59, 920, 30)]
    both = Period(SEPTEMBER.start, OCTOBER.end)

    assert [line(counts, period=month).verdict for month in (SEPTEMBER, OCTOBER)] == [
        LineVerdict.INDISTINCT,
        LineVerdict.INDISTINCT,
    ]
    assert (line(counts, period=both).verdict, line(counts, period=both).difference) == (
        LineVerdict.SALE,
        -80,
    )


def test_without_a_baseline_nothing_is_inferred_and_the_count_becomes_one() -> None:
    counts = [counted(20, 400), counted(50, 380)]

    assert line(counts).verdict is LineVerdict.NO_BASELINE
    assert line(counts).difference is None
    assert line(counts, period=OCTOBER).difference == -20


def test_a_first_hand_entry_is_a_baseline() -> None:
    entered = Observed(BATCH, day(3), 1, None)
    found = line([entered, counted(29, 380)], [(3, "manual_init", 400), (10, "muerte", -5)])

    assert found.opening is not None
    assert (found.opening.at, found.opening.quantity) == (day(3), 400)
    assert (found.flows, found.difference) == (Flows(died=-5), -15)


def test_without_a_count_at_the_end_a_photo_is_missing() -> None:
    found = line([counted(-1, 100)], [(5, "muerte", -3), (40, "muerte", -50)])

    assert (found.verdict, found.expected, found.difference) == (LineVerdict.MISSING_PHOTO, 97, None)


def test_a_product_replaced_in_the_period_is_flagged_and_nothing_is_inferred() -> None:
    changed = Doubts(config_changed=True)

    assert line([counted(-1, 100)], doubts=changed).verdict is LineVerdict.CONFIG_CHANGED
    counts = [counted(-1, 100), counted(29, 0)]
    assert line(counts, doubts=changed).verdict is LineVerdict.CONFIG_CHANGED
    # What was moved out and sold explicitly leaves nothing to explain.
    closed = [(10.0, "transplante", -60), (11.0, "ventas", -40)]
    assert line(counts, closed, doubts=changed).verdict is LineVerdict.BALANCED


def test_what_is_missing_from_trays_is_a_loss_and_never_a_sale() -> None:
    found = line([counted(-1, 288), counted(29, 250)], sellable=False)

    assert (found.verdict, found.difference, found.inferred_sales) == (LineVerdict.LOSS, -38, 0)


def test_recorded_sales_are_subtracted_first() -> None:
    found = line([counted(-1, 100), counted(29, 60)], [(8, "ventas", -30)])

    assert (found.flows.sold, found.expected, found.inferred_sales) == (-30, 70, 10)


def test_counts_are_no_flow() -> None:
    found = line([counted(-1, 100), counted(29, 60)], [(29, "foto", -40)])

    assert (found.flows, found.difference) == (Flows(), -40)


def test_of_several_photos_the_last_one_counts_and_the_others_change_nothing() -> None:
    ends = [counted(-1, 100), counted(29, 60)]

    assert line([*ends, counted(10, 95), counted(20, 130)]) == line(ends)


def test_the_first_photo_of_a_period_opens_it_where_there_is_none_before() -> None:
    found = line([counted(2, 100), counted(15, 90), counted(29, 60)])

    assert found.opening is not None
    assert (found.opening.at, found.difference) == (day(2), -40)


def test_a_movement_after_the_photo_belongs_to_the_next_period() -> None:
    counts = [counted(-1, 100), counted(28, 90), counted(58, 50)]
    late = [(29.5, "muerte", -10)]

    assert line(counts, late).flows == Flows()
    assert (line(counts, late, OCTOBER).flows.died, line(counts, late, OCTOBER).difference) == (-10, -30)


def test_a_movement_at_the_very_moment_of_a_photo_is_included_in_it() -> None:
    counts = [counted(-1, 100), counted(28, 110)]

    assert line(counts, [(28, "plantar", 10)]).difference == 0
    assert line(counts, [(-1, "plantar", 10)]).difference == 10


def test_a_movement_entered_late_changes_only_the_difference() -> None:
    counts = [counted(-1, 100), counted(29, 60)]
    before, after = line(counts), line(counts, [(9, "muerte", -15)])

    assert (before.inferred_sales, after.inferred_sales) == (40, 25)
    assert (before.opening, before.closing) == (after.opening, after.closing)


def test_a_photo_of_part_of_the_bed_infers_nothing() -> None:
    counts = [counted(-1, 100), counted(29, 40)]

    assert line(counts, doubts=Doubts(coverage=0.45)).verdict is LineVerdict.PARTIAL
    assert line(counts, doubts=Doubts(coverage=0.9)).verdict is LineVerdict.SALE


def test_photos_every_three_months_belong_to_the_month_of_the_closing_one() -> None:
    counts = [counted(-1, 100), counted(59, 60)]

    assert line(counts).verdict is LineVerdict.MISSING_PHOTO
    assert line(counts, period=OCTOBER).inferred_sales == 40


def test_states_are_folded_and_a_change_of_state_is_no_sale() -> None:
    juvenile, adult = 1, 2
    counts = [
        counted(-1, 100, batch=juvenile),
        counted(29, 0, batch=juvenile),
        counted(29, 98, batch=adult),
    ]
    found = line(counts)

    assert (found.difference, found.gaps) == (-2, {juvenile: -100, adult: 98})
    assert allocate(-2, found.gaps) == {juvenile: -2}


def test_a_batch_that_was_not_counted_with_the_others_is_carried_along() -> None:
    # The second batch was counted earlier, and lost 5 until the boundary.
    other = [counted(-20, 50, 10, batch=2)]
    case = Case(SEGMENT, {1: [counted(-1, 100), counted(29, 90)], 2: other}, True, SEPTEMBER)
    died = flow("muerte", -5)
    found = reconcile(case, {Span(2, day(-20), day(-1)): died, Span(2, day(-20), day(29)): died})

    assert found.opening is not None
    assert (found.opening.quantity, found.opening.low, found.opening.high) == (145, 135, 155)
    assert found.difference == -10


def test_a_reversal_takes_away_where_its_original_was_added() -> None:
    out, back = flow("transplante", -9), flow("transplante", 9, arrives=False)

    assert out + back == Flows()
    assert flow("transplante", 9) == Flows(received=9)


NON_FOTO = [kind.value for kind in MovementType if kind is not MovementType.FOTO]
DAYS = st.integers(-300, 590).map(lambda tenth: tenth / 10)
QUANTITIES = st.integers(0, 500)
COUNTS = st.lists(
    st.tuples(DAYS, QUANTITIES, st.integers(0, 60)), min_size=1, max_size=6, unique_by=lambda one: one[0]
).map(lambda rows: [counted(at, quantity, spread, id=n) for n, (at, quantity, spread) in enumerate(rows)])
MOVES = st.lists(st.tuples(DAYS, st.sampled_from(NON_FOTO), st.integers(-50, 50)), max_size=8)


@given(COUNTS, MOVES)
def test_the_difference_is_what_the_counts_posted(counts: list[Observed], moved: list[Moved]) -> None:
    found = line(counts, moved)
    posted = differences(
        [Assertion(one.at, one.id, one.quantity or 0) for one in counts],
        [Flow(day(number), quantity) for number, _, quantity in moved],
    )
    if found.opening is None or found.closing is None:
        assert found.inferred_sales == 0
        return
    between = [one.id for one in counts if found.opening.at < one.at <= found.closing.at]
    assert found.difference == sum(posted[number] for number in between)


@given(COUNTS, MOVES, st.randoms())
def test_the_order_of_arrival_does_not_matter(counts: list[Observed], moved: list[Moved], rng) -> None:
    shuffled, moved_otherwise = counts.copy(), moved.copy()
    rng.shuffle(shuffled)
    rng.shuffle(moved_otherwise)

    assert line(shuffled, moved_otherwise) == line(counts, moved)


@given(COUNTS, MOVES)
def test_two_months_add_up_to_both(counts: list[Observed], moved: list[Moved]) -> None:
    both = line(counts, moved, Period(SEPTEMBER.start, OCTOBER.end))
    parts = [line(counts, moved, month).difference for month in (SEPTEMBER, OCTOBER)]

    if any(one.at < START for one in counts) and None not in parts:
        assert both.difference == sum(part or 0 for part in parts)


@given(COUNTS, MOVES)
def test_a_sale_is_never_within_the_error(counts: list[Observed], moved: list[Moved]) -> None:
    found = line(counts, moved)

    assert found.inferred_sales >= 0
    if found.bounds is not None:
        low, high = found.bounds
        assert low <= (found.difference or 0) <= high
        assert (found.verdict is LineVerdict.SALE) == (high < 0)


@given(COUNTS, MOVES, st.integers(1, 40))
def test_a_wider_count_never_makes_a_sale_of_what_was_none(
    counts: list[Observed], moved: list[Moved], wider: int
) -> None:
    found = line(counts, moved)
    doubtful = [
        replace(one, low=max(0, (one.low or 0) - wider), high=(one.high or one.quantity or 0) + wider)
        for one in counts
    ]
    if line(doubtful, moved).verdict is LineVerdict.SALE:
        assert found.verdict is LineVerdict.SALE


@given(st.dictionaries(st.integers(1, 9), st.integers(-90, 90), max_size=5), st.integers(-400, 400))
def test_shares_add_up_and_stay_within_their_gaps(gaps: dict[int, int], wanted: int) -> None:
    within = sum(gap for gap in gaps.values() if (gap < 0) == (wanted < 0))
    quantity = max(wanted, within) if wanted < 0 else min(wanted, within)
    shares = allocate(quantity, gaps)

    assert sum(shares.values()) == quantity
    assert all(0 < abs(share) <= abs(gaps[batch]) for batch, share in shares.items())


def test_the_sum_over_places_is_surer_than_its_parts() -> None:
    lines = [line([counted(-1, 1000, 50), counted(29, 950, 50)]) for _ in range(100)]
    total, low, high = sum_of_differences(lines)

    assert {one.verdict for one in lines} == {LineVerdict.INDISTINCT}
    assert (total, low < total < high < 0) == (-5000, True)
    assert high - low < 100 * 2 * 71  # of the sum of all halves


def test_the_sum_of_nothing_is_nothing() -> None:
    assert sum_of_differences([]) == (0, 0, 0)
