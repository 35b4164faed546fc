"""Book what happens to plants. The only writer of movements other than `foto`.

    booked = retry(connection, lambda: book(connection, [Entry(...), ...]))

Entries are booked all or none. What is booked may be dated back: a count taken later stands, and what it
explains shrinks or grows instead (db/ledger.py). Nothing written is ever changed; `undo` writes the opposite.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from sqlalchemy import ARRAY, Connection, Date, Text, any_, bindparam, func, insert, literal, select, update

from db.batches import Held, Spot, add_plants, among, describe, ensure_batches, lock_batches
from db.entries import Row, require_no_shortage, write_entries
from db.errors import Forbidden, LedgerRefused, NotFound
from db.models.people import User
from db.models.stock import Count, StockBatch, StockMovement
from db.models.vocabulary import CountSource, CountStatus, MovementSource, MovementType, Role
from db.periods import require_open
from db.stock import settle_batches
from db.valuation import batch_prices
from pipeline.words import Sentence

# Of an entry that reverses nothing; types that are missing go either way.
SIGNS = {
    MovementType.SEMBRAR: 1,
    MovementType.PLANTAR: 1,
    MovementType.MANUAL_INIT: 1,
    MovementType.MUERTE: -1,
    MovementType.VENTAS: -1,
}
MAY_ADJUST = (Role.SUPERVISOR, Role.ADMIN, Role.SYSTEM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is to be booked. `where` is a batch's id, or a spot whose batch is made where there is none.

    A transfer is two entries, out and in, with one `transfer_id`, whose quantities times `plants_per_pot` sum
    to zero; plants that died on the way are a third, a `muerte`. A `manual_init` brings a hand count with it.
    An entry whose `idempotency_key` was booked before is not booked again. The day of `occurred_at` is read
    in its own time zone, so let it be the site's. A sale without a price gets that of the price list on its
    day, if there is one.
    """

    movement_type: MovementType
    where: int | Spot
    quantity: int  # signed
    occurred_at: dt.datetime
    user_id: int
    reason: str | None = None
    source: MovementSource = MovementSource.MANUAL
    plants_per_pot: int = 1
    transfer_id: uuid.UUID | None = None
    reverses_id: int | None = None
    count_id: int | None = None
    session_id: int | None = None
    unit_price: Decimal | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Booked:
    """An entry in the books, and what its batch held before the whole booking and holds now."""

    id: int
    batch_id: int
    movement_type: MovementType
    quantity: int
    before: int
    after: int
    known: bool = False  # it was booked earlier, under the same key


def book(connection: Connection, entries: Sequence[Entry]) -> list[Booked]:
    """Book the entries, in the caller's transaction, and say of each what became of it, in order.

    Raises a LedgerRefused: nothing may be committed then. Call it through `db.engine.retry`, which begins
    again where two programs that book meet head-on.
    """
    known = booked_under(connection, [entry.idempotency_key for entry in entries if entry.idempotency_key])
    fresh = [entry for entry in entries if entry.idempotency_key not in known]
    done = iter(_book_fresh(connection, fresh) if fresh else ())
    return [
        known[entry.idempotency_key] if entry.idempotency_key in known else next(done) for entry in entries
    ]


def _book_fresh(connection: Connection, entries: Sequence[Entry]) -> list[Booked]:
    require_open(connection, min(entry.occurred_at for entry in entries))
    _require_signs(entries)
    _require_users(connection, entries)
    batch_ids = batches_of(connection, entries)
    held = lock_batches(connection, batch_ids)
    for entry, batch in zip(entries, batch_ids, strict=True):
        if entry.movement_type is MovementType.VENTAS and not held[batch].sellable:
            raise LedgerRefused(
                Sentence(
                    "{lot} stands in trays, which are never sold: transplant the plants into"
                    " pots first, or book a death or an adjustment",
                    lot=describe(connection, batch),
                ),
                entry,
            )
    entries = _with_prices(connection, _with_counts(connection, entries, batch_ids, held), batch_ids)
    ids = write_entries(connection, _rows(entries, batch_ids, held))
    # `foto` entries are in the name of whoever books first; they follow from all entries alike.
    settled = settle_batches(connection, held, entries[0].user_id)
    require_no_shortage(connection, held)
    changes, emptied = _changes(entries, batch_ids, held)
    for batch, change in settled.items():
        changes[batch] += change
    add_plants(connection, changes, emptied)
    _date_batches(connection, entries, batch_ids)
    return [
        Booked(
            *(number, batch, entry.movement_type, entry.quantity),
            *(held[batch].plants, held[batch].plants + changes[batch]),
        )
        for number, batch, entry in zip(ids, batch_ids, entries, strict=True)
    ]


