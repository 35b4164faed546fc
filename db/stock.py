"""Book counts into batches. The only writer of stock_batches, counts and stock_movements."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, and_, case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from db.errors import NotFound
from db.ledger import Assertion, Flow, corrections, differences
from db.models.people import User
from db.models.places import StorageBin, StorageBinType, StorageLocation, StorageLocationConfig
from db.models.stock import Count, StockBatch, StockMovement
from db.models.vocabulary import CountSource, CountStatus, MovementSource, MovementType


@dataclass(frozen=True, slots=True)
class Lot:
    """What grows at a place: a `storage_location_config` row."""

    product_id: int
    state_id: int
    size_id: int | None
    packaging_id: int | None


@dataclass(frozen=True, slots=True)
class Tally:
    """Plants counted in one category of bin, with the bounds of the count."""

    quantity: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class PhotoCount:
    """What a photo asserts about a place: the plants in each category of bin at the time it was taken."""

    session_id: int
    location_id: int
    counted_at: dt.datetime
    user_id: int
    tallies: Mapping[str, Tally]


def lot_at(connection: Connection, location_id: int, moment: dt.datetime) -> Lot | None:
    """What was configured to grow at the place then; for a moment before any configuration, the first."""
    table = StorageLocationConfig
    in_force = and_(table.valid_from <= moment, func.coalesce(table.valid_to > moment, True))
    row = connection.execute(
        select(
            table.product_id,
            table.expected_product_state_id,
            table.product_size_id,
            table.packaging_catalog_id,
        )
        .where(table.storage_location_id == location_id)
        .order_by(in_force.desc(), table.valid_from)
        .limit(1)
    ).one_or_none()
    return None if row is None else Lot(*row)


def user_id(connection: Connection, email: str) -> int:
    """The active user who acts. Raises NotFound."""
    found = connection.scalar(select(User.id).where(User.email == email.lower(), User.active))
    if found is None:
        raise NotFound(f"there is no active user {email}; run `demeter seed`, or set DEMETER_USER")
    return found


def book_photo_count(connection: Connection, count: PhotoCount, lot: Lot) -> int:
    """Assert the count for each category of bin, and post what it changes. Returns the plants posted, signed.

    A category that stood in the books and is not in the photo is counted as zero: the photo shows the
    whole place. Booking the same session again changes nothing.
    """
    tallies = dict(count.tallies)
    for category in _categories_in_stock(connection, count.location_id, lot, count.counted_at):
        tallies.setdefault(category, Tally(0, 0, 0))
    posted = 0
    for category, tally in sorted(tallies.items()):
        batch = _batch(connection, count, lot, category)
        values = {
            "location_id": count.location_id,
            "batch_id": batch,
            "session_id": count.session_id,
            "source": CountSource.FOTO.value,
            "status": CountStatus.ACCEPTED.value,
            "counted_at": count.counted_at,
            "quantity": tally.quantity,
            "low": tally.low,
            "high": tally.high,
            "user_id": count.user_id,
        }
        connection.execute(insert(Count).values(values).on_conflict_do_nothing())
        posted += settle(connection, batch, count.user_id)
    return posted


def take_back_counts(connection: Connection, session_id: int, user: int) -> None:
    """Reject the counts of a session that another replaces; the books forget them by counter-entries."""
    for batch in reject_counts(connection, session_id, user):
        settle(connection, batch, user)


def reject_counts(connection: Connection, session_id: int, user: int) -> list[int]:
    """Reject the counts of a session. The books forget them when the batches returned are settled."""
    batches = connection.scalars(
        update(Count)
        .where(Count.session_id == session_id, Count.status == CountStatus.ACCEPTED.value)
        .values(status=CountStatus.REJECTED.value, decided_by_user_id=user, decided_at=func.now())
        .returning(Count.batch_id)
    ).all()
    return sorted(batches)


def settle(connection: Connection, batch_id: int, user: int) -> int:
    """Post the `foto` entries that make every accepted count of a batch hold. Returns their sum."""
    bin_id = connection.execute(
        select(StockBatch.current_storage_bin_id).where(StockBatch.id == batch_id).with_for_update()
    ).scalar_one()
    is_foto = StockMovement.movement_type == MovementType.FOTO.value
    assertions = [
        Assertion(row.counted_at, row.id, row.quantity)
        for row in connection.execute(
            select(Count.id, Count.counted_at, Count.quantity).where(
                Count.batch_id == batch_id, Count.status == CountStatus.ACCEPTED.value
            )
        )
    ]
    flows = [
        Flow(row.occurred_at, row.quantity)
        for row in connection.execute(
            select(StockMovement.occurred_at, StockMovement.quantity).where(
                StockMovement.batch_id == batch_id, ~is_foto
            )
        )
    ]
    posted = {
        row.count_id: int(row.total)
        for row in connection.execute(
            select(StockMovement.count_id, func.sum(StockMovement.quantity).label("total"))
            .where(StockMovement.batch_id == batch_id, is_foto)
            .group_by(StockMovement.count_id)
        )
    }
    due = corrections(differences(assertions, flows), posted)
    for count_id, quantity in due.items():
        _post_difference(connection, (batch_id, bin_id), count_id, (quantity, user))
    change = sum(due.values())
    if change or due:
        _add_to_batch(connection, batch_id, change)
    return change


def _post_difference(
    connection: Connection, where: tuple[int, int], count_id: int, entry: tuple[int, int]
) -> None:
    batch_id, bin_id = where
    quantity, user = entry
    count = connection.execute(select(Count.counted_at, Count.session_id).where(Count.id == count_id)).one()
    bin_column = "destination_bin_id" if quantity > 0 else "source_bin_id"
    connection.execute(
        insert(StockMovement).values(
            {
                "batch_id": batch_id,
                "movement_type": MovementType.FOTO.value,
                bin_column: bin_id,
                "quantity": quantity,
                "user_id": user,
                "source_type": MovementSource.IA.value,
                "session_id": count.session_id,
                "count_id": count_id,
                "occurred_at": count.counted_at,
            }
        )
    )


def _add_to_batch(connection: Connection, batch_id: int, change: int) -> None:
    untouched = and_(StockBatch.quantity_initial == 0, StockBatch.quantity_current == 0)
    connection.execute(
        update(StockBatch)
        .where(StockBatch.id == batch_id)
        .values(
            quantity_current=StockBatch.quantity_current + change,
            quantity_initial=case((untouched, change), else_=StockBatch.quantity_initial),
        )
    )


def _categories_in_stock(
    connection: Connection, location_id: int, lot: Lot, moment: dt.datetime
) -> list[str]:
    """Categories of bin at the place in which the books have plants of this lot at that moment."""
    return list(
        connection.scalars(
            select(StorageBin.category)
            .join(StockBatch, StockBatch.current_storage_bin_id == StorageBin.id)
            .join(StockMovement, StockMovement.batch_id == StockBatch.id)
            .where(
                StorageBin.storage_location_id == location_id,
                StockBatch.product_id == lot.product_id,
                StockBatch.packaging_catalog_id.is_not_distinct_from(lot.packaging_id),
                StockMovement.occurred_at <= moment,
            )
            .group_by(StorageBin.category)
            .having(func.sum(StockMovement.quantity) != 0)
        )
    )


def _batch(connection: Connection, count: PhotoCount, lot: Lot, category: str) -> int:
    """Get or create the batch of this lot in the place's bin of this category."""
    bin_id = _bin(connection, count.location_id, lot, category)
    key = {
        "current_storage_bin_id": bin_id,
        "product_id": lot.product_id,
        "product_state_id": lot.state_id,
        "product_size_id": lot.size_id,
        "packaging_catalog_id": lot.packaging_id,
    }
    wanted = and_(*(getattr(StockBatch, name).is_not_distinct_from(value) for name, value in key.items()))
    found = connection.scalar(select(StockBatch.id).where(wanted))
    if found is not None:
        return found
    code = _batch_code(connection, count, lot)
    connection.execute(insert(StockBatch).values(**key, batch_code=code).on_conflict_do_nothing())
    return connection.execute(select(StockBatch.id).where(wanted)).scalar_one()


