"""Rows of `stock_movements`: written many at once, and watched that no batch ever holds less than nothing."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal

from sqlalchemy import Connection, bindparam, text

from db.batches import describe
from db.errors import InsufficientStock, Shortage

_TYPES = {
    "movement_id": "uuid",
    "batch_id": "bigint",
    "movement_type": "text",
    "source_bin_id": "integer",
    "destination_bin_id": "integer",
    "quantity": "integer",
    "user_id": "integer",
    "source_type": "text",
    "occurred_at": "timestamptz",
    "plants_per_pot": "integer",
    "unit_price": "numeric",
    "total_price": "numeric",
    "reason_description": "text",
    "session_id": "bigint",
    "count_id": "bigint",
    "transfer_id": "uuid",
    "reverses_movement_id": "bigint",
    "idempotency_key": "text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of `stock_movements`, column by column."""

    movement_id: uuid.UUID
    batch_id: int
    movement_type: str
    source_bin_id: int | None
    destination_bin_id: int | None
    quantity: int
    user_id: int
    source_type: str
    occurred_at: dt.datetime
    plants_per_pot: int = 1
    unit_price: Decimal | None = None
    total_price: Decimal | None = None
    reason_description: str | None = None
    session_id: int | None = None
    count_id: int | None = None
    transfer_id: uuid.UUID | None = None
    reverses_movement_id: int | None = None
    idempotency_key: str | None = None


_COLUMNS = ", ".join(_TYPES)
_ARRAYS = ", ".join(f"%({name})s::{kind}[]" for name, kind in _TYPES.items())
_INSERT = (
    f"INSERT INTO stock_movements ({_COLUMNS}) SELECT * FROM unnest({_ARRAYS})"  # noqa: S608  our own names
    " RETURNING movement_id, id"
)


def write_entries(connection: Connection, rows: Sequence[Row]) -> list[int]:
    """Append the rows in one statement; their ids, in order. What the batches hold is left to the caller."""
    if not rows:
        return []
    values = {field.name: [getattr(row, field.name) for row in rows] for field in fields(Row)}
    ids: dict[uuid.UUID, int] = {row[0]: row[1] for row in connection.exec_driver_sql(_INSERT, values)}
    return [ids[row.movement_id] for row in rows]


_SHORTAGES = text(
    "SELECT batch_id, occurred_at, plants FROM batch_shortages(CAST(:batches AS bigint[])) ORDER BY batch_id"
).bindparams(bindparam("batches"))


def shortages(connection: Connection, batches: Collection[int]) -> list[Shortage]:
    """The first moment at which each batch holds less than nothing, by all its entries written so far."""
    rows = connection.execute(_SHORTAGES, {"batches": sorted(batches)}).all()
    return [Shortage(row[0], describe(connection, row[0]), row[1], -int(row[2])) for row in rows]


def require_no_shortage(connection: Connection, batches: Collection[int]) -> None:
    """Raises InsufficientStock. The database would refuse it too, at commit, in fewer words."""
    found = shortages(connection, batches)
    if found:
        raise InsufficientStock(found)
