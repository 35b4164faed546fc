"""What grows at a place, and since when: set, correct, close, and look back.

A new crop closes the configuration in force and opens another; a correction changes the one in force, for all
of its time. Both run in the caller's transaction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.orm import aliased

from db.codes import Codes
from db.errors import NotFound, Refused
from db.imports.words import nearest
from db.models.catalog import PackagingCatalog, Product, ProductSize, ProductState
from db.models.places import StorageArea, StorageLocation, StorageLocationConfig, Warehouse
from pipeline.words import Sentence

DEFAULT_STATE = "ADULT"
_GRACE = dt.timedelta(minutes=5)  # clocks differ


@dataclass(frozen=True, slots=True)
class Crop:
    """What grows, by the codes that people use. `packaging` None is without a pot, `size` None is any."""

    product: str
    packaging: str | None = None
    state: str = DEFAULT_STATE
    size: str | None = None
    area_cm2: Decimal | None = None
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What setting a crop did at a place, or would do. `before` is None where nothing was configured."""

    place: str
    action: str  # opened, replaced, corrected, closed, unchanged
    before: Crop | None
    after: Crop | None
    since: dt.datetime


def set_crop(connection: Connection, codes: Codes, place: str, crop: Crop, start: dt.datetime) -> Change:
    """Let another crop grow at a place from `start` on.

    The same crop as before changes nothing. Raises NotFound, and Refused when the configuration in force is
    not older than `start`, or has ended by itself later than that.
    """
    location, values = codes.find("place", place), _values(codes, crop)
    if start > dt.datetime.now(dt.UTC) + _GRACE:
        raise Refused(
            Sentence(
                "{place}: a crop cannot begin in the future ({start:%Y-%m-%d %H:%M})",
                place=place,
                start=start,
            )
        )
    active = _active(connection, location)
    before = crop_of(active) if active is not None else None
    if active is not None and all(active[name] == value for name, value in values.items()):
        return Change(place, "unchanged", before, before, active["valid_from"])
    _require_free(connection, place, location, start)
    if active is not None:
        _end(connection, active["id"], start)
    connection.execute(
        insert(StorageLocationConfig).values(storage_location_id=location, valid_from=start, **values)
    )
    return Change(place, "opened" if active is None else "replaced", before, crop, start)


def correct_crop(connection: Connection, codes: Codes, place: str, crop: Crop) -> Change:
    """Say that what grows at a place was something else all the time. Raises NotFound and Refused."""
    location, values = codes.find("place", place), _values(codes, crop)
    active = _active(connection, location)
    if active is None:
        raise Refused(
            Sentence("{place} has no configuration to correct; set one without --correct", place=place)
        )
    before, since = crop_of(active), active["valid_from"]
    if all(active[name] == value for name, value in values.items()):
        return Change(place, "unchanged", before, before, since)
    table = StorageLocationConfig
    connection.execute(update(table).where(table.id == active["id"]).values(values))
    return Change(place, "corrected", before, crop, since)


def close_crop(connection: Connection, codes: Codes, place: str, end: dt.datetime) -> Change:
    """Let nothing be configured at a place from `end` on. Raises NotFound and Refused."""
    active = _active(connection, codes.find("place", place))
    if active is None:
        raise Refused(Sentence("{place} has no configuration in force", place=place))
    if end <= active["valid_from"]:
        raise Refused(
            Sentence(
                "{place}: its configuration began on {valid_from:%Y-%m-%d %H:%M}, after that",
                place=place,
                valid_from=active["valid_from"],
            )
        )
    _end(connection, active["id"], end)
    return Change(place, "closed", crop_of(active), None, end)


def history(connection: Connection, place: str | None = None) -> list[Mapping[str, Any]]:
    """All configurations of a place, or those in force at every place, by time. Raises NotFound."""
    query = _QUERY.order_by(StorageLocation.code, StorageLocationConfig.valid_from)
    if place is None:
        query = query.where(StorageLocationConfig.active)
    else:
        query = query.where(StorageLocation.id == Codes.load(connection).known("place", place))
    return [row._asdict() for row in connection.execute(query)]


