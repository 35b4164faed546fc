"""Several photos of one place on one day: the rule decides what they say, their order of arrival never."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from db.deciding import accept, adjust, photo_counts, reject
from db.engine import retry
from db.errors import AlreadyDecided
from db.models.stock import Count
from db.models.vocabulary import DayRule, MovementType
from db.movements import Entry, book
from db.plausible import Limits
from db.runs import Policy
from db.same_day import Part, SameDay, carrier, company, together
from db.stock import Tally, due_corrections, user_id
from pipeline.types import ContainerKind
from tests.db.counting import begin, count_photo, stock_of

MENDOZA = ZoneInfo("America/Argentina/Mendoza")
MORNING = dt.datetime(2026, 3, 1, 9, tzinfo=MENDOZA)
PLACE = "N01-NORTE-C01"
EXPECTED = {DayRule.LAST: 300, DayRule.REVIEW: None, DayRule.SUM: 1000, DayRule.LARGEST: 500}


def photo(
    connection: Connection, rule: DayRule, plants: int, minute: int, limits: Limits | None = None
) -> int:
    from tests.db.seen import a_photo, a_result

    run = replace(begin(connection), policy=Policy(limits=limits, same_day=SameDay(rule, MENDOZA)))
    taken = MORNING + dt.timedelta(minutes=minute)
    content = a_photo(content=f"{plants} at {minute}")
    return count_photo(
        connection, run, a_result(content, {ContainerKind.SEGMENT: plants}, taken_at=taken), PLACE
    ).session_id


def plants_of(connection: Connection) -> int:
    batches = list(connection.scalars(select(Count.batch_id).distinct()))
    assert due_corrections(connection, batches) == {}
    connection.rollback()
    return stock_of(connection).get(PLACE, 0)


def system(connection: Connection) -> int:
    found = user_id(connection, "system@demeter.local")
    connection.rollback()
    return found


ORDERS = [
    *((DayRule.SUM, order) for order in permutations(range(3))),
    *((rule, order) for rule in (DayRule.LAST, DayRule.LARGEST) for order in ((0, 1, 2), (2, 0, 1))),
]


@pytest.mark.parametrize(("rule", "order"), ORDERS)
def test_the_books_are_the_same_in_whatever_order_photos_arrive(
    demo: Connection, rule: DayRule, order: tuple[int, ...]
) -> None:
    taken = [(200, 0), (500, 5), (300, 10)]
    for index in order:
        photo(demo, rule, *taken[index])
    assert plants_of(demo) == EXPECTED[rule]
    photo(demo, rule, 40, 24 * 60)  # the next day is another one
    assert plants_of(demo) == 40


def test_a_second_photo_of_the_day_waits_where_the_rule_says_so(demo: Connection) -> None:
    first = photo(demo, DayRule.REVIEW, 200, 0)
    second = photo(demo, DayRule.REVIEW, 210, 5)
    [waiting] = photo_counts(demo, waiting=True)
    assert waiting.session == second
    assert f"photo {first} counts this place on this day already" in (waiting.notes or "")
    demo.rollback()
    assert plants_of(demo) == 200
    retry(demo, lambda: accept(demo, second, user_id(demo, "system@demeter.local")))
    assert plants_of(demo) == 210


def test_the_day_is_that_of_the_site(demo: Connection) -> None:
    photo(demo, DayRule.SUM, 100, 14 * 60 + 30)  # 23:30 there, the next day in UTC
    photo(demo, DayRule.SUM, 50, 15 * 60 + 30)  # half an hour past midnight
    assert plants_of(demo) == 50


def test_a_sale_between_two_parts_of_a_bed_is_no_shortage(demo: Connection) -> None:
    """The parts make one count: at no time does the bed hold one part alone."""
    photo(demo, DayRule.SUM, 900, -24 * 60)
    photo(demo, DayRule.SUM, 400, 0)
    photo(demo, DayRule.SUM, 450, 10)
    batch, user = demo.scalars(select(Count.batch_id).distinct()).one(), system(demo)
    sale = Entry(
        movement_type=MovementType.VENTAS,
        where=batch,
        quantity=-600,
        occurred_at=MORNING + dt.timedelta(minutes=5),
        user_id=user,
        reason="x",
    )
    retry(demo, lambda: book(demo, [sale]))
    assert plants_of(demo) == 850


@pytest.mark.parametrize("out", [0, 1, 2])
def test_what_a_person_rejects_leaves_the_day_and_comes_back_when_accepted(
    demo: Connection, out: int
) -> None:
    taken = [(200, 0), (500, 5), (300, 10)]
    sessions = [photo(demo, DayRule.SUM, *one) for one in taken]
    user = system(demo)
    decided = retry(demo, lambda: reject(demo, sessions[out], user, "the neighbour's bed"))
    assert decided.booked == -taken[out][0]
    assert plants_of(demo) == 1000 - taken[out][0]
    with pytest.raises(AlreadyDecided):
        retry(demo, lambda: reject(demo, sessions[out], user, "again"))
    photo(demo, DayRule.SUM, 7, 7)  # what arrives later does not bring it back
    assert plants_of(demo) == 1007 - taken[out][0]
    retry(demo, lambda: accept(demo, sessions[out], user))
    assert plants_of(demo) == 1007


def test_each_photo_tells_which_one_counts_for_the_day(demo: Connection) -> None:
    first, last = photo(demo, DayRule.SUM, 200, 0), photo(demo, DayRule.SUM, 300, 5)
    for one, other in ((first, last), (last, first)):
        found = company(demo, one, MENDOZA)
        assert (found.rule, found.others, found.counts_for_all) == (DayRule.SUM, (other,), last)
    later = photo(demo, DayRule.LAST, 210, 24 * 60)
    latest = photo(demo, DayRule.LAST, 220, 24 * 60 + 5)
    assert company(demo, later, MENDOZA).counts_for_all == latest
    assert company(demo, latest, MENDOZA).counts_for_all == latest
    assert company(demo, latest, MENDOZA).others == (later,)
    alone = photo(demo, DayRule.LAST, 220, 48 * 60)
    assert company(demo, alone, MENDOZA).others == ()


def test_all_parts_rejected_leave_nothing(demo: Connection) -> None:
    sessions = [photo(demo, DayRule.SUM, 200, 0), photo(demo, DayRule.SUM, 300, 5)]
    user = system(demo)
    for session in sessions:
        retry(demo, lambda session=session: reject(demo, session, user, "no"))
    assert plants_of(demo) == 0


def test_what_is_corrected_by_hand_is_not_changed_by_a_late_part_without_a_person(demo: Connection) -> None:
    photo(demo, DayRule.SUM, 200, 0)
    last = photo(demo, DayRule.SUM, 300, 10)
    user = system(demo)
    retry(demo, lambda: adjust(demo, last, {None: 480}, user, "counted on foot"))
    assert plants_of(demo) == 480
    late = photo(demo, DayRule.SUM, 60, 5)
    assert plants_of(demo) == 480
    [waiting] = photo_counts(demo, waiting=True)
    assert "a person corrected a count of this place and day" in (waiting.notes or "")
    demo.rollback()
    assert late


def test_parts_that_make_the_expected_sum_need_nobody_to_decide(demo: Connection) -> None:
    """The first part alone looks like a loss, and waits; with the second all is well."""
    photo(demo, DayRule.SUM, 1000, -24 * 60)
    some = Limits(width=1.0, gain=0.1, loss=0.35)
    photo(demo, DayRule.SUM, 400, 0, some)
    assert len(photo_counts(demo, waiting=True)) == 1
    demo.rollback()
    assert plants_of(demo) == 1000
    photo(demo, DayRule.SUM, 590, 5, some)
    assert photo_counts(demo, waiting=True) == []
    demo.rollback()
    assert plants_of(demo) == 990


PARTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 500)), min_size=1, max_size=6).map(
    lambda drawn: [
        Part(
            MORNING + dt.timedelta(minutes=minute),
            f"{number:064d}",
            number,
            {"segment": Tally(plants, plants // 2, 2 * plants)},
        )
        for number, (minute, plants) in enumerate(drawn)
    ]
)


@given(parts=PARTS, rule=st.sampled_from(list(DayRule)), data=st.data())
@settings(max_examples=60)
def test_what_photos_say_together_does_not_depend_on_their_order(
    parts: list[Part], rule: DayRule, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(parts))
    assert together(shuffled, rule) == together(parts, rule)
    assert carrier(shuffled) == carrier(parts)
    said = together(parts, rule)["segment"]
    assert said.low <= said.quantity <= said.high
    plants = [part.plants for part in parts]
    assert said.quantity == {
        DayRule.SUM: sum(plants),
        DayRule.LARGEST: max(plants),
    }.get(rule, carrier(parts).plants)