def booked_under(connection: Connection, keys: Collection[str]) -> dict[str | None, Booked]:
    """What was booked earlier under each of these idempotency keys."""
    if not keys:
        return {}
    table = StockMovement
    rows = connection.execute(
        select(
            *(table.idempotency_key, table.id, table.batch_id, table.movement_type, table.quantity),
            StockBatch.quantity_current,
        )
        .join(StockBatch, StockBatch.id == table.batch_id)
        .where(table.idempotency_key == any_(literal(list(keys), ARRAY(Text))))
    )
    return {
        key: Booked(number, batch, MovementType(movement_type), quantity, held, held, known=True)
        for key, number, batch, movement_type, quantity, held in rows
    }


def _require_signs(entries: Iterable[Entry]) -> None:
    for entry in entries:
        wanted = SIGNS.get(entry.movement_type, 0) * (1 if entry.reverses_id is None else -1)
        if entry.quantity == 0 or entry.quantity * wanted < 0:
            raise LedgerRefused(
                Sentence(
                    "a movement {movement_type} of {quantity} plants is none",
                    movement_type=entry.movement_type,
                    quantity=entry.quantity,
                ),
                entry,
            )
        if entry.movement_type is MovementType.AJUSTE and not (entry.reason or "").strip():
            raise LedgerRefused(Sentence("an adjustment needs a reason"), entry)
        if entry.movement_type is MovementType.FOTO:
            raise LedgerRefused(
                Sentence("entries of type foto follow from counts; they are not booked by hand")
            )


def _require_users(connection: Connection, entries: Iterable[Entry]) -> None:
    """Raises NotFound, Forbidden: who acts is active and may do this."""
    kinds: dict[int, set[MovementType]] = defaultdict(set)
    for entry in entries:
        kinds[entry.user_id].add(entry.movement_type)
    rows = connection.execute(
        select(User.id, User.email, User.role, User.active).where(among(User.id, kinds))
    ).all()
    if len(rows) < len(kinds):
        raise NotFound(Sentence("there is no such user"))
    for row in rows:
        if not row.active:
            raise Forbidden(Sentence("{email} is not active any more", email=row.email))
        if row.role == Role.VIEWER:
            raise Forbidden(
                Sentence(
                    "{email} may look at the books ({role}), not write in them",
                    email=row.email,
                    role=row.role,
                )
            )
        if MovementType.AJUSTE in kinds[row.id] and row.role not in MAY_ADJUST:
            raise Forbidden(
                Sentence("{email} is {role}: adjustments are a supervisor's", email=row.email, role=row.role)
            )


def batches_of(connection: Connection, entries: Iterable[Entry]) -> list[int]:
    """The batch of each entry, in order; made where there is none."""
    entries = list(entries)
    spots: dict[Spot, dt.datetime] = {}
    for entry in entries:
        if isinstance(entry.where, Spot):
            spots[entry.where] = min(entry.occurred_at, spots.get(entry.where, entry.occurred_at))
    made = ensure_batches(connection, spots)
    return [made[entry.where] if isinstance(entry.where, Spot) else entry.where for entry in entries]


def _with_counts(
    connection: Connection, entries: Sequence[Entry], batch_ids: Sequence[int], held: Mapping[int, Held]
) -> list[Entry]:
    """The entries, each first hand count with the count that it asserts."""
    result = list(entries)
    for index, (entry, batch) in enumerate(zip(entries, batch_ids, strict=True)):
        if entry.movement_type is not MovementType.MANUAL_INIT or entry.count_id or entry.reverses_id:
            continue
        there = _stock_at(connection, batch, entry.occurred_at)
        if there:
            raise LedgerRefused(
                Sentence(
                    "{lot} holds {there} already: a first count is for what is not in the books"
                    " yet; adjust the stock instead, or say --replace",
                    lot=describe(connection, batch),
                    there=there,
                ),
                entry,
            )
        count = connection.execute(
            insert(Count)
            .values(
                location_id=held[batch].location_id,
                batch_id=batch,
                source=CountSource.MANUAL.value,
                status=CountStatus.ACCEPTED.value,
                counted_at=entry.occurred_at,
                quantity=entry.quantity,
                user_id=entry.user_id,
                notes=entry.reason,
            )
            .returning(Count.id)
        ).scalar_one()
        result[index] = replace(entry, count_id=count)
    return result


