"""Audits in the database: tiles drawn from counted photos, and what people counted on them.

Nothing here tells the machine's numbers to whoever counts by hand: callers print them after recording only.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from db.audit_photos import TAKEN
from db.errors import AuditRefused, NotFound
from db.models.audits import Audit, AuditStratum, AuditTile
from db.models.catalog import Product
from db.models.photos import Image, PhotoSession
from db.models.places import StorageLocation
from db.models.vocabulary import AuditStatus
from db.sessions import storable
from pipeline.audit.ratio import LEAST_TILES, HandCount
from pipeline.audit.records import Domain, Frame, Season, Stratum, Tile
from pipeline.words import Sentence


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An audit as people see it."""

    id: int
    code: str
    status: AuditStatus
    created_at: dt.datetime
    expires_at: dt.datetime
    recorded: bool  # hand counts are in
    seed: int
    photos: int
    frames: int
    tiles: int
    counted: int
    model: tuple[str, str, str]  # name, sha256, config hash
    filters: dict[str, str]

    def expired(self, now: dt.datetime) -> bool:
        return now >= self.expires_at


@dataclass(frozen=True, slots=True)
class TileRow:
    """A tile of a sheet: where it was taken from, and what was counted on it by hand."""

    number: int
    sku: str
    product: str
    place: str
    taken: dt.datetime
    original_key: str
    count: HandCount
    counted_by: str | None
    remark: str | None


def save_audit(
    connection: Connection, drawn: AuditRow, tiles: Sequence[Tile], user: int, day: dt.date
) -> AuditRow:
    """Write a drawn audit; the code, which names the day, and the id are given here. In a transaction of the
    caller's, so that it stays only if its sheet could be written."""
    prefix = f"AUD-{day:%Y-%m-%d}-"
    key = int.from_bytes(hashlib.sha256(prefix.encode()).digest()[:8], "big", signed=True)
    connection.execute(select(func.pg_advisory_xact_lock(key)))
    used = connection.scalar(select(func.count()).where(Audit.code.startswith(prefix))) or 0
    values = {
        "code": f"{prefix}{used + 1:02d}",
        "filters": drawn.filters,
        "seed": drawn.seed,
        "photos": drawn.photos,
        "frames": drawn.frames,
        **dict(zip(("model", "model_sha256", "config_hash"), drawn.model, strict=True)),
        "created_by_user_id": user,
        "created_at": drawn.created_at,
        "expires_at": drawn.expires_at,
    }
    audit = connection.execute(insert(Audit).values(values).returning(Audit.id)).scalar_one()
    strata: dict[Stratum, int] = {}
    for number, tile in enumerate(tiles, start=1):
        if tile.stratum not in strata:
            strata[tile.stratum] = _save_stratum(connection, audit, tile.stratum)
        frame = asdict(tile.frame)
        frame.pop("far")
        row = {"audit_id": audit, "number": number, "stratum_id": strata[tile.stratum], **frame}
        connection.execute(insert(AuditTile).values(**row, probability=tile.probability))
    return replace(drawn, id=audit, code=str(values["code"]))


def _save_stratum(connection: Connection, audit: int, stratum: Stratum) -> int:
    values = {
        "audit_id": audit,
        "product_id": stratum.domain.product_id,
        "season": stratum.domain.season.value,
        "far": stratum.far,
        "dense": stratum.dense,
        "frames": stratum.frames,
        "plants": stratum.plants,
    }
    return connection.execute(insert(AuditStratum).values(values).returning(AuditStratum.id)).scalar_one()


def audits(connection: Connection, code: str | None = None) -> list[AuditRow]:
    """All audits, newest first, or the one with this code."""
    counted = func.count(AuditTile.hand_count)
    query = (
        select(Audit, func.count(AuditTile.id).label("tiles"), counted.label("counted"))
        .join(AuditTile, AuditTile.audit_id == Audit.id)
        .group_by(Audit.id)
        .order_by(Audit.id.desc())
    )
    if code is not None:
        query = query.where(Audit.code == code.strip().upper())
    return [
        AuditRow(
            id=row.id,
            code=row.code,
            status=AuditStatus(row.status),
            created_at=row.created_at,
            expires_at=row.expires_at,
            recorded=row.recorded_at is not None,
            seed=row.seed,
            photos=row.photos,
            frames=row.frames,
            tiles=row.tiles,
            counted=row.counted,
            model=(row.model, row.model_sha256, row.config_hash),
            filters=row.filters,
        )
        for row in connection.execute(query)
    ]


