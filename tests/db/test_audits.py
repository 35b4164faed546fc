"""Audits in the database: from counted photos to corrections of the counts that follow."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count as numbers

import numpy as np
import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError

from db import reports
from db.audit_photos import Candidate, Wanted, candidates, counted_photo
from db.audits import (
    AuditRow,
    audits,
    close_sheet,
    named,
    open_for_counts,
    save_audit,
    save_hand_counts,
    tiles_of,
)
from db.corrections import apply_audit, corrections, expired, step_of, withdraw
from db.engine import connect
from db.errors import AuditRefused, NotFound
from db.ingest import RunInfo, Saved, book_done, claim, save_result, start_run
from db.models.audits import Correction, SessionCorrection
from db.models.photos import PhotoSession
from db.models.stock import Count
from db.models.vocabulary import AuditStatus
from db.places import PlaceIndex
from db.sessions import Stored, session_row
from db.stock import user_id
from pipeline.audit.frames import cut_frames
from pipeline.audit.ratio import biases
from pipeline.audit.sample import draw_tiles
from pipeline.storage import image_id, original_key
from pipeline.types import ContainerKind, PhotoResult
from tests.db.seen import TAKEN, a_photo, a_result

SEGMENT, BOX = ContainerKind.SEGMENT, ContainerKind.BOX
MODEL = ("plant-1+containers-1", "a" * 64)
BED, OTHER_BED = "N01-NORTE-C01", "N01-NORTE-C02"  # MAM-BOC-001, CAC-MIX-001
NOW = dt.datetime.now(dt.UTC)
_names = numbers(1)


@pytest.fixture
def demo(demo_url: str) -> Iterator[Connection]:
    """A connection to the demo nursery."""
    with connect(demo_url) as connection:
        yield connection


def begin(connection: Connection, model: tuple[str, str] = MODEL) -> RunInfo:
    user = user_id(connection, "system@demeter.local")
    connection.rollback()
    return start_run(connection, "process", model, "c0ffee", user)


def count_photo(connection: Connection, run: RunInfo, result: PhotoResult, code: str | None = BED) -> Saved:
    place = PlaceIndex.load(connection).named(code) if code else None
    connection.rollback()
    held = claim(connection, run, (image_id(result.photo.sha256), result.photo), place)
    key = original_key(result.photo.sha256, ".jpg", held.first_met.date())
    return save_result(connection, run, held, result, Stored(key, None, result.info.taken_at))


def photo_of(seen: int, hidden: int = 0, taken: dt.datetime = TAKEN) -> PhotoResult:
    return a_result(a_photo(f"photo-{next(_names)}.jpg"), {SEGMENT: seen}, hidden, taken)


def draw(
    connection: Connection, wanted: Wanted | None = None, expires: dt.datetime | None = None
) -> AuditRow:
    """An audit of thirty tiles, as the command draws it."""
    with connection.begin():
        photos = candidates(connection, wanted or Wanted(product="MAM-BOC-001"))
        frames = [(p.domain, frame) for p in photos for frame in cut_frames(counted_photo(connection, p))]
        tiles = draw_tiles(frames, 30, seed=1)
        drawn = AuditRow(
            id=0,
            code="",
            status=AuditStatus.DRAWN,
            created_at=NOW - dt.timedelta(days=1),
            expires_at=expires or NOW + dt.timedelta(days=119),
            recorded=False,
            seed=1,
            photos=len(photos),
            frames=len(frames),
            tiles=len(tiles),
            counted=0,
            model=photos[0].model,
            filters={"product": "MAM-BOC-001"},
        )
        user = user_id(connection, "system@demeter.local")
        return save_audit(connection, drawn, tiles, user, dt.date(2026, 11, 24))


def count_by_hand(
    connection: Connection, audit: AuditRow, hand: Callable[[float], int] = lambda n: round(1.2 * n)
) -> AuditRow:
    rows = tiles_of(connection, audit)
    connection.rollback()
    with connection.begin():
        counts = [(row.number, hand(row.count.tile.frame.expected), None) for row in rows]
        save_hand_counts(connection, audit, counts, "Ana")
        return close_sheet(connection, audit)


def apply(connection: Connection, audit: AuditRow) -> float:
    """Apply all that follows from the audit; returns the factor of its only product and season."""
    found = biases(row.count for row in tiles_of(connection, audit))
    user = user_id(connection, "system@demeter.local")
    connection.rollback()
    with connection.begin():
        (row,) = apply_audit(connection, audit, [(bias, False) for bias in found], user)
    return row.factor


def applied(connection: Connection, photos: int = 3) -> tuple[RunInfo, AuditRow, float]:
    run = begin(connection)
    for _ in range(photos):
        count_photo(connection, run, photo_of(150, 10))
    audit = count_by_hand(connection, draw(connection))
    return run, audit, apply(connection, audit)


def booked(connection: Connection, session_id: int) -> tuple[int, int | None, int | None]:
    row = connection.execute(
        select(Count.quantity, Count.low, Count.high).where(Count.session_id == session_id)
    ).one()
    connection.rollback()
    return row.quantity, row.low, row.high


def test_photos_are_candidates_when_their_count_stands_in_the_books(demo: Connection) -> None:
    run = begin(demo)
    first = count_photo(demo, run, photo_of(50))
    count_photo(demo, run, photo_of(50), code=None)  # no place
    count_photo(demo, run, a_result(a_photo("empty.jpg"), {}))  # not a plant
    other = count_photo(demo, run, photo_of(60, taken=TAKEN + dt.timedelta(days=40)), OTHER_BED)

    def found(**filters: object) -> list[int]:
        sessions = [c.session_id for c in candidates(demo, Wanted(**filters))]  # type: ignore[arg-type]
        demo.rollback()
        return sessions

    assert found() == [first.session_id, other.session_id]
    assert found(place="n01-norte") == [first.session_id, other.session_id]
    assert found(place=BED) == found(product="mam-boc-001") == [first.session_id]
    assert found(since=TAKEN.date() + dt.timedelta(days=1)) == [other.session_id]
    assert found(until=TAKEN.date()) == [first.session_id]
    with pytest.raises(NotFound, match="widen the filters"):
        found(place="N02")


def test_only_what_the_newest_model_counted_is_drawn_from(demo: Connection) -> None:
    count_photo(demo, begin(demo), photo_of(50))
    newer = count_photo(demo, begin(demo, ("plant-2+containers-1", "b" * 64)), photo_of(50))

    assert [c.session_id for c in candidates(demo, Wanted())] == [newer.session_id]


def test_a_counted_photo_comes_back_as_it_was_counted(demo: Connection) -> None:
    result = a_result(a_photo(), {SEGMENT: 80, BOX: 30}, hidden=12)
    count_photo(demo, begin(demo), result)
    (candidate,) = candidates(demo, Wanted())
    photo = counted_photo(demo, candidate)

    boxes = result.detections.boxes
    np.testing.assert_allclose(photo.middles, (boxes[:, :2] + boxes[:, 2:]) / 2, rtol=1e-6)
    np.testing.assert_allclose(photo.sizes, np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)), rtol=1e-5)
    np.testing.assert_array_equal(photo.owner, result.owner)
    assert [c.kind for c in photo.containers] == [SEGMENT, BOX]
    assert sum(band.plants for band in photo.bands) == pytest.approx(12)
    assert sum(frame.expected for frame in cut_frames(photo)) == pytest.approx(122)


def test_hidden_plants_are_still_known_when_their_estimations_are_gone(demo: Connection) -> None:
    count_photo(demo, begin(demo), photo_of(80, hidden=12))
    demo.execute(text("DELETE FROM estimations"))
    (candidate,) = candidates(demo, Wanted())

    assert sum(frame.hidden for frame in cut_frames(counted_photo(demo, candidate))) == pytest.approx(12)


def test_an_audit_is_kept_as_it_was_drawn(demo: Connection) -> None:
    run = begin(demo)
    for _ in range(4):
        count_photo(demo, run, photo_of(150, 10))
    first, second = draw(demo), draw(demo)
    rows = tiles_of(demo, first)

    assert (first.code, second.code) == ("AUD-2026-11-24-01", "AUD-2026-11-24-02")
    assert [audit.code for audit in audits(demo)] == [second.code, first.code]
    assert named(demo, "aud-2026-11-24-01") == first
    assert [row.number for row in rows] == list(range(1, 31))
    assert {(row.sku, row.place) for row in rows} == {("MAM-BOC-001", BED)}
    assert all(0 < row.count.tile.probability <= 1 and not row.count.is_counted for row in rows)
    assert [row.count for row in tiles_of(demo, second)] == [row.count for row in rows]
    with pytest.raises(NotFound, match="audit list"):
        named(demo, "AUD-2026-11-24-09")


def test_counts_made_after_an_audit_was_applied_are_corrected_and_earlier_ones_are_not(
    demo: Connection,
) -> None:
    run = begin(demo)
    earlier = [count_photo(demo, run, photo_of(150, 10)) for _ in range(4)]
    before = [booked(demo, saved.session_id) for saved in earlier]
    audit = count_by_hand(demo, draw(demo))
    factor = apply(demo, audit)
    later = photo_of(200, 20)
    saved = count_photo(demo, run, later)
    quantity, low, high = booked(demo, saved.session_id)

    assert factor == pytest.approx(1.2, abs=0.03)
    assert quantity == round(220 * factor) == saved.posted + 160
    assert low is not None
    assert high is not None
    assert low < quantity < high
    assert high - low >= factor * (later.high - later.low) - 2
    assert [booked(demo, one.session_id) for one in earlier] == before
    # What the machine saw stays what it saw; the correction stands beside it.
    session = session_row(demo, saved.session_id)
    assert (session.seen, session.hidden, session.low, session.high) == (200, 20, later.low, later.high)
    step = step_of(demo, saved.session_id)
    assert step is not None
    assert (step.audit, step.factor, step.plants) == (audit.code, factor, quantity - 220)
    assert step.bounds(220, later.low, later.high) == (low, high)
    assert step_of(demo, earlier[0].session_id) is None
    (row,) = reports.stock(demo)
    assert (row.plants, row.correction, row.factor, row.audit) == (
        quantity,
        quantity - 220,
        factor,
        audit.code,
    )


def test_a_correction_is_booked_by_category_of_bin(demo: Connection) -> None:
    run, _, factor = applied(demo)
    saved = count_photo(demo, run, a_result(a_photo("both.jpg"), {SEGMENT: 101, BOX: 33}))
    rows = demo.execute(
        select(SessionCorrection.category, SessionCorrection.plants)
        .where(SessionCorrection.session_id == saved.session_id)
        .order_by(SessionCorrection.category)
    ).all()

    assert [tuple(row) for row in rows] == [
        ("box", round(33 * factor) - 33),
        ("segment", round(101 * factor) - 101),
    ]
    (row,) = reports.stock(demo)
    assert row.plants == round(101 * factor) + round(33 * factor)
    assert row.correction == row.plants - 134


def test_a_photo_that_waited_for_its_place_is_corrected_when_it_is_booked(demo: Connection) -> None:
    run, audit, factor = applied(demo)
    result = photo_of(90)
    waiting = count_photo(demo, run, result, code=None)
    assert step_of(demo, waiting.session_id) is None
    place = PlaceIndex.load(demo).named(BED)
    demo.rollback()
    book_done(demo, run, claim(demo, run, (image_id(result.photo.sha256), result.photo), place))

    assert booked(demo, waiting.session_id)[0] == round(90 * factor)
    step = step_of(demo, waiting.session_id)
    assert step is not None
    assert step.audit == audit.code


@pytest.mark.parametrize("why", ["product", "season", "model", "withdrawn"])
def test_a_correction_is_for_its_product_season_and_model_while_it_stands(demo: Connection, why: str) -> None:
    run, audit, _ = applied(demo)
    code, taken = BED, TAKEN
    if why == "product":
        code = OTHER_BED
    elif why == "season":
        taken = TAKEN + dt.timedelta(days=120)
    elif why == "model":
        run = begin(demo, ("plant-2+containers-1", "b" * 64))
    else:
        with demo.begin():
            assert withdraw(demo, audit) == 1
    saved = count_photo(demo, run, photo_of(200, taken=taken), code)

    assert step_of(demo, saved.session_id) is None
    assert booked(demo, saved.session_id)[0] == 200


def test_an_expired_correction_no_longer_acts_and_is_told_of_until_another_takes_its_place(
    demo: Connection,
) -> None:
    run, audit, _ = applied(demo)
    (row,) = corrections(demo, audit.code)
    demo.rollback()
    later = row.valid_until + dt.timedelta(seconds=1)
    assert expired(demo, {"MAM-BOC-001"}, NOW) == []
    assert expired(demo, {"CAC-MIX-001"}, later) == []
    assert [one.audit for one in expired(demo, {"MAM-BOC-001"}, later)] == [audit.code]
    demo.rollback()

    backdate(demo)
    assert [one.audit for one in expired(demo, {"MAM-BOC-001"}, NOW)] == ["AUD-2026-01-01-01"]
    demo.rollback()
    saved = count_photo(demo, run, photo_of(200))
    assert booked(demo, saved.session_id)[0] == 200
    again = count_by_hand(demo, draw(demo))
    factor = apply(demo, again)
    assert expired(demo, {"MAM-BOC-001"}, NOW) == []
    demo.rollback()
    assert booked(demo, count_photo(demo, run, photo_of(100)).session_id)[0] == round(100 * factor)


def backdate(connection: Connection) -> None:
    """Put one that ended long ago in the place of the correction that stands; rows cannot be changed."""
    audit = "seed, photos, frames, model, model_sha256, config_hash, created_by_user_id, status"
    dates = ("created_at", "expires_at", "recorded_at", "applied_at")
    earlier = ", ".join(f"{date} - make_interval(days => 300)" for date in dates)
    same = ("product_id", "season", "model_sha256", "config_hash", "factor", "standard_error", "low", "high")
    kept = ("tiles", "applied_by_user_id", *same)
    old = ", ".join(f"corrections.{name}" for name in kept)
    with connection.begin():
        connection.execute(text("UPDATE corrections SET withdrawn_at = now()"))
        connection.execute(
            text(
                f"INSERT INTO audits (code, {audit}, {', '.join(dates)})"
                f" SELECT 'AUD-2026-01-01-01', {audit}, {earlier} FROM audits"
            )
        )
        connection.execute(
            text(
                f"INSERT INTO corrections (audit_id, {', '.join(kept)}, valid_from, valid_until)"
                f" SELECT audits.id, {old}, applied_at, expires_at"
                " FROM corrections, audits WHERE audits.code = 'AUD-2026-01-01-01'"
            )
        )


def test_a_second_audit_takes_the_place_of_the_first(demo: Connection) -> None:
    run, first, _ = applied(demo)
    second = count_by_hand(demo, draw(demo), lambda n: round(0.7 * n))
    factor = apply(demo, second)

    assert factor == pytest.approx(0.7, abs=0.03)
    assert [row.withdrawn_at is not None for row in corrections(demo)] == [False, True]
    demo.rollback()
    assert booked(demo, count_photo(demo, run, photo_of(100)).session_id)[0] == round(100 * factor)
    # The audit compared people with the machine itself, not with what the first correction made of it.
    assert first.code != second.code


def test_an_audit_is_applied_once_and_withdrawn_once(demo: Connection) -> None:
    _, audit, _ = applied(demo)
    user = user_id(demo, "system@demeter.local")
    with pytest.raises(AuditRefused, match="somebody else"):
        apply_audit(demo, audit, [], user)
    withdraw(demo, audit)
    with pytest.raises(AuditRefused, match="withdrawn already"):
        withdraw(demo, audit)


def test_counts_are_refused_for_an_audit_that_is_over(demo: Connection) -> None:
    _, audit, _ = applied(demo)
    fresh = draw(demo)

    open_for_counts(fresh, NOW)
    with pytest.raises(AuditRefused, match="is applied"):
        open_for_counts(named(demo, audit.code), NOW)
    with pytest.raises(AuditRefused, match=r"expired on .*start another audit"):
        open_for_counts(fresh, fresh.expires_at)
    with pytest.raises(AuditRefused, match="is withdrawn"):
        open_for_counts(replace(fresh, status=AuditStatus.WITHDRAWN), NOW)


def test_a_sheet_with_too_few_counts_is_not_recorded_and_may_be_completed(demo: Connection) -> None:
    run = begin(demo)
    for _ in range(4):
        count_photo(demo, run, photo_of(150))
    audit = draw(demo)
    with demo.begin():
        save_hand_counts(demo, audit, [(n, 5, None) for n in range(1, 10)], "Ana")
    with pytest.raises(AuditRefused, match="9 of 30 tiles are counted, and at least 10"):
        close_sheet(demo, audit)
    demo.rollback()
    with demo.begin():
        save_hand_counts(demo, audit, [(10, 5, "dark\x00 corner")], "Ana")
        audit = close_sheet(demo, audit)

    assert (audit.status, audit.counted, audit.recorded) == (AuditStatus.RECORDED, 10, True)
    tenth = tiles_of(demo, audit)[9]
    assert (tenth.count.plants, tenth.counted_by, tenth.remark) == (5, "Ana", "dark\\x00 corner")


REWRITES = {
    "UPDATE corrections SET factor = 1.0": "may only be withdrawn",
    "UPDATE corrections SET valid_until = valid_until + interval '1 day'": "may only be withdrawn",
    "DELETE FROM corrections": "append-only",
    "UPDATE session_corrections SET plants = 0": "append-only",
    "DELETE FROM session_corrections": "append-only",
    "UPDATE audit_tiles SET seen = seen + 1": "only what was counted by hand may change",
    "UPDATE audit_tiles SET hand_count = 3": "an audit that is applied",
    "UPDATE audits SET status = 'withdrawn'": "ck_audits_withdrawn",
    "UPDATE audits SET expires_at = created_at": "ck_audits_expires_at",
    "UPDATE audits SET recorded_at = NULL": "ck_audits_recorded",
    "UPDATE corrections SET withdrawn_at = valid_from - interval '1 s'": "ck_corrections_withdrawn_at",
}


def test_the_database_refuses_to_rewrite_what_was_corrected(demo: Connection) -> None:
    run, _, _ = applied(demo)
    count_photo(demo, run, photo_of(100))

    for statement, words in REWRITES.items():
        with pytest.raises(IntegrityError, match=words):
            demo.execute(text(statement))
        demo.rollback()


def test_a_correction_once_withdrawn_stays_so(demo: Connection) -> None:
    _, audit, _ = applied(demo)
    with demo.begin():
        withdraw(demo, audit)

    with pytest.raises(IntegrityError, match="already withdrawn"):
        demo.execute(text("UPDATE corrections SET withdrawn_at = NULL"))


def test_a_recount_by_another_model_takes_the_corrected_count_back_whole(demo: Connection) -> None:
    run, _, factor = applied(demo)
    result = photo_of(100)
    count_photo(demo, run, result)
    assert reports.stock(demo)[0].plants == round(100 * factor)
    demo.rollback()
    count_photo(demo, begin(demo, ("plant-2+containers-1", "b" * 64)), result)
    (row,) = reports.stock(demo)

    assert (row.plants, row.correction, row.factor, row.audit) == (100, None, None, None)


def test_a_session_is_corrected_at_most_once_per_category(demo: Connection) -> None:
    run, _, _ = applied(demo)
    saved = count_photo(demo, run, photo_of(100))
    correction = demo.scalar(select(Correction.id))
    session = demo.scalar(select(PhotoSession.id).where(PhotoSession.id == saved.session_id))

    with pytest.raises(IntegrityError, match="uq_session_corrections"):
        demo.execute(
            insert(SessionCorrection).values(
                session_id=session, category="segment", correction_id=correction, plants=1
            )
        )


def test_a_photo_of_a_domain_knows_its_season() -> None:
    candidate = Candidate(1, ("m", "s", "c"), 4, "SKU", "name", BED, TAKEN, "key", 10, 10)

    assert (candidate.domain.product_id, candidate.domain.season) == (4, "MAM")
