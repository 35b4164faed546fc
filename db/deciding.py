"""Decisions about counts: a person accepts, rejects or corrects what a photo says.

A count is an assertion about one moment, so a decision needs no standstill: what moved between the photo and
the decision, or what another count of the same place says, stands beside it and is put in order by time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, text, update

from db.acting import require_role
from db.batches import Lot, among, lock_batches
from db.day_decisions import decide_in_day
from db.errors import AlreadyDecided, NotFound
from db.models.photos import Image, PhotoSession
from db.models.places import StorageBin, StorageLocation
from db.models.reconciliations import CountDecision
from db.models.stock import Count, StockBatch
from db.models.vocabulary import CountSource, CountStatus, Decision, Role
from db.periods import require_open
from db.stock import not_shown, settle_all
from pipeline.words import Sentence


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision did: the plants that the photo's count has now (None: rejected), and those by which the
    books changed."""

    session: int
    place: str
    plants: int | None
    booked: int


@dataclass(frozen=True, slots=True)
class CountRow:
    """A photo's count of one lot as people see it. `expected` is what the books have there at that time."""

    session: int
    photo: str
    place: str
    category: str
    counted_at: dt.datetime
    plants: int
    low: int | None
    high: int | None
    expected: int
    status: str
    notes: str | None
    overlay_key: str | None


def accept(connection: Connection, session: int, user: int, reason: str | None = None) -> Decided:
    """Book what a session proposes, or what a person had rejected of it. In the caller's transaction.

    Raises NotFound, Forbidden, AlreadyDecided, and what the books refuse.
    """
    require_role(connection, user, Role.SUPERVISOR)
    place = _place_of(connection, session)
    booked = decide_in_day(connection, session, (user, reason), Decision.ACCEPTED)
    if booked is not None:
        _validate(connection, session, user)
        return Decided(
            session, place, sum(count.quantity for count in _standing(connection, session)), booked
        )
    counts = _counts(connection, session, CountStatus.PROPOSED)
    if not counts and not _counts(connection, session, CountStatus.ACCEPTED):
        counts = _rejected_by_hand(connection, session)
    if not counts:
        raise _nothing_to_decide(connection, session)
    require_open(connection, counts[0].counted_at)
    lock_batches(connection, {count.batch_id for count in counts})
    _set_status(connection, counts, CountStatus.ACCEPTED, user)
    _record(connection, counts, Decision.ACCEPTED, (user, reason))
    shown = {count.batch_id for count in counts}
    batches = shown | set(_count_the_rest(connection, session, counts, user))
    booked = settle_all(connection, batches, user)
    _validate(connection, session, user)
    return Decided(session, place, sum(count.quantity for count in counts), booked)


def reject(connection: Connection, session: int, user: int, reason: str) -> Decided:
    """Let the books forget what a session counted, and any correction of it; otherwise as `accept`."""
    require_role(connection, user, Role.SUPERVISOR)
    place = _place_of(connection, session)
    changed = decide_in_day(connection, session, (user, reason), Decision.REJECTED)
    if changed is not None:
        return Decided(session, place, None, changed)
    counts = _standing(connection, session)
    if not counts:
        raise _nothing_to_decide(connection, session)
    require_open(connection, counts[0].counted_at)
    lock_batches(connection, {count.batch_id for count in counts})
    _set_status(connection, counts, CountStatus.REJECTED, user)
    _record(connection, counts, Decision.REJECTED, (user, reason))
    booked = settle_all(connection, {count.batch_id for count in counts}, user)
    return Decided(session, place, None, booked)


def adjust(
    connection: Connection, session: int, plants: Mapping[str | None, int], user: int, reason: str
) -> Decided:
    """Correct a session's count by hand: `plants` per category of container, or under None for the only one.

    What the photo said is kept, rejected, and the correction stands in its place at the same moment, exact;
    what is not corrected is accepted as it is. Otherwise as `accept`.
    """
    require_role(connection, user, Role.SUPERVISOR)
    place = _place_of(connection, session)
    counts = _standing(connection, session)
    if not counts:
        raise _nothing_to_decide(connection, session)
    wanted = _by_count(counts, plants)
    require_open(connection, counts[0].counted_at)
    lock_batches(connection, {count.batch_id for count in counts})
    for count, quantity in wanted:
        _replace(connection, count, quantity, (user, reason))
    corrected = {count.id for count, _ in wanted}
    rest = [count for count in counts if count.id not in corrected]
    proposed = [count for count in rest if count.status == CountStatus.PROPOSED]
    _set_status(connection, proposed, CountStatus.ACCEPTED, user)
    _record(connection, proposed, Decision.ACCEPTED, (user, reason))
    batches = {count.batch_id for count in counts}
    batches |= set(_count_the_rest(connection, session, counts, user))
    booked = settle_all(connection, batches, user)
    changes = [
        {"category": count.category, "from": count.quantity, "to": quantity, "reason": reason}
        for count, quantity in wanted
    ]
    _validate(connection, session, user, changes)
    total = sum(quantity for _, quantity in wanted) + sum(count.quantity for count in rest)
    return Decided(session, place, total, booked)


