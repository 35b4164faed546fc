"""What counts do to the books: the only writer of counts, and of the `foto` entries that follow from them.

All other movements are written by `db.movements`, which asks `settle_batches` what its entries change about
counts taken later.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from db.batches import Lot, Spot, add_plants, among, ensure_batches, lock_batches
from db.crops import crop_at, crops_at
from db.entries import Row, require_no_shortage, write_entries
from db.errors import NotFound
from db.ledger import Assertion, Flow, corrections, differences
from db.models.people import User
from db.models.places import StorageBin
from db.models.stock import Count, StockBatch, StockMovement
from db.models.vocabulary import CountSource, CountStatus, MovementSource, MovementType
from db.periods import hold_periods, require_open


@dataclass(frozen=True, slots=True)
class Tally:
    """Plants counted in one category of bin, with the bounds of the count."""

    quantity: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class PhotoCount:
    """What a photo asserts about a place: the plants in each category of bin at the time it was taken.

    With `doubts`, sentences that say why, it is only proposed: a person has to decide about it.
    """

    session_id: int
    location_id: int
    counted_at: dt.datetime
    user_id: int
    tallies: Mapping[str, Tally]
    doubts: tuple[str, ...] = ()


def lot_at(connection: Connection, location_id: int, moment: dt.datetime) -> Lot | None:
    """What was configured to grow at the place then; for a moment before any configuration, the first."""
    crop = crop_at(crops_at(connection, [location_id])[location_id], moment)
    return None if crop is None else crop.lot


def user_id(connection: Connection, email: str) -> int:
    """The active user who acts. Raises NotFound."""
    found = connection.scalar(select(User.id).where(User.email == email.lower(), User.active))
    if found is None:
        raise NotFound(f"there is no active user {email}; run `demeter seed`, or set DEMETER_USER")
    return found


def book_photo_count(
    connection: Connection, count: PhotoCount, lot: Lot, taken_back: Collection[int] = ()
) -> int | None:
    """Assert the count for each category of bin, and post what it changes. Returns the plants posted, signed;
    None for a count that is only proposed.

    `taken_back` are the batches of which it replaces counts (`reject_counts`): what that changes is posted
    with it as one difference, so that what has left since is never without stock in between.

    The photo shows the whole place. What the books have there of the same product and pot and the photo does
    not show, or shows under the state and size that are configured now, is counted as zero. Booking the same
    session again changes nothing. Raises ClosedPeriod, and InsufficientStock where what was booked after the
    count needs more plants than it found.
    """
    require_open(connection, count.counted_at)
    spots = {Spot(count.location_id, category, lot): count.counted_at for category in sorted(count.tallies)}
    found = {batch: count.tallies[spot.category] for spot, batch in ensure_batches(connection, spots).items()}
    absent = not_shown(connection, (count.location_id, count.counted_at), lot, found)
    found |= dict.fromkeys(absent, Tally(0, 0, 0))
    lock_batches(connection, {*found, *taken_back})
    status = CountStatus.PROPOSED if count.doubts else CountStatus.ACCEPTED
    rows = [
        {
            "location_id": count.location_id,
            "batch_id": batch,
            "session_id": count.session_id,
            "source": CountSource.FOTO.value,
            "status": status.value,
            "counted_at": count.counted_at,
            "quantity": tally.quantity,
            "low": tally.low,
            "high": tally.high,
            "user_id": count.user_id,
            "notes": "; ".join(count.doubts) or None,
        }
        for batch, tally in sorted(found.items())
    ]
    if rows:
        connection.execute(insert(Count).on_conflict_do_nothing(), rows)
    posted = settle_all(connection, {*taken_back} if count.doubts else {*found, *taken_back}, count.user_id)
    return None if count.doubts else posted


def not_shown(
    connection: Connection, where: tuple[int, dt.datetime], lot: Lot, shown: Collection[int]
) -> list[int]:
    """Batches at a place, of the lot's product and pot, of which the books have plants at that moment, and
    which are not among those shown."""
    location_id, moment = where
    return list(
        connection.scalars(
            select(StockBatch.id)
            .join(StorageBin, StorageBin.id == StockBatch.current_storage_bin_id)
            .join(StockMovement, StockMovement.batch_id == StockBatch.id)
            .where(
                StorageBin.storage_location_id == location_id,
                StockBatch.product_id == lot.product_id,
                StockBatch.packaging_catalog_id.is_not_distinct_from(lot.packaging_id),
                StockMovement.occurred_at <= moment,
                ~among(StockBatch.id, shown),
            )
            .group_by(StockBatch.id)
            .having(func.sum(StockMovement.quantity) != 0)
            .order_by(StockBatch.id)
        )
    )


def reject_counts(connection: Connection, session_id: int, user: int) -> list[int]:
    """Reject the counts of a session, also those that nobody decided on. The books forget them when the
    batches returned are settled. Raises ClosedPeriod.
    """
    return _reject(connection, Count.session_id == session_id, user)


def reject_count(connection: Connection, count_id: int, user: int) -> list[int]:
    """Reject one count; the same as `reject_counts` otherwise."""
    return _reject(connection, Count.id == count_id, user)


def _reject(connection: Connection, which: ColumnElement[bool], user: int) -> list[int]:
    accepted = which & (Count.status == CountStatus.ACCEPTED.value)
    earliest = connection.scalar(select(func.min(Count.counted_at)).where(accepted))
    if earliest is not None:
        require_open(connection, earliest)
    batches = connection.scalars(
        update(Count)
        .where(which, Count.status != CountStatus.REJECTED.value)
        .values(status=CountStatus.REJECTED.value, decided_by_user_id=user, decided_at=func.now())
        .returning(Count.batch_id)
    ).all()
    return sorted(batches)


def settle(connection: Connection, batch_id: int, user: int) -> int:
    """Post the `foto` entries that make every accepted count of a batch hold. Returns their sum.

    Raises InsufficientStock where the batch would hold less than nothing at some time.
    """
    hold_periods(connection)
    lock_batches(connection, [batch_id])
    changes = settle_batches(connection, [batch_id], user)
    require_no_shortage(connection, [batch_id])
    add_plants(connection, changes)
    return changes.get(batch_id, 0)


def settle_all(connection: Connection, batches: Collection[int], user: int) -> int:
    """`settle` for several batches at once: plants of one may be missing only until another is settled."""
    hold_periods(connection)
    lock_batches(connection, batches)
    changes = settle_batches(connection, batches, user)
    require_no_shortage(connection, batches)
    add_plants(connection, changes)
    return sum(changes.values())


def settle_batches(connection: Connection, batches: Collection[int], user: int) -> dict[int, int]:
    """Post the `foto` entries due to locked batches, and return by how much that changes each.

    What they hold, and whether that is ever less than nothing, is left to the caller. A count of a closed
    month stands: what it explains is posted at the beginning of the open one.
    """
    due = due_corrections(connection, batches)
    counts = _counts(connection, {count for quantities in due.values() for count in quantities})
    open_from = hold_periods(connection)
    rows = []
    for batch, quantities in due.items():
        for count_id, quantity in quantities.items():
            counted_at, session_id, bin_id = counts[count_id]
            rows.append(
                Row(
                    movement_id=uuid.uuid4(),
                    batch_id=batch,
                    movement_type=MovementType.FOTO.value,
                    source_bin_id=bin_id if quantity < 0 else None,
                    destination_bin_id=bin_id if quantity > 0 else None,
                    quantity=quantity,
                    user_id=user,
                    source_type=(MovementSource.MANUAL if session_id is None else MovementSource.IA).value,
                    session_id=session_id,
                    count_id=count_id,
                    occurred_at=counted_at if open_from is None else max(counted_at, open_from),
                )
            )
    write_entries(connection, rows)
    return {batch: sum(quantities.values()) for batch, quantities in due.items()}


def due_corrections(connection: Connection, batches: Collection[int]) -> dict[int, dict[int, int]]:
    """Per batch and count id, the plants by which the `foto` entries differ from what counts and movements
    say. Empty where the books are settled."""
    assertions: dict[int, list[Assertion]] = defaultdict(list)
    for row in connection.execute(
        select(Count.batch_id, Count.counted_at, Count.id, Count.quantity).where(
            among(Count.batch_id, batches), Count.status == CountStatus.ACCEPTED.value
        )
    ):
        assertions[row[0]].append(Assertion(*row[1:]))
    posted: dict[int, dict[int, int]] = defaultdict(dict)
    for batch, count, total in connection.execute(
        select(StockMovement.batch_id, StockMovement.count_id, func.sum(StockMovement.quantity))
        .where(among(StockMovement.batch_id, batches), IS_OF_A_COUNT)
        .group_by(StockMovement.batch_id, StockMovement.count_id)
    ):
        if count is not None:
            posted[batch][count] = int(total)
    counted = sorted(assertions.keys() | posted.keys())
    flows = _flows(connection, counted)
    due = {
        batch: corrections(differences(assertions[batch], flows[batch]), posted[batch]) for batch in counted
    }
    return {batch: quantities for batch, quantities in due.items() if quantities}


# Entries by which a count changed the books; all others are movements that a count explains or contradicts.
# A first hand count is posted as `manual_init`, and what later arrivals change about it as `foto`.
IS_OF_A_COUNT = StockMovement.movement_type.in_(
    (MovementType.FOTO.value, MovementType.MANUAL_INIT.value)
) & StockMovement.count_id.is_not(None)


def _flows(connection: Connection, batches: Collection[int]) -> dict[int, list[Flow]]:
    """The movements of batches at the times at which they are true: a reversal takes back what it reverses
    as of then, also where that is in a closed month and the reversal itself could not be dated so."""
    original = aliased(StockMovement)
    true_at = func.coalesce(original.occurred_at, StockMovement.occurred_at)
    rows = connection.execute(
        select(StockMovement.batch_id, true_at, StockMovement.quantity)
        .outerjoin(original, original.id == StockMovement.reverses_movement_id)
        .where(among(StockMovement.batch_id, batches), ~IS_OF_A_COUNT)
    )
    flows: dict[int, list[Flow]] = defaultdict(list)
    for batch, moment, quantity in rows:
        flows[batch].append(Flow(moment, quantity))
    return flows


def _counts(connection: Connection, ids: Iterable[int]) -> dict[int, tuple[dt.datetime, int | None, int]]:
    """Time, session and bin of counts."""
    rows = connection.execute(
        select(Count.id, Count.counted_at, Count.session_id, StockBatch.current_storage_bin_id)
        .join(StockBatch, StockBatch.id == Count.batch_id)
        .where(among(Count.id, ids))
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}
