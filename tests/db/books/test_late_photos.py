"""Photos that the books cannot take any more: counted and kept with a warning, and the run goes on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, select

from db.batches import Spot
from db.engine import connect, retry
from db.errors import ClosedPeriod
from db.models.photos import PhotoSession
from db.models.vocabulary import MovementType
from db.movements import Entry, book
from db.periods import close
from db.restate import restate
from db.stock import lot_at
from db.verify import findings
from pipeline.types import ContainerKind
from tests.conftest import _copied, _url_of
from tests.db.counting import begin, count_photo, place, stock_of
from tests.db.seen import TAKEN, a_photo, a_result

SEGMENT = ContainerKind.SEGMENT
UTC = ZoneInfo("UTC")


@pytest.fixture
def site(server: str, demo_template: str) -> Iterator[Connection]:
    with _copied(server, demo_template) as name, connect(_url_of(server, name)) as connection:
        yield connection


def warnings_of(connection: Connection, session: int) -> list[str]:
    found = connection.scalar(select(PhotoSession.warnings).where(PhotoSession.id == session))
    connection.rollback()
    return list(found or ())


def close_march(connection: Connection) -> None:
    retry(connection, lambda: close(connection, dt.date(2026, 3, 1), UTC, 1))


def test_a_photo_of_a_closed_month_is_counted_and_not_booked(site: Connection) -> None:
    close_march(site)
    saved = count_photo(site, begin(site), a_result(a_photo(), {SEGMENT: 300}))

    assert (saved.status, saved.posted) == ("warning", None)
    [sentence] = warnings_of(site, saved.session_id)
    assert sentence.startswith("counted, but not booked: the books are closed up to and including 2026-03")
    assert stock_of(site) == {}


def test_a_better_model_does_not_change_what_a_closed_month_counted(site: Connection) -> None:
    count_photo(site, begin(site), a_result(a_photo(), {SEGMENT: 300}))
    close_march(site)
    better = begin(site, ("plant-2+containers-1", "b" * 64))
    saved = count_photo(site, better, a_result(a_photo(), {SEGMENT: 320}))
    assert (saved.status, saved.posted) == ("warning", None)
    assert stock_of(site) == {"N01-NORTE-C01": 300}


def test_a_count_of_a_closed_month_is_not_estimated_anew(site: Connection) -> None:
    saved = count_photo(site, begin(site), a_result(a_photo(), {SEGMENT: 300}, hidden=12))
    close_march(site)
    with pytest.raises(ClosedPeriod):
        restate(site, begin(site), saved.session_id, a_result(a_photo(), {SEGMENT: 300}, hidden=99))
    assert stock_of(site) == {"N01-NORTE-C01": 312}


def test_an_older_photo_that_shows_fewer_plants_than_left_since_is_counted_and_not_booked(
    site: Connection,
) -> None:
    where = place(site, "N01-NORTE-C01")
    lot = lot_at(site, where.id, TAKEN)
    site.rollback()
    assert lot is not None
    spot, user = Spot(where.id, "segment", lot), 1
    for kind, quantity, days in ((MovementType.PLANTAR, 100, -5), (MovementType.VENTAS, -60, 5)):
        entry = Entry(
            movement_type=kind,
            where=spot,
            quantity=quantity,
            occurred_at=TAKEN + dt.timedelta(days=days),
            user_id=user,
        )
        retry(site, lambda entry=entry: book(site, [entry]))
    saved = count_photo(site, begin(site), a_result(a_photo(), {SEGMENT: 40}))

    assert (saved.status, saved.posted) == ("warning", None)
    assert "would hold −20 on 2026-03-06" in warnings_of(site, saved.session_id)[0]
    assert stock_of(site) == {"N01-NORTE-C01": 40}
    assert list(findings(site)) == []
