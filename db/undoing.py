"""Taking movements back: by opposite entries that name them, once."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from db.batches import among, lock_batches
from db.errors import AlreadyUndone, LedgerRefused, NotFound
from db.models.stock import StockMovement
from db.models.vocabulary import MovementSource, MovementType
from db.movements import Booked, Entry, book
from db.periods import hold_periods, require_open
from db.stock import reject_count
from pipeline.words import Sentence, marked


def undo(connection: Connection, movement: int, user_id: int, reason: str | None = None) -> list[Booked]:
    """Take back a movement, and of a transfer all its entries, by opposite entries that name them.

    They are dated as what they take back; where that month is closed, at the beginning of the open one. Works
    in the caller's transaction, as `book` does. Raises NotFound, AlreadyUndone, and what `book` raises.
    """
    table = StockMovement
    one = connection.execute(
        select(
            table.movement_type,
            table.transfer_id,
            table.reverses_movement_id,
            table.count_id,
            table.session_id,
        ).where(table.id == movement)
    ).one_or_none()
    if one is None:
        listed = marked("there is no movement {movement}; `demeter stock list` shows them with their numbers")
        raise NotFound(Sentence(listed, movement=movement))
    _require_own(movement, one)
    open_from = hold_periods(connection)
    whole = table.id == movement if one.transfer_id is None else table.transfer_id == one.transfer_id
    lock_batches(connection, connection.scalars(select(table.batch_id).where(whole)).all())
    rows = connection.execute(select(*table.__table__.columns).where(whole).order_by(table.id)).all()
    _require_standing(connection, [row.id for row in rows])
    transfer = uuid.uuid4() if one.transfer_id else None
    for row in rows:
        if row.movement_type == MovementType.MANUAL_INIT and row.count_id is not None:
            require_open(connection, row.occurred_at)
            reject_count(connection, row.count_id, user_id)
    entries = [
        Entry(
            movement_type=MovementType(row.movement_type),
            where=row.batch_id,
            quantity=-row.quantity,
            occurred_at=row.occurred_at if open_from is None else max(row.occurred_at, open_from),
            user_id=user_id,
            reason=reason or f"movement {row.id} undone",
            source=MovementSource.MANUAL_CORRECTION,
            plants_per_pot=row.plants_per_pot,
            transfer_id=transfer,
            reverses_id=row.id,
            count_id=row.count_id,
            session_id=row.session_id,
            unit_price=row.unit_price,
        )
        for row in rows
    ]
    return book(connection, entries)


def _require_own(movement: int, one: Any) -> None:
    """Raises LedgerRefused for what follows from a count, and for what took back another."""
    if one.movement_type == MovementType.FOTO:
        photo = one.session_id is not None
        remedy = f"photos reject {one.session_id}" if photo else f"stock uncount {one.count_id}"
        raise LedgerRefused(
            Sentence(
                "movement {movement} follows from a count: `demeter {remedy}` lets the books forget it",
                movement=movement,
                remedy=remedy,
            )
        )
    if one.reverses_movement_id is not None:
        raise LedgerRefused(
            Sentence(
                "movement {movement} took back movement {other}: it is not undone itself; book what"
                " happened anew",
                movement=movement,
                other=one.reverses_movement_id,
            )
        )


def _require_standing(connection: Connection, movements: Sequence[int]) -> None:
    table = StockMovement
    undone = connection.execute(
        select(table.id, table.reverses_movement_id, table.recorded_at).where(
            among(table.reverses_movement_id, movements)
        )
    ).first()
    if undone is not None:
        raise AlreadyUndone(
            Sentence(
                "movement {movement} was undone on {recorded_at:%Y-%m-%d}, by movement {id}",
                movement=undone.reverses_movement_id,
                recorded_at=undone.recorded_at,
                id=undone.id,
            )
        )
