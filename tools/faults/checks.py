"""What must hold after every fault, once the batch has been run to its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from db.engine import connect
from db.verify import findings
from pipeline.errors import StorageError
from pipeline.storage import KINDS, ORIGINALS, Store

# One row per photo: how it stands, and what of it is in the books. A photo that was saved twice would show.
_SESSIONS = text(
    """
    SELECT image.original_name, session.status, place.code, session.total_detected, session.total_estimated,
        session.low, session.high,
        (SELECT count(*) FROM detections WHERE session_id = session.id) AS boxes,
        (SELECT count(*) FROM session_containers WHERE session_id = session.id) AS containers,
        (SELECT coalesce(sum(quantity), 0) FROM counts
            WHERE session_id = session.id AND counts.status = 'accepted') AS booked,
        (SELECT count(*) FROM counts WHERE session_id = session.id AND counts.status = 'accepted') AS counts
    FROM photo_sessions AS session
    JOIN images AS image ON image.id = session.image_id
    LEFT JOIN storage_locations AS place ON place.id = session.storage_location_id
    ORDER BY 1
    """
)
_KEYS = text(
    """
    SELECT storage_key AS key, sha256 FROM images WHERE storage_key IS NOT NULL
    UNION ALL SELECT evidence_key, evidence_sha256 FROM photo_sessions WHERE evidence_key IS NOT NULL
    UNION ALL SELECT overlay_key, NULL FROM photo_sessions WHERE overlay_key IS NOT NULL
    UNION ALL SELECT thumbnail_key, NULL FROM images WHERE thumbnail_key IS NOT NULL
    """
)
_UNFINISHED = text("SELECT count(*) FROM photo_sessions WHERE status IN ('pending', 'processing')")
_RUNNING = text("SELECT count(*) FROM runs WHERE status = 'running'")


@dataclass(frozen=True)
class Books:
    """All that can be compared between two nurseries."""

    sessions: tuple[tuple[Any, ...], ...]
    unfinished: int
    running: int
    unsound: tuple[str, ...]  # what `demeter stock verify` finds
    lost: tuple[str, ...]  # rows point to these files, which are missing or not what they were
    orphans: tuple[str, ...]  # files to which no row points


def read_books(url: str, store: Store) -> Books:
    with connect(url) as connection:
        rows = connection.execute(_KEYS).all()
        known = {row.key: row.sha256 for row in rows}
        return Books(
            tuple(tuple(row) for row in connection.execute(_SESSIONS)),
            connection.scalar(_UNFINISHED) or 0,
            connection.scalar(_RUNNING) or 0,
            _unsound(connection),
            tuple(_lost(store, known)),
            tuple(_orphans(store, set(known))),
        )


def _unsound(connection: Connection) -> tuple[str, ...]:
    return tuple(f"{one.what} {one.problem}" for one in findings(connection, None))


def _lost(store: Store, known: dict[str, str | None]) -> Iterator[str]:
    for key, sha256 in known.items():
        try:
            store.read_bytes(key, sha256)
        except StorageError as error:
            yield str(error)


def _orphans(store: Store, known: set[str]) -> Iterator[str]:
    for kind in KINDS:
        yield from sorted(found.key for found in store.files(kind) if found.key not in known)
    here = store.local(ORIGINALS)
    if here is not None:  # half-written files, which no list of the store shows
        yield from sorted(str(path) for path in here.parent.rglob("*.part"))


def differences(found: Books, clean: Books) -> Iterator[str]:
    """Sentences about what differs from a clean run, and what is wrong in itself."""
    if found.unfinished:
        yield f"{found.unfinished} claims are stuck"
    if found.running:
        yield f"{found.running} runs are still marked as running"
    yield from (f"a row points to a file that is lost: {one}" for one in found.lost)
    yield from (f"the books are not sound: {one}" for one in found.unsound)
    mine, theirs = ({row[0]: row for row in books.sessions} for books in (found, clean))
    if len(mine) != len(found.sessions):
        yield "a photo has two sessions"
    yield from (f"{name} is lost" for name in theirs.keys() - mine.keys())
    yield from (f"{name} came from nowhere" for name in mine.keys() - theirs.keys())
    for name in sorted(mine.keys() & theirs.keys()):
        if mine[name] != theirs[name]:
            yield f"{name} is {mine[name][1:]} and in a clean run {theirs[name][1:]}"
