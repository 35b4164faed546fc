"""Photos into the database: claimed once, saved whole, booked when place and crop are known."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from sqlalchemy import Connection, func, select, text, update

from db import reports
from db.engine import connect, retry
from db.errors import Busy
from db.ingest import MOST_ATTEMPTS, Verdict, book_done, claim, end_run, release_claims, save_failure
from db.models.photos import Detection, PhotoSession, Run
from db.models.stock import Count, StockBatch, StockMovement
from db.models.vocabulary import MovementType, RunStatus, SessionStatus
from db.movements import Entry, book
from db.plan import look_up
from db.runs import finish_run, run_lock
from db.sessions import session_row
from db.stock import settle
from pipeline.interval import add
from pipeline.storage import image_id
from pipeline.types import ContainerKind, PhotoFailure
from tests.db.counting import MODEL, begin, count_photo, place, rows_in, save, stock_of, take
from tests.db.seen import TAKEN, a_photo, a_result

SEGMENT, BOX, LOOSE = ContainerKind.SEGMENT, ContainerKind.BOX, ContainerKind.LOOSE


def test_a_counted_photo_is_saved_whole_and_booked(demo: Connection) -> None:
    run = begin(demo)
    result = a_result(a_photo(), {SEGMENT: 300, BOX: 40}, hidden=12)
    saved = count_photo(demo, run, result)

    assert (saved.status, saved.posted) == ("completed", 352)
    assert stock_of(demo) == {"N01-NORTE-C01": 352}
    rows = rows_in(demo)
    assert rows["detections"] == 340
    assert rows["estimations"] == 8
    session = session_row(demo, saved.session_id)
    assert (session.place, session.seen, session.hidden) == ("N01-NORTE-C01", 340, 12)
    assert (session.low, session.high) == (result.low, result.high)


def test_copied_detections_are_the_ones_that_were_seen(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 5})
    saved = count_photo(demo, begin(demo), result)
    table = Detection
    rows = demo.execute(
        select(table.center_x_px, table.width_px, table.height_px, table.score)
        .where(table.session_id == saved.session_id)
        .order_by(table.id)
    ).all()

    boxes = result.detections.boxes
    expected = [(boxes[:, 0] + boxes[:, 2]) / 2, *(boxes[:, 2:] - boxes[:, :2]).T, result.detections.scores]
    np.testing.assert_allclose(np.array(rows, np.float32).T, np.array(expected), rtol=1e-6)


def test_counting_the_same_folder_again_changes_no_row(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 300})
    count_photo(demo, begin(demo), result)
    before = rows_in(demo)

    again = begin(demo)
    held = take(demo, again, result.photo, place(demo, "N01-NORTE-C01"))
    assert held.verdict is Verdict.DONE
    assert book_done(demo, again, held).posted is None
    assert rows_in(demo) == before


def test_the_same_photo_under_another_name_is_the_same_photo(demo: Connection) -> None:
    run = begin(demo)
    count_photo(demo, run, a_result(a_photo("N01-NORTE-C01.jpg", "pixels"), {SEGMENT: 300}))

    copy = take(demo, run, a_photo("copy of it.jpg", "pixels"), None)
    assert copy.verdict is Verdict.DONE


def test_a_second_photo_leaves_the_stock_equal_to_the_new_count(demo: Connection) -> None:
    run = begin(demo)
    later = TAKEN + dt.timedelta(days=30)
    count_photo(demo, run, a_result(a_photo("march"), {SEGMENT: 300}))
    saved = count_photo(demo, run, a_result(a_photo("april"), {SEGMENT: 280}, taken_at=later))

    assert saved.posted == -20
    assert stock_of(demo) == {"N01-NORTE-C01": 280}
    assert stock_of(demo, as_of=TAKEN + dt.timedelta(days=1)) == {"N01-NORTE-C01": 300}
    assert stock_of(demo, as_of=TAKEN - dt.timedelta(days=1)) == {}


def test_a_photo_counted_anew_replaces_its_count_although_most_was_sold_since(demo: Connection) -> None:
    run = begin(demo)
    result = a_result(a_photo(), {SEGMENT: 300, BOX: 40})
    count_photo(demo, run, result)
    batch = demo.scalar(select(Count.batch_id).where(Count.quantity == 300))
    entry = Entry(
        movement_type=MovementType.VENTAS,
        where=batch or 0,
        quantity=-280,
        occurred_at=TAKEN + dt.timedelta(days=1),
        user_id=run.user_id,
    )
    demo.rollback()
    retry(demo, lambda: book(demo, [entry]))
    other = begin(demo, ("plant-2+containers-1", "b" * 64))
    anew = a_result(result.photo, {SEGMENT: 290})

    saved = count_photo(demo, other, anew)
    assert (saved.status, saved.posted) == (SessionStatus.COMPLETED, -50)
    assert stock_of(demo) == {"N01-NORTE-C01": 10}


def test_an_older_photo_that_arrives_late_does_not_change_todays_stock(demo: Connection) -> None:
    run = begin(demo)
    later = TAKEN + dt.timedelta(days=30)
    count_photo(demo, run, a_result(a_photo("april"), {SEGMENT: 280}, taken_at=later))
    count_photo(demo, run, a_result(a_photo("march"), {SEGMENT: 300}))

    assert stock_of(demo) == {"N01-NORTE-C01": 280}
    assert stock_of(demo, as_of=TAKEN + dt.timedelta(days=1)) == {"N01-NORTE-C01": 300}


def test_crates_that_a_later_photo_does_not_show_are_gone(demo: Connection) -> None:
    run = begin(demo)
    later = TAKEN + dt.timedelta(days=30)
    count_photo(demo, run, a_result(a_photo("march"), {SEGMENT: 300, BOX: 40}))
    count_photo(demo, run, a_result(a_photo("april"), {SEGMENT: 310}, taken_at=later))

    assert stock_of(demo) == {"N01-NORTE-C01": 310}


def test_plants_outside_every_container_are_booked_with_the_ground(demo: Connection) -> None:
    count_photo(demo, begin(demo), a_result(a_photo(), {SEGMENT: 90, LOOSE: 10}))

    assert demo.scalars(select(StockBatch.quantity_current)).all() == [100]


def test_a_recount_by_a_better_model_replaces_the_count_of_the_old_one(demo: Connection) -> None:
    count_photo(demo, begin(demo), a_result(a_photo(), {SEGMENT: 300}))
    better = begin(demo, ("plant-2+containers-1", "b" * 64))
    count_photo(demo, better, a_result(a_photo(), {SEGMENT: 320}))

    assert stock_of(demo) == {"N01-NORTE-C01": 320}
    assert demo.scalars(select(Count.status).order_by(Count.id)).all() == ["rejected", "accepted"]


def test_a_photo_without_a_place_is_stored_and_counted_but_not_booked(demo: Connection) -> None:
    saved = count_photo(demo, begin(demo), a_result(a_photo("IMG_1"), {SEGMENT: 300}), code=None)

    assert (saved.status, saved.posted) == ("needs_location", None)
    assert rows_in(demo)["detections"] == 300
    assert stock_of(demo) == {}


def test_naming_the_place_later_books_the_photo_without_counting_it_again(demo: Connection) -> None:
    run = begin(demo)
    result = a_result(a_photo("IMG_1"), {SEGMENT: 300}, hidden=7)
    count_photo(demo, run, result, code=None)

    held = take(demo, run, result.photo, place(demo, "N01-SUR-C01"))
    saved = book_done(demo, run, held)
    assert (held.verdict, saved.status, saved.posted) == (Verdict.DONE, "completed", 307)
    assert stock_of(demo) == {"N01-SUR-C01": 307}


def test_a_place_without_configuration_waits_for_one(demo: Connection) -> None:
    run = begin(demo)
    result = a_result(a_photo(), {SEGMENT: 300})
    saved = count_photo(demo, run, result, code="N02-SUR-C05")

    assert (saved.status, saved.posted) == ("needs_config", None)
    assert stock_of(demo) == {}


def test_a_photo_without_a_single_plant_is_never_a_baseline(demo: Connection) -> None:
    saved = count_photo(demo, begin(demo), a_result(a_photo(), {SEGMENT: 0}, warnings=("empty",)))

    assert (saved.status, saved.posted) == ("warning", None)
    assert rows_in(demo)["counts"] == 0


def test_a_camera_clock_in_the_future_does_not_book_into_the_future(demo: Connection) -> None:
    ahead = dt.datetime.now(dt.UTC) + dt.timedelta(days=400)
    count_photo(demo, begin(demo), a_result(a_photo(), {SEGMENT: 300}, taken_at=ahead))

    counted = demo.scalar(select(Count.counted_at))
    assert counted is not None
    assert counted <= dt.datetime.now(dt.UTC)
    assert stock_of(demo) == {"N01-NORTE-C01": 300}


def test_a_failure_is_remembered_and_after_some_attempts_the_photo_is_set_aside(demo: Connection) -> None:
    photo = a_photo()
    for _ in range(MOST_ATTEMPTS):
        run = begin(demo)
        held = take(demo, run, photo, None)
        assert held.verdict is Verdict.COUNT
        save_failure(demo, held, PhotoFailure(photo, "it is a text file\x00 with \udcff bytes"))

    held = take(demo, begin(demo), photo, None)
    assert held.verdict is Verdict.SET_ASIDE
    assert held.error is not None
    assert held.error.startswith("it is a text file")
    key = (MODEL[1], "c0ffee")
    assert "--retry" in look_up(demo, image_id(photo.sha256), key, None)
    demo.rollback()
    forgiven = claim(demo, begin(demo), (image_id(photo.sha256), photo), None, retry=True)
    assert forgiven.verdict is Verdict.COUNT


def test_a_run_that_is_stopped_gives_its_photos_back(demo: Connection) -> None:
    for _ in range(MOST_ATTEMPTS + 1):
        run = begin(demo)
        assert take(demo, run, a_photo(), None).verdict is Verdict.COUNT
        release_claims(demo, run)


def test_photos_in_work_when_all_workers_died_are_set_aside_after_some_runs(demo: Connection) -> None:
    photo, place_ = a_photo(), place(demo, "N01-NORTE-C01")
    for _ in range(MOST_ATTEMPTS):
        run = begin(demo)
        assert take(demo, run, photo, place_).verdict is Verdict.COUNT
        end_run(demo, run, RunStatus.FAILED, lambda: (1, 0, None), blamed=True)
    assert take(demo, begin(demo), photo, place_).verdict is Verdict.SET_ASIDE


def test_a_session_that_the_server_ended_costs_no_attempt(demo: Connection, demo_url: str) -> None:
    run = begin(demo)
    held = take(demo, run, a_photo(), place(demo, "N01-NORTE-C01"))
    ours = demo.scalar(select(func.pg_backend_pid()))
    with connect(demo_url) as administrator:
        administrator.execute(select(func.pg_terminate_backend(ours)))
        end_run(demo, run, RunStatus.FAILED, lambda: (1, 0, None))
        waiting = administrator.execute(select(PhotoSession.status, PhotoSession.attempts)).one()
        assert waiting == (SessionStatus.PENDING, 0)
        assert administrator.scalar(select(Run.status)) == RunStatus.FAILED
    assert held.verdict is Verdict.COUNT


def test_a_photo_that_a_killed_run_was_counting_is_counted_by_the_next(demo: Connection) -> None:
    assert take(demo, begin(demo), a_photo(), None).verdict is Verdict.COUNT
    assert take(demo, begin(demo), a_photo(), None).verdict is Verdict.COUNT
    statuses = demo.execute(text("SELECT status FROM runs ORDER BY id")).scalars().all()
    assert statuses == ["interrupted", "running"]


def test_a_photo_that_ends_its_run_every_time_is_set_aside_as_failed(demo: Connection) -> None:
    for _ in range(MOST_ATTEMPTS):
        held = take(demo, begin(demo), a_photo(), None)
        assert held.verdict is Verdict.COUNT
    held = take(demo, begin(demo), a_photo(), None)

    assert held.verdict is Verdict.SET_ASIDE
    session = session_row(demo, held.session_id)
    assert (session.status, session.seen) == ("failed", None)
    assert session.error is not None
    assert "run ended while this photo was being counted" in session.error


def test_an_error_while_saving_leaves_nothing_of_the_photo(demo: Connection) -> None:
    run = begin(demo)
    result = a_result(a_photo(), {SEGMENT: 300})
    held = take(demo, run, result.photo, place(demo, "N01-NORTE-C01"))
    result.detections.scores[17] = 1.5  # a CHECK refuses it in the middle of the COPY
    before = rows_in(demo)

    with pytest.raises(Exception, match="score"):
        save(demo, run, held, result)
    demo.rollback()
    assert rows_in(demo) == before


def test_a_clock_that_is_set_back_during_a_run_stops_nothing(demo: Connection) -> None:
    run = begin(demo)
    one, other = a_result(a_photo("a.jpg"), {SEGMENT: 20}), a_photo("b.jpg")
    held = [take(demo, run, photo, place(demo, "N01-NORTE-C01")) for photo in (one.photo, other)]
    with demo.begin():
        for table in (PhotoSession, Run):
            demo.execute(update(table).values(started_at=func.now() + dt.timedelta(hours=1)))
    assert save(demo, run, held[0], one).status is SessionStatus.COMPLETED
    save_failure(demo, held[1], PhotoFailure(other, "b.jpg is cut off"))
    finish_run(demo, run, RunStatus.FINISHED, 2, 1)
    begin(demo)


def test_only_one_run_at_a_time(demo: Connection, demo_url: str) -> None:
    with (
        run_lock(demo),
        connect(demo_url) as other,
        pytest.raises(Busy, match="is at work in this database"),
        run_lock(other),
    ):
        pass
    with connect(demo_url) as other, run_lock(other):
        pass


def test_settling_a_batch_again_posts_nothing(demo: Connection) -> None:
    run = begin(demo)
    count_photo(demo, run, a_result(a_photo(), {SEGMENT: 300}))
    batch = demo.execute(select(StockBatch.id)).scalar_one()

    assert settle(demo, batch, run.user_id) == 0


def test_batches_hold_the_sum_of_their_movements(demo: Connection) -> None:
    run = begin(demo)
    for number, quantity in enumerate((300, 280, 0, 410)):
        taken = TAKEN + dt.timedelta(days=30 * number)
        photo = a_photo(f"photo {number}")
        count_photo(demo, run, a_result(photo, {SEGMENT: quantity, BOX: 24}, taken_at=taken))

    rows = demo.execute(
        select(StockBatch.quantity_current, func.sum(StockMovement.quantity))
        .join(StockMovement, StockMovement.batch_id == StockBatch.id)
        .group_by(StockBatch.id)
    ).all()
    assert sorted(tuple(map(int, row)) for row in rows) == [(24, 24), (410, 410)]


def test_the_interval_of_the_stock_is_the_one_of_its_counts(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 300}, hidden=20)
    count_photo(demo, begin(demo), result)
    (row,) = reports.stock(demo, place="N01")

    assert (row.plants, row.low, row.high) == (320, result.counts[0].low, result.counts[0].high)
    assert row.counted_at == TAKEN
    assert reports.stock(demo, place="N0") == []


def test_the_interval_of_several_lots_is_that_of_their_sum(demo: Connection) -> None:
    count_photo(demo, begin(demo), a_result(a_photo(), {SEGMENT: 300, BOX: 60}, hidden=20))
    lots = [tuple(row) for row in demo.execute(select(Count.quantity, Count.low, Count.high))]
    (row,) = reports.stock(demo)

    assert (row.low, row.high) == add(lots)
    assert sum(low for _, low, _ in lots) < row.low
