"""Whether the books are sound: every rule that triggers and constraints keep, recomputed from the rows.

Who can switch off triggers can break the rules; this finds it. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select, text

from db.models.stock import Count, StockBatch
from db.models.vocabulary import CountStatus
from db.periods import damages
from db.stock import due_corrections

_CHUNK = 2000  # batches whose movements are in memory at a time


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with which row."""

    check: str
    what: str  # `batch LOC1-PROD1-20260301-001`, `movement 12`, `transfer …`
    problem: str


# Each gives what is wrong and how, in words.
_QUERIES = {
    "balance": """
        SELECT 'batch ' || batch_code, 'holds ' || quantity_current || ' but its movements sum to ' || moved
        FROM stock_batches
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(quantity), 0) AS moved FROM stock_movements WHERE batch_id = stock_batches.id
        ) AS history
        WHERE quantity_current <> moved ORDER BY stock_batches.id
    """,
    "never_negative": """
        SELECT 'batch ' || batch_code, 'holds ' || plants || ' at ' || occurred_at
        FROM batch_shortages((SELECT coalesce(array_agg(id), '{}') FROM stock_batches)) AS short
        JOIN stock_batches ON stock_batches.id = short.batch_id ORDER BY stock_batches.id
    """,
    "transfers": """
        SELECT 'transfer ' || transfer_id, 'has ' || legs || ' legs and a balance of ' || plants || ' plants'
        FROM (
            SELECT transfer_id, count(*) FILTER (WHERE movement_type = 'transplante') AS legs,
                sum(CASE movement_type WHEN 'transplante' THEN quantity::bigint * plants_per_pot ELSE 0 END)
                    AS plants
            FROM stock_movements WHERE transfer_id IS NOT NULL GROUP BY transfer_id
        ) AS transfers
        WHERE legs <> 2 OR plants <> 0 ORDER BY transfer_id
    """,
    "reversals": """
        SELECT 'movement ' || reversal.id, 'does not take back movement ' || reversal.reverses_movement_id
        FROM stock_movements AS reversal
        LEFT JOIN stock_movements AS original ON original.id = reversal.reverses_movement_id
        WHERE reversal.reverses_movement_id IS NOT NULL AND (
            original.id IS NULL OR original.reverses_movement_id IS NOT NULL
            OR (original.batch_id, original.movement_type, original.plants_per_pot, original.quantity)
                <> (reversal.batch_id, reversal.movement_type, reversal.plants_per_pot, -reversal.quantity)
            OR original.occurred_at > reversal.occurred_at)
        ORDER BY reversal.id
    """,
    "signs": """
        SELECT 'movement ' || id, 'is a ' || movement_type || ' of ' || quantity
        FROM stock_movements
        WHERE quantity = 0
            OR movement_type IN ('sembrar', 'plantar', 'manual_init')
                AND (quantity > 0) <> (reverses_movement_id IS NULL)
            OR movement_type IN ('muerte', 'ventas') AND (quantity < 0) <> (reverses_movement_id IS NULL)
        ORDER BY id
    """,
    "bins": """
        SELECT 'movement ' || moved.id, 'names another bin than its batch stands in'
        FROM stock_movements AS moved JOIN stock_batches AS batch ON batch.id = moved.batch_id
        WHERE batch.current_storage_bin_id IS DISTINCT FROM
            CASE WHEN quantity > 0 THEN destination_bin_id ELSE source_bin_id END
        ORDER BY moved.id
    """,
    "sales": """
        SELECT 'movement ' || moved.id, 'is a sale out of ' || bin.category || ', which is never sold'
        FROM stock_movements AS moved
        JOIN stock_batches AS batch ON batch.id = moved.batch_id
        JOIN storage_bins AS bin ON bin.id = batch.current_storage_bin_id
        JOIN storage_bin_types AS kind ON kind.id = bin.storage_bin_type_id
        WHERE moved.movement_type = 'ventas' AND NOT kind.sellable ORDER BY moved.id
    """,
    "empty_pots": """
        SELECT 'batch ' || batch_code,
            'has ' || quantity_empty_containers || ' empty pots but ' || dead || ' deaths'
        FROM stock_batches
        CROSS JOIN LATERAL (
            SELECT coalesce(-sum(quantity), 0) AS dead FROM stock_movements
            WHERE batch_id = stock_batches.id AND movement_type = 'muerte'
        ) AS history
        WHERE quantity_empty_containers <> CASE WHEN has_packaging THEN dead ELSE 0 END
        ORDER BY stock_batches.id
    """,
    "first_counts": """
        SELECT 'movement ' || moved.id, 'is the first count of another batch, or of none'
        FROM stock_movements AS moved LEFT JOIN counts ON counts.id = moved.count_id
        WHERE moved.movement_type IN ('manual_init', 'foto') AND moved.count_id IS NOT NULL
            AND counts.batch_id IS DISTINCT FROM moved.batch_id
        ORDER BY moved.id
    """,
}
CHECKS = (*_QUERIES, "counts", "periods")


def findings(connection: Connection, key: bytes | None = None) -> Iterator[Finding]:
    """Everything that is wrong, check by check. `key` proves the signatures of closed months."""
    for check, query in _QUERIES.items():
        for what, problem in connection.execute(text(query)):
            yield Finding(check, what, problem)
    yield from _unsettled(connection)
    for damage in damages(connection, key):
        yield Finding("periods", f"{damage.month:%Y-%m}", f"{damage.what} {damage.problem}")


def _unsettled(connection: Connection) -> Iterator[Finding]:
    """Counts whose `foto` entries are not what counts and movements say."""
    codes = {row[0]: row[1] for row in connection.execute(select(StockBatch.id, StockBatch.batch_code))}
    ids = sorted(codes)
    for start in range(0, len(ids), _CHUNK):
        for batch, quantities in due_corrections(connection, ids[start : start + _CHUNK]).items():
            for count, quantity in quantities.items():
                accepted = connection.scalar(select(Count.status).where(Count.id == count))
                stands = "" if accepted == CountStatus.ACCEPTED else f", and is {accepted or 'gone'}"
                yield Finding(
                    "counts",
                    f"count {count}",
                    f"of batch {codes[batch]} is posted wrong by {-quantity:+d}{stands}",
                )