def _with_prices(connection: Connection, entries: Sequence[Entry], batch_ids: Sequence[int]) -> list[Entry]:
    """The entries, each sale with its price. A reversal has that of what it reverses, be it none."""
    keys = [(batch, entry.occurred_at.date()) for entry, batch in zip(entries, batch_ids, strict=True)]
    wanted = [
        (entry.movement_type, entry.unit_price, entry.reverses_id) == (MovementType.VENTAS, None, None)
        for entry in entries
    ]
    if not any(wanted):
        return list(entries)
    prices = batch_prices(connection, {key for key, sold in zip(keys, wanted, strict=True) if sold})
    return [
        replace(entry, unit_price=prices.get(key)) if sold else entry
        for entry, key, sold in zip(entries, keys, wanted, strict=True)
    ]


def _stock_at(connection: Connection, batch_id: int, moment: dt.datetime) -> int:
    table = StockMovement
    return int(
        connection.scalar(
            select(func.coalesce(func.sum(table.quantity), 0)).where(
                table.batch_id == batch_id, table.occurred_at <= moment
            )
        )
        or 0
    )


def _rows(entries: Sequence[Entry], batch_ids: Sequence[int], held: Mapping[int, Held]) -> list[Row]:
    """The entries as rows. Both legs of a transfer name both bins."""
    bins = [held[batch].bin_id for batch in batch_ids]
    sources: dict[uuid.UUID | None, int] = {}
    targets: dict[uuid.UUID | None, int] = {}
    for entry, bin_id in zip(entries, bins, strict=True):
        if entry.movement_type is MovementType.TRANSPLANTE:
            (sources if entry.quantity < 0 else targets)[entry.transfer_id] = bin_id
    return [
        Row(
            movement_id=uuid.uuid4(),
            batch_id=batch,
            movement_type=entry.movement_type.value,
            source_bin_id=_end(entry, sources, bin_id if entry.quantity < 0 else None),
            destination_bin_id=_end(entry, targets, bin_id if entry.quantity > 0 else None),
            quantity=entry.quantity,
            user_id=entry.user_id,
            source_type=entry.source.value,
            occurred_at=entry.occurred_at,
            plants_per_pot=entry.plants_per_pot,
            unit_price=entry.unit_price,
            total_price=None if entry.unit_price is None else entry.unit_price * abs(entry.quantity),
            reason_description=entry.reason,
            session_id=entry.session_id,
            count_id=entry.count_id,
            transfer_id=entry.transfer_id,
            reverses_movement_id=entry.reverses_id,
            idempotency_key=entry.idempotency_key,
        )
        for entry, batch, bin_id in zip(entries, batch_ids, bins, strict=True)
    ]


def _end(entry: Entry, ends: Mapping[uuid.UUID | None, int], otherwise: int | None) -> int | None:
    """The bin at one end of a movement."""
    return ends.get(entry.transfer_id) if entry.movement_type is MovementType.TRANSPLANTE else otherwise


def _changes(
    entries: Sequence[Entry], batch_ids: Sequence[int], held: Mapping[int, Held]
) -> tuple[dict[int, int], dict[int, int]]:
    """Per batch, the plants that came or left, and the pots that a death emptied."""
    plants, pots = dict.fromkeys(held, 0), dict.fromkeys(held, 0)
    for entry, batch in zip(entries, batch_ids, strict=True):
        plants[batch] += entry.quantity
        if entry.movement_type is MovementType.MUERTE and held[batch].in_pots:
            pots[batch] -= entry.quantity
    return plants, pots


def _date_batches(connection: Connection, entries: Sequence[Entry], batch_ids: Sequence[int]) -> None:
    """Since when the plants of a batch are planted, and when the last ones were transplanted into it."""
    planted: dict[int, dt.date] = {}
    transplanted: dict[int, dt.date] = {}
    for entry, batch in zip(entries, batch_ids, strict=True):
        day = entry.occurred_at.date()
        if entry.reverses_id is not None or entry.quantity < 0:
            continue
        if entry.movement_type in (MovementType.SEMBRAR, MovementType.PLANTAR):
            planted[batch] = min(day, planted.get(batch, day))
        elif entry.movement_type is MovementType.TRANSPLANTE:
            transplanted[batch] = max(day, transplanted.get(batch, day))
    table = StockBatch
    for column, days, chosen in (
        (table.planting_date, planted, func.least),
        (table.transplant_date, transplanted, func.greatest),
    ):
        if days:
            value = chosen(column, bindparam("day", type_=Date))  # NULL is passed over
            statement = update(table).where(table.id == bindparam("batch")).values({column: value})
            rows = [{"batch": batch, "day": day} for batch, day in sorted(days.items())]
            connection.execute(statement, rows)