def named(connection: Connection, code: str) -> AuditRow:
    """Raises NotFound."""
    found = audits(connection, code)
    if not found:
        raise NotFound(
            Sentence("there is no audit {code!r}; `demeter model audit list` shows them", code=code)
        )
    return found[0]


def tiles_of(connection: Connection, audit: AuditRow) -> list[TileRow]:
    """The tiles of a sheet by their numbers."""
    tile, stratum = AuditTile, AuditStratum
    frame = (tile.session_id, tile.x1, tile.y1, tile.x2, tile.y2, tile.seen, tile.hidden, tile.plant_px)
    rows = connection.execute(
        select(
            *(tile.number, tile.hand_count, tile.counted_by, tile.remark, tile.probability, *frame),
            *(stratum.product_id, stratum.season, stratum.far, stratum.dense, stratum.frames, stratum.plants),
            Product.sku,
            Product.common_name.label("product"),
            StorageLocation.code.label("place"),
            TAKEN.label("taken"),
            Image.storage_key,
        )
        .join(stratum, stratum.id == tile.stratum_id)
        .join(Product, Product.id == stratum.product_id)
        .join(PhotoSession, PhotoSession.id == tile.session_id)
        .join(Image, Image.id == PhotoSession.image_id)
        .join(StorageLocation, StorageLocation.id == PhotoSession.storage_location_id)
        .where(tile.audit_id == audit.id)
        .order_by(tile.number)
    )
    return [_tile_row(row) for row in rows]


def _tile_row(row: Row[*tuple[Any, ...]]) -> TileRow:
    domain = Domain(row.product_id, Season(row.season))
    stratum = Stratum(domain, row.far, row.dense, row.frames, row.plants)
    edges = (row.x1, row.y1, row.x2, row.y2)
    frame = Frame(row.session_id, *edges, row.seen, row.hidden, row.plant_px, row.far)
    return TileRow(
        number=row.number,
        sku=row.sku,
        product=row.product,
        place=row.place,
        taken=row.taken,
        original_key=row.storage_key,
        count=HandCount(Tile(stratum, frame, row.probability), row.hand_count),
        counted_by=row.counted_by,
        remark=row.remark,
    )


def open_for_counts(audit: AuditRow, now: dt.datetime) -> None:
    """Raises AuditRefused where no more hand counts are taken."""
    if audit.status in (AuditStatus.APPLIED, AuditStatus.WITHDRAWN):
        raise AuditRefused(
            Sentence(
                "{code} is {status}: it takes no more counts; start another audit",
                code=audit.code,
                status=audit.status,
            )
        )
    if audit.expired(now):
        raise AuditRefused(
            Sentence(
                "{code} expired on {expires_at:%Y-%m-%d}: its photos are too old to speak for"
                " today's; start another audit",
                code=audit.code,
                expires_at=audit.expires_at,
            )
        )


def save_hand_counts(
    connection: Connection, audit: AuditRow, counts: Iterable[tuple[int, int, str | None]], by: str
) -> None:
    """`(tile, plants, remark)`; replaces what was counted on these tiles before. In the caller's
    transaction."""
    for number, plants, remark in counts:
        connection.execute(
            update(AuditTile)
            .where(AuditTile.audit_id == audit.id, AuditTile.number == number)
            .values(
                hand_count=plants,
                counted_by=storable(by),
                counted_at=func.now(),
                remark=storable(remark) if remark else None,
            )
        )


def close_sheet(connection: Connection, audit: AuditRow) -> AuditRow:
    """Mark the audit as recorded. Raises AuditRefused where too few tiles have been counted."""
    audit = named(connection, audit.code)
    if audit.counted < min(LEAST_TILES, audit.tiles):
        raise AuditRefused(
            Sentence(
                "{code}: {counted} of {tiles} tiles are counted, and at least {min} are needed",
                code=audit.code,
                counted=audit.counted,
                tiles=audit.tiles,
                min=min(LEAST_TILES, audit.tiles),
            )
        )
    connection.execute(
        update(Audit)
        .where(Audit.id == audit.id)
        .values(status=AuditStatus.RECORDED.value, recorded_at=func.now())
    )
    return named(connection, audit.code)
