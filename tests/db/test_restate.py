"""Counts worked out again: the books end as if counted that way, and what was before stays told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from db.engine import connect
from db.errors import NotFound
from db.models.photos import Detection, Estimation, PhotoSession, SessionContainer
from db.models.restatements import Restatement
from db.models.stock import Count, StockBatch, StockMovement
from db.models.vocabulary import CountStatus
from db.restate import compare, restate
from db.sessions import session_row
from db.spacings import spacings_of
from db.standing import Choice, spacings_at, standing_sessions
from db.stock import lot_at, settle
from pipeline.interval import bounds
from pipeline.types import ContainerCount, ContainerKind, PhotoResult, Role, Spacing, Total
from tests.db.seen import TAKEN, a_photo, a_result
from tests.db.test_ingest import begin, count_photo, place, rows_in, stock_of

SEGMENT, BOX = ContainerKind.SEGMENT, ContainerKind.BOX


@pytest.fixture
def demo(demo_url: str) -> Iterator[Connection]:
    """A connection to the demo nursery."""
    with connect(demo_url) as connection:
        yield connection


def by(result: PhotoResult, method: str, hidden: int) -> PhotoResult:
    """The same photo by another method, with so many hidden plants in its first container."""
    counts = tuple(
        _by(count, method, hidden if number == 0 else 0) for number, count in enumerate(result.counts)
    )
    low, high = bounds(result.seen, hidden)
    main = Total(result.seen, hidden, low, high)
    return replace(result, counts=counts, low=low, high=high, main=main, warnings=())


def _by(count: ContainerCount, method: str, hidden: int) -> ContainerCount:
    measured = {"size_px": 0.1, "slope": 0.03, "occluded": hidden / 9}
    estimates = tuple(
        replace(row, method=method, version="7", plants=hidden / 4, **measured) for row in count.estimates
    )
    low, high = bounds(count.seen, hidden)
    return replace(count, hidden=hidden, low=low, high=high, estimates=estimates)


def facts(connection: Connection) -> dict[str, int | None]:
    counted = rows_in(connection)
    counted["restatements"] = connection.scalar(select(func.count()).select_from(Restatement))
    connection.rollback()
    return counted


def balanced(connection: Connection) -> bool:
    """Whether every batch holds the sum of its movements."""
    rows = connection.execute(
        select(StockBatch.quantity_current, func.coalesce(func.sum(StockMovement.quantity), 0))
        .outerjoin(StockMovement, StockMovement.batch_id == StockBatch.id)
        .group_by(StockBatch.id)
    ).all()
    connection.rollback()
    return all(held == moved for held, moved in rows)


def test_the_books_end_as_if_the_photo_had_been_counted_that_way(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 300, BOX: 40}, hidden=12)
    saved = count_photo(demo, begin(demo), result)
    other = by(result, "bands", 90)

    done = restate(demo, begin(demo), saved.session_id, other)
    assert (done.changed, done.posted) == (True, 78)
    assert (done.before.total, done.before.method, done.before.version) == (352, "perspective", "1")
    assert stock_of(demo) == {"N01-NORTE-C01": 430}
    assert balanced(demo)
    session = session_row(demo, saved.session_id)
    assert (session.seen, session.hidden, session.low, session.high) == (340, 90, other.low, other.high)
    assert (session.status, session.place) == ("completed", "N01-NORTE-C01")
    containers = demo.execute(
        select(SessionContainer.hidden, SessionContainer.low, SessionContainer.high).order_by(
            SessionContainer.ordinal
        )
    ).all()
    assert [tuple(row) for row in containers] == [(c.hidden, c.low, c.high) for c in other.counts]
    assert demo.scalar(select(func.count()).select_from(Detection)) == 340
    rows = demo.execute(
        select(Estimation.method, Estimation.plants).where(Estimation.method == "bands")
    ).all()
    assert sorted(row.plants for row in rows) == [0] * 4 + [22.5] * 4
    assert demo.scalar(select(func.count()).select_from(Estimation)) == 8


def test_a_second_run_changes_nothing(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 300}, hidden=12)
    saved = count_photo(demo, begin(demo), result)
    assert not restate(demo, begin(demo), saved.session_id, result).changed
    other = by(result, "bands", 90)
    assert compare(demo, saved.session_id, other).changed
    demo.rollback()
    restate(demo, begin(demo), saved.session_id, other)
    before = facts(demo)

    again = restate(demo, begin(demo), saved.session_id, other)
    assert (again.changed, again.posted) == (False, None)
    assert not compare(demo, saved.session_id, other).changed
    demo.rollback()
    assert facts(demo) == before


def test_the_same_figures_by_another_method_replace_the_rows_and_book_nothing(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 300}, hidden=12)
    saved = count_photo(demo, begin(demo), result)
    done = restate(demo, begin(demo), saved.session_id, by(result, "bands", 12))
    assert (done.changed, done.posted) == (True, 0)
    assert demo.scalars(select(Estimation.method).distinct()).all() == ["bands"]


def test_there_and_back_again_leaves_the_stock_where_it_was(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 300}, hidden=12)
    saved = count_photo(demo, begin(demo), result)
    for hidden in (90, 0, 12):
        restate(demo, begin(demo), saved.session_id, by(result, "bands", hidden))
        assert stock_of(demo) == {"N01-NORTE-C01": 300 + hidden}
    statuses = demo.scalars(select(Count.status).order_by(Count.id)).all()
    assert statuses == ["rejected"] * 3 + ["accepted"]
    batch = demo.execute(select(StockBatch.id)).scalar_one()
    assert settle(demo, batch, 1) == 0


def test_what_it_was_before_stays_explained(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 300}, hidden=12)
    saved = count_photo(demo, begin(demo), result)
    run = begin(demo)
    restate(demo, run, saved.session_id, by(result, "bands", 90))

    row = demo.execute(select(Restatement)).one()
    assert (row.session_id, row.run_id, row.user_id, row.posted) == (
        saved.session_id,
        run.id,
        run.user_id,
        78,
    )
    assert (row.method_before, row.version_before, row.method, row.version) == (
        "perspective", "1", "bands", "7",
    )  # fmt: skip
    assert (row.seen_before, row.hidden_before, row.seen, row.hidden) == (300, 12, 300, 90)
    assert (row.low_before, row.high_before) == (result.low, result.high)
    assert [band[:4] for band in row.estimates_before] == [[0, n, "perspective", "1"] for n in range(1, 5)]
    assert sum(band[9] for band in row.estimates_before) == 12
    demo.rollback()
    for statement in ("UPDATE restatements SET posted = 0", "DELETE FROM restatements"):
        with pytest.raises(IntegrityError, match="append-only"):
            demo.execute(text(statement))
        demo.rollback()


def test_stock_that_has_left_since_is_never_missing_in_between(demo: Connection) -> None:
    run = begin(demo)
    result = a_result(a_photo(), {SEGMENT: 300}, hidden=12)
    saved = count_photo(demo, run, result)
    batch = demo.execute(select(StockBatch)).one()
    sold = {"batch_id": batch.id, "movement_type": "ventas", "source_bin_id": batch.current_storage_bin_id}
    sold |= {"quantity": -250, "user_id": run.user_id, "source_type": "manual"}
    demo.execute(insert(StockMovement).values(**sold, occurred_at=TAKEN + dt.timedelta(days=1)))
    demo.execute(text("UPDATE stock_batches SET quantity_current = quantity_current - 250"))
    demo.commit()

    done = restate(demo, begin(demo), saved.session_id, by(result, "bands", 0))
    assert done.posted == -12
    assert stock_of(demo) == {"N01-NORTE-C01": 50}
    assert balanced(demo)


def test_a_later_count_stands_when_an_earlier_one_is_restated(demo: Connection) -> None:
    march = a_result(a_photo("march"), {SEGMENT: 300})
    later = TAKEN + dt.timedelta(days=30)
    saved = count_photo(demo, begin(demo), march)
    count_photo(demo, begin(demo), a_result(a_photo("april"), {SEGMENT: 280}, taken_at=later))
    restate(demo, begin(demo), saved.session_id, by(march, "bands", 40))

    assert stock_of(demo) == {"N01-NORTE-C01": 280}
    assert stock_of(demo, as_of=TAKEN + dt.timedelta(days=1)) == {"N01-NORTE-C01": 340}


def test_a_photo_that_waits_for_its_place_is_restated_and_not_booked(demo: Connection) -> None:
    result = a_result(a_photo("IMG_1"), {SEGMENT: 300}, warnings=("look at it",))
    saved = count_photo(demo, begin(demo), result, code=None)
    done = restate(demo, begin(demo), saved.session_id, by(result, "bands", 40))

    assert (done.changed, done.posted) == (True, None)
    session = session_row(demo, saved.session_id)
    assert (session.status, session.hidden) == ("needs_location", 40)
    assert session.warnings == ("look at it",)
    assert stock_of(demo) == {}


def test_a_count_that_a_person_rejected_stays_rejected(demo: Connection) -> None:
    run = begin(demo)
    result = a_result(a_photo(), {SEGMENT: 300})
    saved = count_photo(demo, run, result)
    demo.execute(
        text("UPDATE counts SET status = :no, decided_at = now(), decided_by_user_id = :user"),
        {"no": CountStatus.REJECTED.value, "user": run.user_id},
    )
    settle(demo, demo.execute(select(StockBatch.id)).scalar_one(), run.user_id)
    demo.commit()

    assert restate(demo, begin(demo), saved.session_id, by(result, "bands", 40)).posted is None
    assert stock_of(demo) == {}


def test_a_photo_that_comes_to_nothing_is_taken_out_of_the_books(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 3})
    saved = count_photo(demo, begin(demo), result)
    empty = a_result(a_photo(), {SEGMENT: 0})
    assert restate(demo, begin(demo), saved.session_id, empty).posted == -3
    assert stock_of(demo) == {}
    assert demo.scalar(select(func.count()).select_from(Detection)) == 0
    # It counts again as soon as it comes to something: nobody rejected it.
    assert restate(demo, begin(demo), saved.session_id, result).posted == 3


def test_an_error_while_restating_changes_nothing(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 300}, hidden=12)
    saved = count_photo(demo, begin(demo), result)
    before, stock = facts(demo), stock_of(demo)
    wrong = by(result, "bands", 90)
    negative = replace(wrong.counts[0].estimates[0], plants=-1.0, occluded=0.0)
    wrong = replace(wrong, counts=(replace(wrong.counts[0], estimates=(negative,)), *wrong.counts[1:]))
    run = begin(demo)
    with pytest.raises(Exception, match="ck_estimations"):
        restate(demo, run, saved.session_id, wrong)
    demo.rollback()
    assert facts(demo) == before
    assert stock_of(demo) == stock


def chosen(connection: Connection, *sessions: str, **values: object) -> list[int]:
    found = standing_sessions(connection, Choice(sessions=sessions, **values))
    connection.rollback()
    return [one.id for one in found]


def test_sessions_are_chosen_by_number_place_and_day(demo: Connection) -> None:
    later = TAKEN + dt.timedelta(days=30)
    one = count_photo(demo, begin(demo), a_result(a_photo("a"), {SEGMENT: 300})).session_id
    two = count_photo(
        demo, begin(demo), a_result(a_photo("b"), {SEGMENT: 30}, taken_at=later), "N01-SUR-C01"
    ).session_id
    three = count_photo(demo, begin(demo), a_result(a_photo("c"), {SEGMENT: 9}), code=None).session_id

    assert chosen(demo) == [one, three, two]
    assert chosen(demo, str(two), str(two)) == [two]
    public = demo.execute(select(PhotoSession.session_id).where(PhotoSession.id == one)).scalar_one()
    assert chosen(demo, str(public)) == [one]
    assert chosen(demo, places=("n01-sur",)) == [two]
    assert chosen(demo, places=("N01",)) == [one, two]
    assert chosen(demo, since=later) == [two]
    assert chosen(demo, until=TAKEN) == [one, three]
    assert chosen(demo, str(one), since=later) == []


@pytest.mark.parametrize("name", ["99", "0", "-1", "x", "9" * 30, "5c5e5a1e-0000-4000-8000-000000000000"])
def test_a_session_that_does_not_exist_is_named(demo: Connection, name: str) -> None:
    with pytest.raises(NotFound, match=name):
        standing_sessions(demo, Choice(sessions=(name,)))


def test_a_place_that_does_not_exist_is_named(demo: Connection) -> None:
    with pytest.raises(NotFound, match="N9"):
        standing_sessions(demo, Choice(places=("N9",)))


def test_only_the_last_count_of_a_photo_stands(demo: Connection) -> None:
    old = count_photo(demo, begin(demo), a_result(a_photo(), {SEGMENT: 300})).session_id
    better = begin(demo, ("plant-2+containers-1", "b" * 64))
    new = count_photo(demo, better, a_result(a_photo(), {SEGMENT: 320})).session_id

    assert chosen(demo) == [new]
    with pytest.raises(NotFound, match=f"session {old} was replaced: .* session {new}"):
        standing_sessions(demo, Choice(sessions=(str(old),)))


def test_a_photo_that_was_never_counted_cannot_be_estimated(demo: Connection) -> None:
    from tests.db.test_ingest import take

    held = take(demo, begin(demo), a_photo(), None)
    with pytest.raises(NotFound, match="was not counted"):
        standing_sessions(demo, Choice(sessions=(str(held.session_id),)))


def test_spacings_come_from_the_pots_of_the_place(demo: Connection) -> None:
    where = place(demo, "N01-NORTE-C01")
    lot = lot_at(demo, where.id, TAKEN)
    assert lot is not None
    known = {one.kind: one for one in spacings_of(demo, lot)}
    assert known[SEGMENT] == Spacing(SEGMENT, 64.0, 8.0, 1.0)
    assert spacings_at(demo, where.id, TAKEN) == tuple(known.values())
    assert spacings_at(demo, None, TAKEN) == ()
    # A row for the very product outranks the one for any product, which the seeds have too.
    demo.execute(
        text(
            "UPDATE density_parameters SET avg_area_per_plant_cm2 = 80, plants_per_m2 = 100,"
            " avg_diameter_cm = 9, overlap_adjustment_factor = 0.85 FROM storage_bin_types AS kind"
            " WHERE kind.id = storage_bin_type_id AND kind.code = 'SEGMENT_STANDARD'"
            " AND product_id = :product"
        ),
        {"product": lot.product_id},
    )
    known = {one.kind: one for one in spacings_of(demo, lot)}
    assert known[SEGMENT] == Spacing(SEGMENT, 80.0, 9.0, 0.85)
    assert known[BOX].area_cm2 == 64.0


def test_a_container_that_turns_out_to_be_a_neighbours_is_a_change_though_no_figure_of_the_photo_is(
    demo: Connection,
) -> None:
    result = a_result(a_photo(), {SEGMENT: 300, BOX: 40})
    saved = count_photo(demo, begin(demo), result)
    bed, crate = result.counts
    beyond = replace(crate, container=replace(crate.container, role=Role.BACKGROUND))
    main = Total(bed.seen, bed.hidden, bed.low, bed.high)
    other = replace(result, counts=(bed, beyond), main=main, warnings=())
    assert compare(demo, saved.session_id, other).changed
    demo.rollback()
    assert restate(demo, begin(demo), saved.session_id, other).posted == -40
    assert stock_of(demo) == {"N01-NORTE-C01": 300}
    assert not restate(demo, begin(demo), saved.session_id, other).changed
