"""What must not reach the books: neighbouring beds, photos that the gate refused. And photos sent twice."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from sqlalchemy import Connection, select

from db import reports
from db.ingest import Verdict, book_done
from db.models.photos import Image, PhotoSession, SessionContainer, SessionFinding
from db.models.stock import Count
from db.plan import look_up
from db.runs import Policy, RunInfo
from db.sessions import session_row
from pipeline.storage import image_id
from pipeline.types import Check, ContainerKind, Detections, Finding, Measures, PhotoResult, Severity, Total
from tests.db.counting import MODEL, begin, count_photo, place, rows_in, save, stock_of, take
from tests.db.seen import TAKEN, a_photo, a_result

SEGMENT, BOX, LOOSE = ContainerKind.SEGMENT, ContainerKind.BOX, ContainerKind.LOOSE
BLURRED = Finding(Check.BLUR, Severity.REFUSAL, "the photo is blurred; take it again", 0.4)
EMPTY = Finding(Check.EMPTY, Severity.REFUSAL, "no plant was found", 1.0)
UNREADABLE = Finding(Check.UNREADABLE, Severity.REFUSAL, "the photo is almost black", 12.0)
ACCEPT = Policy(repeat=Severity.WARNING, accept=True)
ASK = Policy(repeat=Severity.WARNING)
HASH = 0x0123456789ABCDEF


def begin_with(connection: Connection, policy: Policy) -> RunInfo:
    return replace(begin(connection), policy=policy)


def uncounted(result: PhotoResult) -> PhotoResult:
    """As the gate hands over a photo at which no network has looked."""
    bare = replace(
        result,
        counts=(),
        detections=Detections.empty(),
        owner=result.owner[:0],
        low=0,
        high=0,
        main=Total(),
        counted=False,
    )
    return bare.with_findings((UNREADABLE,))


def statuses(connection: Connection) -> list[str]:
    found = list(connection.scalars(select(PhotoSession.status).order_by(PhotoSession.id)))
    connection.rollback()
    return found


def findings(connection: Connection) -> list[tuple[str, str]]:
    table = SessionFinding
    rows = connection.execute(
        select(table.check_name, table.severity).order_by(table.session_id, table.ordinal)
    )
    found = [(row.check_name, row.severity) for row in rows]
    connection.rollback()
    return found


def test_plants_of_neighbouring_beds_are_stored_with_the_photo_and_never_booked(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 300}, hidden=12, behind={SEGMENT: 80, LOOSE: 5})
    saved = count_photo(demo, begin(demo), result)

    assert saved.posted == 312
    assert stock_of(demo) == {"N01-NORTE-C01": 312}
    session = session_row(demo, saved.session_id)
    assert (session.seen, session.hidden) == (385, 12)
    assert session.main == Total(300, 12, result.main.low, result.main.high)
    roles = demo.scalars(select(SessionContainer.role).order_by(SessionContainer.ordinal)).all()
    assert roles == ["main", "background", "background"]


def test_a_kind_that_stands_only_in_the_background_gets_no_batch(demo: Connection) -> None:
    count_photo(demo, begin(demo), a_result(a_photo(), {SEGMENT: 300}, behind={BOX: 24}))

    assert demo.scalars(select(Count.quantity)).all() == [300]


def test_a_photo_whose_own_bed_is_bare_books_nothing_of_its_neighbours(demo: Connection) -> None:
    run = begin(demo)
    saved = count_photo(demo, run, a_result(a_photo(), {SEGMENT: 0}, behind={SEGMENT: 80}))

    assert saved.posted is None
    assert stock_of(demo) == {}


def test_naming_the_place_later_books_the_bed_alone_as_well(demo: Connection) -> None:
    run = begin(demo)
    result = a_result(a_photo("IMG_1"), {SEGMENT: 300}, behind={SEGMENT: 80})
    count_photo(demo, run, result, code=None)
    held = take(demo, run, result.photo, place(demo, "N01-SUR-C01"))

    assert book_done(demo, run, held).posted == 300
    bare = a_result(a_photo("IMG_2"), {SEGMENT: 0}, behind={SEGMENT: 80})
    count_photo(demo, run, bare, code=None)
    held = take(demo, run, bare.photo, place(demo, "N01-SUR-C02"))
    assert book_done(demo, run, held).posted is None


def test_the_interval_that_is_booked_is_the_one_of_the_bed(demo: Connection) -> None:
    """Containers of one photo share its errors, so that their bounds do not simply add up; those of the
    neighbours are not part of it."""
    result = a_result(a_photo(), {SEGMENT: 300, LOOSE: 30}, behind={SEGMENT: 200})
    count_photo(demo, begin(demo), result)
    (row,) = reports.stock(demo)

    assert (row.plants, row.low, row.high) == (330, result.main.low, result.main.high)


def test_no_part_of_a_bed_is_booked_as_less_sure_than_the_bed(demo: Connection) -> None:
    """Loose plants are twice as doubtful by themselves, but there are few of them."""
    result = a_result(a_photo(), {BOX: 300, SEGMENT: 40, LOOSE: 40})
    wide = replace(result.counts[2], low=0, high=400)
    count_photo(demo, begin(demo), replace(result, counts=(*result.counts[:2], wide)))
    rows = demo.execute(select(Count.quantity, Count.low, Count.high).order_by(Count.quantity)).all()
    main = result.main

    assert [row.quantity for row in rows] == [80, 300]
    assert (rows[0].low, rows[0].high) == (80 - (main.total - main.low), 80 + main.high - main.total)
    assert (rows[1].low, rows[1].high) == (result.counts[0].low, result.counts[0].high)


def test_what_stands_in_a_container_is_kept_with_it(demo: Connection) -> None:
    result = a_result(a_photo(), {BOX: 20, SEGMENT: 7})
    tray = replace(result.counts[0], dead=3, empty_pots=2, cells=28, empty_cells=5)
    cut = replace(result.counts[1], cells=28)  # by the frame: its empty cells cannot be told
    saved = count_photo(demo, begin(demo), replace(result, counts=(tray, cut)))

    rows = demo.execute(
        select(
            SessionContainer.dead,
            SessionContainer.empty_pots,
            SessionContainer.cells,
            SessionContainer.empty_cells,
        ).order_by(SessionContainer.ordinal)
    ).all()
    assert [tuple(row) for row in rows] == [(3, 2, 28, 5), (0, 0, 28, None)]
    session = session_row(demo, saved.session_id)
    assert (session.dead, session.empty_pots) == (3, 2)
    demo.rollback()


def test_a_refused_photo_is_kept_with_what_is_held_against_it_and_not_booked(demo: Connection) -> None:
    measures = Measures(0.4, *(1.0,) * 11)
    result = replace(a_result(a_photo(), {SEGMENT: 300}), measures=measures, unlikeness=1.5, phash=-HASH)
    saved = count_photo(demo, begin(demo), result.with_findings((BLURRED,)))

    assert (saved.status, saved.posted) == ("refused", None)
    assert stock_of(demo) == {}
    assert rows_in(demo)["counts"] == 0
    session = session_row(demo, saved.session_id)
    assert (session.seen, session.findings, session.unlikeness) == (300, (BLURRED,), 1.5)
    assert session.warnings == (BLURRED.sentence,)
    row = demo.execute(select(PhotoSession.measures, Image.phash).join(Image)).one()
    assert row.measures is not None
    assert (row.measures["sharpness"], row.phash) == (0.4, -HASH)


def test_a_refused_photo_is_never_a_baseline(demo: Connection) -> None:
    """What was sold before it is not, by it, sold twice or found again."""
    run, month = begin(demo), dt.timedelta(days=30)
    count_photo(demo, run, a_result(a_photo("march"), {SEGMENT: 300}))
    refused = a_result(a_photo("april"), {SEGMENT: 20}, taken_at=TAKEN + month)
    count_photo(demo, run, refused.with_findings((BLURRED,)))
    assert stock_of(demo) == {"N01-NORTE-C01": 300}

    saved = count_photo(demo, run, a_result(a_photo("may"), {SEGMENT: 290}, taken_at=TAKEN + 2 * month))
    assert saved.posted == -10


def test_a_recount_that_is_refused_leaves_the_earlier_count_standing(demo: Connection) -> None:
    count_photo(demo, begin(demo), a_result(a_photo(), {SEGMENT: 300}))
    better = begin(demo, ("plant-2+containers-1", "b" * 64))
    count_photo(demo, better, a_result(a_photo(), {SEGMENT: 5}).with_findings((BLURRED,)))

    assert stock_of(demo) == {"N01-NORTE-C01": 300}


def test_a_refused_photo_stays_so_until_somebody_accepts_it_and_is_then_booked_once(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 300}).with_findings((BLURRED,))
    count_photo(demo, begin(demo), result)
    where, key = place(demo, "N01-NORTE-C01"), (MODEL[1], "c0ffee")
    image = image_id(result.photo.sha256)
    before = rows_in(demo)

    run = begin(demo)
    held = take(demo, run, result.photo, where)
    assert (held.verdict, book_done(demo, run, held).posted) == (Verdict.DONE, None)
    assert rows_in(demo) == before
    assert "--accept-doubtful" in look_up(demo, image, key, where)
    assert look_up(demo, image, key, None, accept=True) == "book the count that waits"
    demo.rollback()

    run = begin_with(demo, ACCEPT)
    held = take(demo, run, result.photo, None)  # the place is that of the first time
    saved = book_done(demo, run, held)
    assert (held.verdict, saved.status, saved.posted) == (Verdict.DONE, "warning", 300)
    assert stock_of(demo) == {"N01-NORTE-C01": 300}
    assert findings(demo) == [("blur", "warning")]
    booked = rows_in(demo)
    for policy in (ACCEPT, ASK):
        run = begin_with(demo, policy)
        held = take(demo, run, result.photo, where)
        assert book_done(demo, run, held).posted is None
    assert rows_in(demo) == booked
    assert booked["detections"] == before["detections"] == 300


def test_an_accepted_photo_without_a_place_waits_for_one_and_needs_no_second_word(demo: Connection) -> None:
    result = a_result(a_photo("IMG_1"), {SEGMENT: 300}).with_findings((BLURRED,))
    count_photo(demo, begin(demo), result, code=None)
    assert statuses(demo) == ["refused"]

    run = begin_with(demo, ACCEPT)
    assert book_done(demo, run, take(demo, run, result.photo, None)).status == "needs_location"
    run = begin(demo)
    held = take(demo, run, result.photo, place(demo, "N01-SUR-C01"))
    assert book_done(demo, run, held).posted == 300


def test_an_accepted_photo_without_a_plant_is_still_no_baseline(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 0}).with_findings((EMPTY,))
    count_photo(demo, begin(demo), result)
    run = begin_with(demo, ACCEPT)

    saved = book_done(demo, run, take(demo, run, result.photo, None))
    assert (saved.status, saved.posted) == ("warning", None)
    assert rows_in(demo)["counts"] == 0


def test_a_photo_refused_at_a_glance_has_no_figures_and_is_counted_when_accepted(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 300})
    saved = count_photo(demo, begin(demo), uncounted(result))
    session = session_row(demo, saved.session_id)
    demo.rollback()
    assert (session.status, session.seen, session.main, session.dead, session.low) == ("refused", *[None] * 4)
    assert take(demo, begin(demo), result.photo, None).verdict is Verdict.DONE
    key = (MODEL[1], "c0ffee")
    assert look_up(demo, image_id(result.photo.sha256), key, None, accept=True) == "count and book"
    demo.rollback()

    warned = replace(UNREADABLE, severity=Severity.WARNING)
    accepted = result.with_findings((warned,))
    again = count_photo(demo, begin_with(demo, ACCEPT), accepted, code=None)  # the place is known since
    assert (again.session_id, again.status, again.posted) == (saved.session_id, "warning", 300)
    assert findings(demo) == [("unreadable", "warning")]
    assert rows_in(demo)["detections"] == 300


def like(result: PhotoResult, bits: int) -> PhotoResult:
    """With a hash that differs from HASH in so many bits, the sign among them."""
    signed = HASH ^ ((1 << bits) - 1) << (64 - bits)
    return replace(result, phash=signed - (1 << 64) if signed >= 1 << 63 else signed)


def test_last_months_picture_sent_again_is_recognised_and_named(demo: Connection) -> None:
    run = begin_with(demo, ASK)
    count_photo(demo, run, like(a_result(a_photo("march.jpg"), {SEGMENT: 300}), 0))
    again = like(a_result(a_photo("sent on.jpg"), {SEGMENT: 299}, taken_at=None), 8)
    saved = count_photo(demo, run, again)

    (found,) = session_row(demo, saved.session_id).findings
    demo.rollback()
    assert (saved.status, found.check, found.value) == ("warning", Check.REPEAT, 8)
    for word in ("march.jpg", "N01-NORTE-C01", "taken on 2026-03-01", "take a new one"):
        assert word in found.sentence


def test_another_picture_is_no_repeat(demo: Connection) -> None:
    run = begin_with(demo, ASK)
    count_photo(demo, run, like(a_result(a_photo("march"), {SEGMENT: 300}), 0))
    count_photo(demo, run, like(a_result(a_photo("april"), {SEGMENT: 299}), 9))
    count_photo(demo, run, replace(a_result(a_photo("solid"), {SEGMENT: 9}), phash=None))

    assert findings(demo) == []
    assert statuses(demo) == ["completed"] * 3


@pytest.mark.parametrize(("code", "named"), [("N01-NORTE-C01", " of N01-NORTE-C01,"), (None, "one.jpg, ")])
def test_a_picture_of_any_place_or_none_is_recognised(demo: Connection, code: str | None, named: str) -> None:
    run = begin_with(demo, ASK)
    count_photo(demo, run, like(a_result(a_photo("one.jpg"), {SEGMENT: 300}), 0), code)
    saved = count_photo(demo, run, like(a_result(a_photo("two.jpg"), {SEGMENT: 300}), 1), "N01-SUR-C01")

    assert named in session_row(demo, saved.session_id).findings[0].sentence
    demo.rollback()


def test_of_equal_pictures_the_one_of_the_same_place_is_named(demo: Connection) -> None:
    run = begin(demo)
    count_photo(demo, run, like(a_result(a_photo("elsewhere"), {SEGMENT: 300}), 0), "N01-SUR-C01")
    count_photo(demo, run, like(a_result(a_photo("here"), {SEGMENT: 300}), 0))
    run = begin_with(demo, ASK)
    saved = count_photo(demo, run, like(a_result(a_photo("again"), {SEGMENT: 300}), 1))

    assert "photo here of N01-NORTE-C01" in session_row(demo, saved.session_id).findings[0].sentence
    demo.rollback()


def test_a_refused_photo_may_be_taken_again_from_the_same_spot(demo: Connection) -> None:
    run = begin_with(demo, ASK)
    count_photo(demo, run, like(a_result(a_photo("blurred"), {SEGMENT: 9}), 0).with_findings((BLURRED,)))
    saved = count_photo(demo, run, like(a_result(a_photo("sharp"), {SEGMENT: 300}), 2))

    assert (saved.status, saved.posted) == ("completed", 300)


def test_the_settings_may_refuse_repeats_or_not_ask(demo: Connection) -> None:
    count_photo(demo, begin(demo), like(a_result(a_photo("march"), {SEGMENT: 300}), 0))
    silent = count_photo(demo, begin(demo), like(a_result(a_photo("2"), {SEGMENT: 300}), 1))
    strict = begin_with(demo, Policy(repeat=Severity.REFUSAL))
    refused = count_photo(demo, strict, like(a_result(a_photo("3"), {SEGMENT: 100}), 1))

    assert (silent.status, refused.status, refused.posted) == ("completed", "refused", None)
    assert stock_of(demo) == {"N01-NORTE-C01": 300}


def test_counting_again_does_not_turn_the_first_photo_into_the_repeat_of_its_copy(demo: Connection) -> None:
    march = like(a_result(a_photo("march"), {SEGMENT: 300}), 0)
    copy = like(a_result(a_photo("copy"), {SEGMENT: 300}), 3)
    for model in (MODEL, ("plant-2+containers-1", "b" * 64)):
        run = replace(begin(demo, model), policy=ASK)
        count_photo(demo, run, march)
        count_photo(demo, run, copy)

    assert statuses(demo) == ["completed", "warning"] * 2


def test_of_two_alike_in_one_batch_one_is_told_whichever_is_done_first(demo: Connection) -> None:
    run = begin_with(demo, ASK)
    first, second = (like(a_result(a_photo(name), {SEGMENT: 300}), 0) for name in ("first", "second"))
    held = [take(demo, run, one.photo, place(demo, "N01-NORTE-C01")) for one in (first, second)]
    for one, claimed in ((second, held[1]), (first, held[0])):
        save(demo, run, claimed, one)

    assert sorted(statuses(demo)) == ["completed", "warning"]