def _batch_code(connection: Connection, count: PhotoCount, lot: Lot) -> str:
    """`LOC15-PROD42-20250107-001`; the lock makes the number of the day unique, without gaps by races."""
    prefix = f"LOC{count.location_id}-PROD{lot.product_id}-{count.counted_at:%Y%m%d}-"
    key = int.from_bytes(hashlib.sha256(prefix.encode()).digest()[:8], "big", signed=True)
    connection.execute(select(func.pg_advisory_xact_lock(key)))
    of_the_day = StockBatch.batch_code.startswith(prefix, autoescape=True)
    used = connection.scalar(select(func.count()).select_from(StockBatch).where(of_the_day))
    return f"{prefix}{(used or 0) + 1:03d}"


def _bin(connection: Connection, location_id: int, lot: Lot, category: str) -> int:
    table = StorageBin
    wanted = and_(
        table.storage_location_id == location_id,
        table.category == category,
        table.product_id == lot.product_id,
        table.packaging_catalog_id.is_not_distinct_from(lot.packaging_id),
    )
    found = connection.scalar(select(table.id).where(wanted))
    if found is not None:
        return found
    bin_type = connection.scalar(
        select(StorageBinType.id).where(StorageBinType.category == category, StorageBinType.is_default)
    )
    if bin_type is None:
        raise NotFound(f"no default bin type of category {category!r}; load the seeds with `demeter seed`")
    place = connection.scalar(select(StorageLocation.code).where(StorageLocation.id == location_id))
    pot = "BARE" if lot.packaging_id is None else f"K{lot.packaging_id}"
    code = f"{place}-{category.upper()}-P{lot.product_id}-{pot}"
    connection.execute(
        insert(table)
        .values(
            storage_location_id=location_id,
            storage_bin_type_id=bin_type,
            category=category,
            product_id=lot.product_id,
            packaging_catalog_id=lot.packaging_id,
            code=code,
        )
        .on_conflict_do_nothing()
    )
    return connection.execute(select(table.id).where(wanted)).scalar_one()