def count_by_hand(
    connection: Connection, batch: int, given: tuple[int, dt.datetime], user: int, notes: str | None
) -> tuple[int, int]:
    """Assert that a batch held so many plants then. Returns the count's number, and the plants by which the
    books changed."""
    require_open(connection, given[1])
    held = lock_batches(connection, [batch])[batch]
    count = _insert_by_hand(connection, (held.location_id, batch), given, (user, notes))
    return count, settle_all(connection, [batch], user)


def photo_counts(connection: Connection, *, waiting: bool, limit: int | None = None) -> list[CountRow]:
    """Counts of photos, those that wait for a decision or all, the newest first."""
    of_batch = text(
        "(SELECT coalesce(sum(quantity), 0) FROM stock_movements WHERE batch_id = counts.batch_id"
        " AND occurred_at <= counts.counted_at AND count_id IS DISTINCT FROM counts.id)"
    )
    query = (
        select(
            *(Count.session_id, Image.original_name, StorageLocation.code, StorageBin.category),
            *(Count.counted_at, Count.quantity, Count.low, Count.high, of_batch),
            *(Count.status, Count.notes, PhotoSession.overlay_key),
        )
        .join(StockBatch, StockBatch.id == Count.batch_id)
        .join(StorageBin, StorageBin.id == StockBatch.current_storage_bin_id)
        .join(StorageLocation, StorageLocation.id == Count.location_id)
        .join(PhotoSession, PhotoSession.id == Count.session_id)
        .join(Image, Image.id == PhotoSession.image_id)
        .order_by(Count.counted_at.desc(), Count.session_id.desc(), Count.id)
        .limit(limit)
    )
    if waiting:
        query = query.where(Count.status == CountStatus.PROPOSED.value)
    return [CountRow(*row) for row in connection.execute(query)]


def why_waiting(connection: Connection, session: int) -> list[str]:
    """Why a session's counts wait for a decision; nothing where they do not."""
    return list(
        connection.scalars(
            select(Count.notes)
            .where(Count.session_id == session, Count.status == CountStatus.PROPOSED.value)
            .where(Count.notes.is_not(None))
            .distinct()
        )
    )


_OF_SESSION = text("""
    WITH RECURSIVE of_session AS (
        SELECT id FROM counts WHERE session_id = :session
        UNION
        SELECT replacement_count_id FROM count_decisions JOIN of_session ON of_session.id = count_id
        WHERE replacement_count_id IS NOT NULL
    )
    SELECT counts.id, counts.batch_id, counts.location_id, counts.counted_at, counts.quantity, counts.status,
        counts.session_id, storage_bins.category
    FROM of_session JOIN counts USING (id)
        JOIN stock_batches ON stock_batches.id = counts.batch_id
        JOIN storage_bins ON storage_bins.id = stock_batches.current_storage_bin_id
    ORDER BY counts.id
""")


def _counts(connection: Connection, session: int, *statuses: CountStatus) -> list[Row[Any]]:
    """What a session counted, and what persons put in its place, as far as it stands so."""
    rows = connection.execute(_OF_SESSION, {"session": session}).all()
    return [row for row in rows if row.status in statuses]


def _standing(connection: Connection, session: int) -> list[Row[Any]]:
    return _counts(connection, session, CountStatus.PROPOSED, CountStatus.ACCEPTED)


def _rejected_by_hand(connection: Connection, session: int) -> list[Row[Any]]:
    """What a person rejected last: of each of the session's lots the newest count."""
    rejected = _counts(connection, session, CountStatus.REJECTED)
    decision = CountDecision.decision == Decision.REJECTED.value
    by_hand = set(
        connection.scalars(
            select(CountDecision.count_id).where(
                decision, among(CountDecision.count_id, [count.id for count in rejected])
            )
        )
    )
    newest = {count.batch_id: count for count in rejected if count.id in by_hand}
    return list(newest.values())


def _place_of(connection: Connection, session: int) -> str:
    row = connection.execute(
        select(PhotoSession.id, PhotoSession.status, StorageLocation.code)
        .outerjoin(StorageLocation, StorageLocation.id == PhotoSession.storage_location_id)
        .where(PhotoSession.id == session)
        .with_for_update(of=PhotoSession)
    ).one_or_none()
    if row is None:
        raise NotFound(
            Sentence("there is no photo {session}; `demeter photos list --all` shows them", session=session)
        )
    if row.code is None:
        raise NotFound(
            Sentence(
                "photo {session} has no place yet ({status}); name it with `demeter process --place`",
                session=session,
                status=row.status,
            )
        )
    return str(row.code)


