"""Photos counted, audits drawn and counted by hand: what tests of audits begin with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from itertools import count as numbers

from sqlalchemy import Connection, select

from db.audit_photos import Wanted, candidates, counted_photo
from db.audits import (
    AuditRow,
    close_sheet,
    save_audit,
    save_hand_counts,
    tiles_of,
)
from db.corrections import apply_audit
from db.ingest import Saved, claim, save_result
from db.models.stock import Count
from db.models.vocabulary import AuditStatus
from db.places import PlaceIndex
from db.runs import RunInfo, start_run
from db.sessions import Stored
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
