"""Audits in the database: what may be drawn, what was drawn, what was counted by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import Connection, text

from db.audit_photos import Candidate, Wanted, candidates, counted_photo
from db.audits import (
    audits,
    close_sheet,
    named,
    open_for_counts,
    save_hand_counts,
    tiles_of,
)
from db.engine import connect
from db.errors import AuditRefused, NotFound
from db.models.vocabulary import AuditStatus
from pipeline.audit.frames import cut_frames
from tests.db.audited import (
    BED,
    BOX,
    NOW,
    OTHER_BED,
    SEGMENT,
    applied,
    begin,
    count_photo,
    draw,
    photo_of,
)
from tests.db.seen import TAKEN, a_photo, a_result


@pytest.fixture
def demo(demo_url: str) -> Iterator[Connection]:
    """A connection to the demo nursery."""
    with connect(demo_url) as connection:
        yield connection


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


def test_a_photo_of_a_domain_knows_its_season() -> None:
    candidate = Candidate(1, ("m", "s", "c"), 4, "SKU", "name", BED, TAKEN, "key", 10, 10)

    assert (candidate.domain.product_id, candidate.domain.season) == (4, "MAM")
