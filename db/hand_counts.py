"""Take back a count that a person made: what was asserted by mistake is forgotten, and stays on record."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from db.acting import require_role
from db.batches import lock_batches
from db.errors import AlreadyDecided, LedgerRefused, NotFound
from db.models.places import StorageLocation
from db.models.reconciliations import CountDecision
from db.models.stock import Count, StockMovement
from db.models.vocabulary import CountStatus, Decision, MovementType, Role
from db.periods import require_open
from db.stock import settle_all
from pipeline.words import Sentence


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The count that is forgotten, and the plants by which that changed the books."""

    place: str
    plants: int
    booked: int


def uncount(connection: Connection, count: int, user: int, reason: str) -> TakenBack:
    """Let the books forget a count by hand, for a reason, in the caller's transaction.

    What somebody else counted is a supervisor's to take back. Raises NotFound, Forbidden, AlreadyDecided,
    ClosedPeriod, and LedgerRefused for counts that are taken back elsewhere.
    """
    row = connection.execute(
        select(
            *(Count.batch_id, Count.counted_at, Count.quantity, Count.session_id, Count.user_id),
            StorageLocation.code,
        )
        .join(StorageLocation, StorageLocation.id == Count.location_id)
        .where(Count.id == count)
    ).one_or_none()
    if row is None or row.batch_id is None:
        raise NotFound(
            Sentence(
                "there is no count {count}; `demeter explain` names the count behind a figure", count=count
            )
        )
    if row.user_id != user:
        require_role(connection, user, Role.SUPERVISOR)
    require_open(connection, row.counted_at)
    _require_own(connection, count, row.session_id)
    lock_batches(connection, [row.batch_id])
    forgotten = connection.execute(
        update(Count)
        .where(Count.id == count, Count.status == CountStatus.ACCEPTED.value)
        .values(status=CountStatus.REJECTED.value, decided_by_user_id=user, decided_at=func.now())
    )
    if not forgotten.rowcount:
        raise AlreadyDecided(Sentence("count {count} is not in the books any more", count=count))
    connection.execute(
        insert(CountDecision).values(
            count_id=count, decision=Decision.REJECTED.value, user_id=user, reason=reason
        )
    )
    return TakenBack(row.code, row.quantity, settle_all(connection, [row.batch_id], user))


def _require_own(connection: Connection, count: int, session: int | None) -> None:
    """Raises LedgerRefused for a photo's count, a correction of one, and a first count."""
    corrected = connection.scalar(
        select(Count.session_id)
        .join(CountDecision, CountDecision.count_id == Count.id)
        .where(CountDecision.replacement_count_id == count)
    )
    photo = session or corrected
    if photo is not None:
        raise LedgerRefused(
            Sentence(
                "count {count} is of photo {photo}: `demeter photos reject {photo}` takes it back",
                count=count,
                photo=photo,
            )
        )
    first = connection.scalar(
        select(StockMovement.id).where(
            StockMovement.count_id == count,
            StockMovement.movement_type == MovementType.MANUAL_INIT.value,
            StockMovement.reverses_movement_id.is_(None),
        )
    )
    if first is not None:
        raise LedgerRefused(
            Sentence(
                "count {count} is a first count: `demeter stock undo {first}` takes it back",
                count=count,
                first=first,
            )
        )
