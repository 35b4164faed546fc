"""What a closed month vouches for: a canonical text of each row, its sha256, and the hash that seals all.

    entry   sha256 of a JSON list: name and version of the form, then the row's columns in the order below
    period  sha256 of its head (a JSON list as well, with the hash of the period before) and, a line each,
            `kind row_id entry`, by kind and number of the row

Times are UTC to the microsecond, decimals keep their digits, NULL is null, text is UTF-8 without escapes. To
change a form is to begin a new version: what was sealed by an old one must stay provable.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from db.models.photos import Image, PhotoSession
from db.models.stock import Count, StockMovement
from db.models.vocabulary import SealedKind

Span = tuple[dt.datetime | None, dt.datetime]  # from (None: from the beginning), and up to but not including
Seals = Mapping[tuple[str, int], bytes]  # sha256 by kind and number of the row

_MOVEMENT = (
    *("id", "movement_id", "batch_id", "movement_type", "source_bin_id", "destination_bin_id", "quantity"),
    *("plants_per_pot", "user_id", "unit_price", "total_price", "reason_description", "session_id"),
    *("count_id", "source_type", "transfer_id", "reverses_movement_id", "idempotency_key", "occurred_at"),
    "recorded_at",
)
_COUNT = (
    *("id", "location_id", "batch_id", "session_id", "source", "status", "counted_at", "recorded_at"),
    *("quantity", "low", "high", "user_id", "decided_by_user_id", "decided_at", "notes"),
)


@dataclass(frozen=True, slots=True)
class Head:
    """What a period says of itself."""

    month: dt.date
    timezone: str
    span: Span
    previous_hash: bytes | None
    closed_by_user_id: int
    closed_at: dt.datetime


def seals_of(connection: Connection, span: Span) -> dict[tuple[str, int], bytes]:
    """The sha256 of every row that a period vouches for, as they read now."""
    return {
        (kind.value, row[0]): _sha256([f"demeter-{kind}-1", *row])
        for kind, query in _queries(span)
        for row in connection.execute(query)
    }


def period_hash(head: Head, seals: Seals) -> bytes:
    fields = [head.month, head.timezone, *head.span, head.previous_hash, head.closed_by_user_id]
    whole = hashlib.sha256(canonical(["demeter-period-1", *fields, head.closed_at]))
    for (kind, row_id), sha256 in sorted(seals.items()):
        whole.update(f"\n{kind} {row_id} {sha256.hex()}".encode())
    return whole.digest()


def sign(key: bytes, sealed: bytes) -> bytes:
    """HMAC-SHA256: who has the database but not the key cannot seal anew what he changed."""
    return hmac.digest(key, sealed, "sha256")


def canonical(values: Sequence[Any]) -> bytes:
    plain = [_plain(value) for value in values]
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _sha256(values: Sequence[Any]) -> bytes:
    return hashlib.sha256(canonical(values)).digest()


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case dt.datetime():
            return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case dt.date():
            return value.isoformat()
        case Decimal() | uuid.UUID():
            return str(value)
        case bytes():
            return value.hex()
    raise TypeError(f"{type(value).__name__} has no canonical form")


def _queries(span: Span) -> Iterator[tuple[SealedKind, Any]]:
    counted = tuple(_within(Count.counted_at, span))
    yield (
        SealedKind.MOVEMENT,
        _columns(StockMovement, _MOVEMENT).where(*_within(StockMovement.occurred_at, span)),
    )
    yield SealedKind.COUNT, _columns(Count, _COUNT).where(*counted)
    yield (
        SealedKind.EVIDENCE,
        select(PhotoSession.id, PhotoSession.image_id, Image.sha256, PhotoSession.evidence_sha256)
        .join(Image, Image.id == PhotoSession.image_id)
        .where(PhotoSession.id.in_(select(Count.session_id).where(*counted))),
    )


def _columns(table: Any, names: Iterable[str]) -> Select[Any]:
    return select(*(getattr(table, name) for name in names))


def _within(column: Any, span: Span) -> Iterator[ColumnElement[bool]]:
    start, end = span
    yield column < end
    if start is not None:
        yield column >= start