def places_within(connection: Connection, names: Iterable[str]) -> list[str]:
    """Codes of the active places that the names mean: places, or all those of a bed or a bay.

    Raises NotFound that names the nearest codes.
    """
    bay, bed = aliased(Warehouse), aliased(StorageArea)
    rows = connection.execute(
        select(StorageLocation.code, bed.code, bay.code)
        .join(bed, bed.id == StorageLocation.storage_area_id)
        .join(bay, bay.id == bed.warehouse_id)
        .where(StorageLocation.active)
        .order_by(StorageLocation.code)
    ).all()
    found: dict[str, None] = {}
    for name in names:
        wanted = name.strip().upper()
        inside = [row[0] for row in rows if wanted in tuple(row)]
        if not inside:
            known = {code for row in rows for code in row}
            raise NotFound(
                Sentence(
                    "there is no place, bed or bay {name!r}{nearest}", name=name, nearest=nearest(name, known)
                )
            )
        found |= dict.fromkeys(inside)
    return list(found)


_QUERY = (
    select(
        StorageLocationConfig.id,
        StorageLocation.code.label("place"),
        Product.sku.label("product"),
        Product.common_name.label("name"),
        PackagingCatalog.sku.label("packaging"),
        ProductSize.code.label("size"),
        ProductState.code.label("state"),
        StorageLocationConfig.area_cm2,
        StorageLocationConfig.valid_from,
        StorageLocationConfig.valid_to,
        StorageLocationConfig.active,
        StorageLocationConfig.notes,
        StorageLocationConfig.product_id,
        StorageLocationConfig.packaging_catalog_id,
        StorageLocationConfig.product_size_id,
        StorageLocationConfig.expected_product_state_id,
    )
    .select_from(StorageLocationConfig)
    .join(StorageLocation, StorageLocation.id == StorageLocationConfig.storage_location_id)
    .join(Product, Product.id == StorageLocationConfig.product_id)
    .join(ProductState, ProductState.id == StorageLocationConfig.expected_product_state_id)
    .outerjoin(PackagingCatalog, PackagingCatalog.id == StorageLocationConfig.packaging_catalog_id)
    .outerjoin(ProductSize, ProductSize.id == StorageLocationConfig.product_size_id)
)


def crop_of(row: Mapping[str, Any]) -> Crop:
    return Crop(row["product"], row["packaging"], row["state"], row["size"], row["area_cm2"], row["notes"])


def _active(connection: Connection, location: int) -> dict[str, Any] | None:
    """The configuration in force, locked so that two who set it at once do so one after the other."""
    lock = select(StorageLocation.id).where(StorageLocation.id == location).with_for_update()
    connection.execute(lock)
    table = StorageLocationConfig
    row = connection.execute(_QUERY.where(table.storage_location_id == location, table.active)).one_or_none()
    return None if row is None else dict(row._asdict())


def _values(codes: Codes, crop: Crop) -> dict[str, Any]:
    if crop.area_cm2 is not None and crop.area_cm2 <= 0:
        raise Refused(
            Sentence("the usable area must be more than 0 cm², not {area_cm2}", area_cm2=crop.area_cm2)
        )
    return {
        "product_id": codes.find("product", crop.product),
        "packaging_catalog_id": codes.find("pot", crop.packaging) if crop.packaging else None,
        "product_size_id": codes.find("size", crop.size) if crop.size else None,
        "expected_product_state_id": codes.find("state", crop.state),
        "area_cm2": crop.area_cm2.quantize(Decimal("0.01")) if crop.area_cm2 is not None else None,
        "notes": crop.notes,
    }


def _require_free(connection: Connection, place: str, location: int, start: dt.datetime) -> None:
    """No configuration may begin at `start` or later, nor end after it but the one in force."""
    table = StorageLocationConfig
    later: Sequence[Any] = connection.execute(
        select(table.valid_from, table.valid_to).where(
            table.storage_location_id == location, (table.valid_from >= start) | (table.valid_to > start)
        )
    ).all()
    if later:
        began = max(row.valid_to or row.valid_from for row in later)
        raise Refused(
            Sentence(
                "{place}: what was configured until or since {began:%Y-%m-%d %H:%M} stands; a"
                " new crop begins after that, and a mistake is mended with --correct",
                place=place,
                began=began,
            )
        )


def _end(connection: Connection, config: int, end: dt.datetime) -> None:
    table = StorageLocationConfig
    connection.execute(update(table).where(table.id == config).values(active=False, valid_to=end))
