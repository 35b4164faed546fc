"""Which places touch: worked out from their polygons, kept in `location_relationships`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import pairwise

from sqlalchemy import Connection, delete, insert, select

from db.batches import among
from db.geojson import Ring, flatten, outer_ring
from db.models.places import LocationRelationship, StorageLocation
from db.models.vocabulary import RelationshipType

GAP_M = 0.25  # how far apart two borders may run and still touch
SHORTEST_M = 0.3  # of a common border; less is two corners that meet


def refresh_neighbours(connection: Connection) -> int:
    """Work out anew which active places touch, in the caller's transaction. Returns the number of pairs."""
    table = StorageLocation
    rows = connection.execute(
        select(table.id, table.geometry).where(table.active, table.geometry.is_not(None)).order_by(table.id)
    ).all()
    if not rows:
        return _keep_only(connection, {})
    origin = outer_ring(rows[0].geometry)[0]
    rings = {row.id: flatten(outer_ring(row.geometry), origin) for row in rows}
    return _keep_only(
        connection, {(one, other): Decimal(f"{shared:.2f}") for one, other, shared in neighbours(rings)}
    )


def _keep_only(connection: Connection, pairs: Mapping[tuple[int, int], Decimal]) -> int:
    """Write what has changed and no more, so that the audit log tells of changes only."""
    table, kind = LocationRelationship, RelationshipType.ADJACENT_TO.value
    held = {
        (row.parent_location_id, row.child_location_id): row
        for row in connection.execute(
            select(table.id, table.parent_location_id, table.child_location_id, table.shared_m).where(
                table.relationship_type == kind
            )
        )
    }
    stale = [row.id for pair, row in held.items() if pairs.get(pair) != row.shared_m]
    connection.execute(delete(table).where(among(table.id, stale)))
    fresh = [
        {
            "parent_location_id": pair[0],
            "child_location_id": pair[1],
            "relationship_type": kind,
            "shared_m": shared,
        }
        for pair, shared in pairs.items()
        if pair not in held or held[pair].shared_m != shared
    ]
    if fresh:
        connection.execute(insert(table), fresh)
    return len(pairs)


def neighbours(rings: Mapping[int, Ring]) -> Iterator[tuple[int, int, float]]:
    """Pairs of keys, the smaller first, with the metres of border that they share. Pure; rings in metres."""
    boxes = sorted((_box(ring), key) for key, ring in rings.items())
    for place, (box, key) in enumerate(boxes):
        for other_box, other in boxes[place + 1 :]:
            if other_box[0] > box[2] + GAP_M:
                break  # they are sorted by their western edge
            if other_box[1] <= box[3] + GAP_M and box[1] <= other_box[3] + GAP_M:
                shared = _shared(rings[key], rings[other])
                if shared >= SHORTEST_M:
                    yield min(key, other), max(key, other), shared


def _box(ring: Ring) -> tuple[float, float, float, float]:
    easts, norths = [point[0] for point in ring], [point[1] for point in ring]
    return min(easts), min(norths), max(easts), max(norths)


def _shared(one: Ring, other: Ring) -> float:
    return sum(_overlap(*a, *b) for a in pairwise(one) for b in pairwise(other))


def _overlap(
    a1: tuple[float, float], a2: tuple[float, float], b1: tuple[float, float], b2: tuple[float, float]
) -> float:
    """Metres that edge b runs along edge a."""
    length = math.dist(a1, a2)
    if length == 0 or b1 == b2:
        return 0.0
    ux, uy = (a2[0] - a1[0]) / length, (a2[1] - a1[1]) / length
    along = sorted(
        ((x - a1[0]) * ux + (y - a1[1]) * uy, (y - a1[1]) * ux - (x - a1[0]) * uy) for x, y in (b1, b2)
    )
    (start, off1), (end, off2) = along
    low, high = max(0.0, start), min(length, end)
    if high <= low:
        return 0.0
    slope = (off2 - off1) / (end - start)
    offs = (off1 + slope * (low - start), off1 + slope * (high - start))
    return high - low if max(map(abs, offs)) <= GAP_M else 0.0
