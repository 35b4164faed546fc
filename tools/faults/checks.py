"""What must hold after every fault, once the batch has been run to its end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from db.engine import connect
from db.verify import findings

# One row per photo: how it stands, and what of it is in the books. The tables of detections are partitioned by
# the time of saving, so a photo that was saved twice would show here too.
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


def read_books(url: str, data: Path) -> Books:
    with connect(url) as connection:
        rows = connection.execute(_KEYS).all()
        known = {row.key: row.sha256 for row in rows}
        store = data / "photos"
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


def _lost(store: Path, known: dict[str, str | None]) -> Iterator[str]:
    for key, sha256 in known.items():
        path = store / key
        if not path.is_file():
            yield key
        elif sha256 and hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            yield f"{key} (other bytes)"


def _orphans(store: Path, known: set[str]) -> Iterator[str]:
    for path in sorted(store.rglob("*")):
        key = path.relative_to(store).as_posix()
        if path.is_file() and key not in known and path.name != ".demeter-output":
            yield key


def differences(found: Books, clean: Books) -> Iterator[str]:
    """Sentences about what differs from a clean run, and what is wrong in itself."""
    if found.unfinished:
        yield f"{found.unfinished} claims are stuck"
    if found.running:
        yield f"{found.running} runs are still marked as running"
    yield from (f"a row points to a file that is lost: {key}" for key in found.lost)
    yield from (f"the books are not sound: {one}" for one in found.unsound)
    mine, theirs = ({row[0]: row for row in books.sessions} for books in (found, clean))
    if len(mine) != len(found.sessions):
        yield "a photo has two sessions"
    yield from (f"{name} is lost" for name in theirs.keys() - mine.keys())
    yield from (f"{name} came from nowhere" for name in mine.keys() - theirs.keys())
    for name in sorted(mine.keys() & theirs.keys()):
        if mine[name] != theirs[name]:
            yield f"{name} is {mine[name][1:]} and in a clean run {theirs[name][1:]}"