def _nothing_to_decide(connection: Connection, session: int) -> AlreadyDecided:
    row = connection.execute(
        select(Count.status, Count.decided_at)
        .where(Count.session_id == session)
        .order_by(Count.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return AlreadyDecided(
            Sentence("photo {session} has no count in the books: nothing was booked of it", session=session)
        )
    when = Sentence(" on {day:%Y-%m-%d}", day=row.decided_at) if row.decided_at else ""
    return AlreadyDecided(
        Sentence(
            "the count of photo {session} was {status}{when} already",
            session=session,
            status=row.status,
            when=when,
        )
    )


def _set_status(connection: Connection, counts: Sequence[Row[Any]], status: CountStatus, user: int) -> None:
    connection.execute(
        update(Count)
        .where(among(Count.id, [count.id for count in counts]))
        .values(status=status.value, decided_by_user_id=user, decided_at=func.now())
    )


def _record(
    connection: Connection, counts: Sequence[Row[Any]], decision: Decision, who: tuple[int, str | None]
) -> None:
    user, reason = who
    rows = [
        {"count_id": count.id, "decision": decision.value, "user_id": user, "reason": reason}
        for count in counts
    ]
    if rows:
        connection.execute(insert(CountDecision), rows)


def _replace(connection: Connection, count: Row[Any], quantity: int, who: tuple[int, str]) -> None:
    """Reject a count in favour of one by hand, of the same lot at the same moment."""
    user, reason = who
    where, given = (count.location_id, count.batch_id), (quantity, count.counted_at)
    by_hand = _insert_by_hand(connection, where, given, who)
    _set_status(connection, [count], CountStatus.REJECTED, user)
    connection.execute(
        insert(CountDecision).values(
            count_id=count.id,
            decision=Decision.ADJUSTED.value,
            reason=reason,
            replacement_count_id=by_hand,
            user_id=user,
        )
    )


def _insert_by_hand(
    connection: Connection,
    where: tuple[int, int],
    given: tuple[int, dt.datetime],
    who: tuple[int, str | None],
) -> int:
    """A count of a place's batch by a person, who accepts it by making it."""
    (location_id, batch_id), (quantity, moment), (user, notes) = where, given, who
    return connection.execute(
        insert(Count)
        .values(
            location_id=location_id,
            batch_id=batch_id,
            source=CountSource.MANUAL.value,
            status=CountStatus.ACCEPTED.value,
            counted_at=moment,
            quantity=quantity,
            user_id=user,
            decided_by_user_id=user,
            decided_at=func.now(),
            notes=notes,
        )
        .returning(Count.id)
    ).scalar_one()


def _by_count(counts: Sequence[Row[Any]], plants: Mapping[str | None, int]) -> list[tuple[Row[Any], int]]:
    """The count that each corrected figure is about. Raises NotFound where none, or more than one, is."""
    by_category = {count.category: count for count in counts}
    if None in plants:
        with_plants = [count for count in counts if count.quantity] or list(counts)
        if len(with_plants) > 1:
            kinds = " or ".join(sorted({f"{count.category}=NUMBER" for count in with_plants}))
            raise NotFound(
                Sentence("the photo shows several kinds of containers: say which, as in {kinds}", kinds=kinds)
            )
        return [(with_plants[0], plants[None])]
    for category in plants:
        if category not in by_category:
            raise NotFound(
                Sentence(
                    "the photo counts no {category}, only {list}; count it with `demeter stock count`",
                    category=category,
                    list=", ".join(sorted(by_category)),
                )
            )
    return [(by_category[category], quantity) for category, quantity in plants.items()]


def _count_the_rest(connection: Connection, session: int, counts: Sequence[Row[Any]], user: int) -> list[int]:
    """What has come into the books of the same product and pot since the photo was counted, dated before it,
    and what is not in it: counted as zero, as it would have been at once. Returns the batches."""
    first = max(counts, key=lambda count: count.quantity)
    lot = connection.execute(
        select(
            *(StockBatch.product_id, StockBatch.product_state_id),
            *(StockBatch.product_size_id, StockBatch.packaging_catalog_id),
        ).where(StockBatch.id == first.batch_id)
    ).one()
    shown = {count.batch_id for count in counts}
    absent = not_shown(connection, (first.location_id, first.counted_at), Lot(*lot), shown)
    lock_batches(connection, absent)
    rows = [
        {
            "location_id": first.location_id,
            "batch_id": batch,
            "session_id": session,
            "source": CountSource.FOTO.value,
            "status": CountStatus.ACCEPTED.value,
            "counted_at": first.counted_at,
            "quantity": 0,
            "low": 0,
            "high": 0,
            "user_id": user,
        }
        for batch in absent
    ]
    if rows:
        connection.execute(insert(Count), rows)
    return absent


def _validate(
    connection: Connection, session: int, user: int, changes: list[dict[str, Any]] | None = None
) -> None:
    """A person has looked at the photo."""
    values: dict[str, Any] = {"validated": True, "validated_by_user_id": user, "validation_date": func.now()}
    if changes:
        values["manual_adjustments"] = {"changes": changes}
    connection.execute(update(PhotoSession).where(PhotoSession.id == session).values(values))
