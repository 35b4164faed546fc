"""What is to grow at many places, from a file that a person made."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from db.codes import Codes
from db.errors import NotFound, Refused
from db.imports.dates import parse_day
from db.imports.numbers import NumberFormat, detect_format, parse_number
from db.imports.read import read_rows
from db.imports.tables import Columns, Record, records
from db.place_config import DEFAULT_STATE, Change, Crop, correct_crop, places_within, set_crop

COLUMNS = Columns(
    required=("place", "product"),
    optional=("packaging", "state", "size", "area_cm2", "from", "notes"),
    spellings={
        "storage_location": "place",
        "place_code": "place",
        "claro": "place",
        "producto": "product",
        "product_sku": "product",
        "packaging_catalog": "packaging",
        "packaging_sku": "packaging",
        "maceta": "packaging",
        "estado": "state",
        "expected_product_state": "state",
        "product_size": "size",
        "talla": "size",
        "valid_from": "from",
        "desde": "from",
        "notas": "notes",
    },
)


@dataclass(frozen=True, slots=True)
class PlannedCrop:
    """`line` is 0 where it comes from no file; `problem` is what makes it impossible to read."""

    line: int
    place: str
    crop: Crop | None
    start: dt.datetime
    problem: str | None = None


def read_crops(connection: Connection, path: Path, now: dt.datetime, zone: ZoneInfo) -> list[PlannedCrop]:
    """The crops of a file; a bed or bay stands for its places. `now` is for lines without a date.

    Raises UnreadableFile.
    """
    read = records(read_rows(path), COLUMNS)
    style = detect_format(record.cells.get("area_cm2", "") for record in read)
    planned: list[PlannedCrop] = []
    for record in read:
        try:
            crop, start = _crop(record, style, now, zone)
            places = places_within(connection, [record.cells["place"]])
            planned += [PlannedCrop(record.line, place, crop, start) for place in places]
        except (ValueError, NotFound) as error:
            planned.append(PlannedCrop(record.line, record.cells.get("place", ""), None, now, str(error)))
    return planned


def carry_out(
    connection: Connection, planned: Iterable[PlannedCrop], *, correct: bool
) -> tuple[list[Change], list[str]]:
    """Set the crops in the caller's transaction; what was done, and a sentence for each that cannot be.

    With a problem the caller must roll back. Raises NotFound for what comes from no file.
    """
    codes = Codes.load(connection)
    changes: list[Change] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    for each in planned:
        where = f"line {each.line}: " if each.line else ""
        try:
            if each.crop is None:
                raise Refused(each.problem or "cannot be read")
            if each.place in seen:
                raise Refused(f"{each.place} is set by line {seen[each.place]} already")
            seen[each.place] = each.line
            if correct:
                changes.append(correct_crop(connection, codes, each.place, each.crop))
            else:
                changes.append(set_crop(connection, codes, each.place, each.crop, each.start))
        except (NotFound, Refused) as error:
            if not each.line and isinstance(error, NotFound):
                raise  # a mistyped option, not a line of a file
            problems.append(f"{where}{error}")
    return changes, list(dict.fromkeys(problems))


def parse_start(text: str, zone: ZoneInfo) -> dt.datetime:
    """A day means its beginning, a moment without a zone is in the site's. Raises ValueError."""
    if ":" in text:
        moment = dt.datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return dt.datetime.combine(parse_day(text), dt.time(), zone)


def _crop(record: Record, style: NumberFormat, now: dt.datetime, zone: ZoneInfo) -> tuple[Crop, dt.datetime]:
    """Raises ValueError."""
    if record.problem:
        raise ValueError(record.problem)
    cells = record.cells
    for name in COLUMNS.required:
        if not cells[name]:
            raise ValueError(f"has no {name}")
    start = now
    if cells.get("from"):
        try:
            start = parse_start(cells["from"], zone)
        except ValueError as error:
            raise ValueError(f"from {error}") from error
    crop = Crop(
        product=cells["product"].upper(),
        packaging=cells.get("packaging", "").upper() or None,
        state=cells.get("state", "").upper() or DEFAULT_STATE,
        size=cells.get("size", "").upper() or None,
        area_cm2=_area(record, style),
        notes=cells.get("notes") or None,
    )
    return crop, start


def _area(record: Record, style: NumberFormat) -> Decimal | None:
    text = record.cells.get("area_cm2", "")
    if not text:
        return None
    try:
        return parse_number(text, style, exact="area_cm2" in record.exact)
    except ValueError as error:
        raise ValueError(f"area_cm2 {error}") from error
