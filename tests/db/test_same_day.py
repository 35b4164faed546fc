"""Several photos of one place on one day: the rule that was chosen holds, whatever the order of arrival."""

from __future__ import annotations

from itertools import permutations
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection

from db import deciding
from db.engine import retry
from db.runs import Policy, start_run
from db.stock import user_id
from pipeline.types import ContainerKind
from tests.db.counting import MODEL, count_photo, stock_of
from tests.db.seen import a_photo, a_result
from tests.db.test_deciding import PLACE, accept, day

ZONE = ZoneInfo("America/Argentina/Mendoza")
HOUR = 1 / 24


def photo(connection: Connection, plants: int, number: float, policy: Policy) -> int:
    user = user_id(connection, "system@demeter.local")
    connection.rollback()
    run = start_run(connection, "process", MODEL, "c0ffee", user, policy)
    seen = {ContainerKind.SEGMENT: plants}
    result = a_result(a_photo(content=f"{plants} on {number}"), seen, taken_at=day(number))
    return count_photo(connection, run, result, PLACE).session_id


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_photo_taken_last_stands(demo: Connection, order: tuple[int, ...]) -> None:
    plants = (400, 390, 410)
    for number in order:
        photo(demo, plants[number], number * HOUR, Policy())
    assert stock_of(demo) == {PLACE: 410}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_only_the_first_that_arrives_is_booked_unseen_if_that_is_the_rule(
    demo: Connection, order: tuple[int, ...]
) -> None:
    plants = (400, 390, 410)
    sessions = {
        number: photo(demo, plants[number], number * HOUR, Policy(one_a_day=ZONE)) for number in order
    }
    first = sessions[order[0]]
    assert stock_of(demo) == {PLACE: plants[order[0]]}
    waiting = retry(demo, lambda: deciding.photo_counts(demo, waiting=True))
    assert {row.session for row in waiting} == {sessions[number] for number in order[1:]}
    assert any(f"photo {first} counts this place on this day already" in str(row.notes) for row in waiting)
    for number in order[1:]:
        accept(demo, sessions[number])
    assert stock_of(demo) == {PLACE: 410}


def test_the_day_is_the_sites_and_another_day_or_the_same_photo_waits_for_nobody(demo: Connection) -> None:
    policy = Policy(one_a_day=ZONE)
    # Noon in UTC; 02:00 UTC of the next day is still the evening before in Mendoza.
    photo(demo, 400, 0, policy)
    photo(demo, 390, 14 * HOUR, policy)
    assert len(retry(demo, lambda: deciding.photo_counts(demo, waiting=True))) == 1
    photo(demo, 380, 16 * HOUR, policy)
    assert stock_of(demo) == {PLACE: 380}
