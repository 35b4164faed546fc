"""Corrections: they act on the counts that follow, while they stand, and are never rewritten."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError

from db import reports
from db.corrections import apply_audit, corrections, expired, step_of, withdraw
from db.engine import connect
from db.errors import AuditRefused
from db.ingest import book_done, claim
from db.models.audits import Correction, SessionCorrection
from db.models.photos import PhotoSession
from db.places import PlaceIndex
from db.restate import restate
from db.sessions import session_row
from db.stock import user_id
from pipeline.storage import image_id
from tests.db.audited import (
    BED,
    BOX,
    NOW,
    OTHER_BED,
    SEGMENT,
    applied,
    apply,
    begin,
    booked,
    count_by_hand,
    count_photo,
    draw,
    photo_of,
)
from tests.db.seen import TAKEN, a_photo, a_result
from tests.db.test_restate import by


@pytest.fixture
def demo(demo_url: str) -> Iterator[Connection]:
    """A connection to the demo nursery."""
    with connect(demo_url) as connection:
        yield connection


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


def test_a_restated_count_comes_from_another_way_of_counting_and_is_not_corrected(demo: Connection) -> None:
    run = begin(demo)
    for _ in range(4):
        count_photo(demo, run, photo_of(150, 10))
    factor = apply(demo, count_by_hand(demo, draw(demo)))
    later = photo_of(200, 20)
    saved = count_photo(demo, run, later)
    assert booked(demo, saved.session_id)[0] == round(220 * factor)

    other = by(later, "bands", 50)
    assert restate(demo, begin(demo), saved.session_id, other).changed
    assert step_of(demo, saved.session_id) is None
    (row,) = reports.stock(demo, as_of=None)
    assert (row.plants, row.correction, row.audit) == (250, None, None)
    # What was added to the earlier count stays on record.
    added = select(SessionCorrection.plants).where(SessionCorrection.session_id == saved.session_id)
    assert demo.scalars(added).one() == round(220 * factor) - 220
