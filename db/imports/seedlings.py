"""The client's inventory of seedling trays: two header rows, thirteen columns, and what people typed.

A row is a number of trays of so many cells; their product is booked as sown on the day of the inventory. What
cannot be a tray, a place or a plant is rejected: an inventory is not guessed.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

from sqlalchemy import Connection, select

from db.batches import Lot, Spot
from db.errors import UnreadableFile
from db.imports.dates import Span, parse_span
from db.imports.numbers import NumberFormat, detect_format, parse_number
from db.imports.nursery_places import Places
from db.imports.read import ReadFile, Row
from db.imports.species import Taxon, Taxonomy, ensure_product, expect, taxon_of, taxonomy_notes
from db.imports.staging import Judged
from db.imports.words import clean, key
from db.models.catalog import Product, ProductState
from db.models.places import StorageBinType
from db.models.vocabulary import BinCategory, MovementType
from db.movements import Entry, book

CELLS = (
    *("letter", "place", "code", "genus", "species", "description", "sown", "trays", "cells"),
    *("stage", "state", "remark", "stray"),
)
_CATEGORIES = {"C": "CACTUS", "S": "SUCULENTA"}
# Trays that are used without being in the catalogue of bins; more cells than that no tray has.
_OTHER_TRAYS = (30, 500)
_SMALLEST_PLUG = 72  # cells; a tray with fewer is for seedlings
_STATES = {"engorde": "JUVENILE", "mama": "PROPAGATING", "madres": "PROPAGATING"}
_CUTTING = re.compile(r"^gajos?\b\s*", re.IGNORECASE)
_PER_POT = re.compile(r"x\s*(\d)\s*pl|plant\w*\s*(\d)\s*(?:per|por|x)\s*(?:pot|maceta)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sowing:
    """Trays of one plant at one place, as read. `trays` may be a half."""

    place: str
    taxon: Taxon
    trays: Decimal
    cells: int
    sown: Span | None
    is_cutting: bool
    state: str
    plants_per_pot: int | None

    @property
    def plants(self) -> int:
        return int((self.trays * self.cells).quantize(Decimal(1), ROUND_HALF_UP))


@dataclass(frozen=True, slots=True)
class Inventory:
    """How the file is booked: when it was true, who books it, and whether places may be made."""

    as_of: dt.datetime
    user_id: int
    create_places: bool = False


def load_seedlings(
    connection: Connection, file: ReadFile, inventory: Inventory
) -> tuple[list[Judged], list[str]]:
    """Book the inventory in the caller's transaction; a verdict per row, and notes. Raises UnreadableFile."""
    rows = _data_rows(file)
    style = detect_format(cell for row in rows for cell in row.cells[7:9])
    taxonomy = Taxonomy.load(connection)
    expect(connection, taxonomy, _genera(rows))
    reader = _Reader(taxonomy, style, _trays(connection))
    places = Places.load(connection, may_create=inventory.create_places)
    judged: list[Judged] = []
    entries: list[Entry] = []
    for row in rows:
        verdict = Judged(row.line, row.raw, _cells(row))
        try:
            sowing, fixes = reader.read(row)
            entry, code, mended = _entry(connection, (sowing, places, reader), inventory)
            key_ = f"import:{file.sha256[:24]}:{row.line}"
            entries.append(replace(entry, idempotency_key=key_, reason=_reason(file, row, sowing)))
            judged.append(replace(verdict.fixed(*mended, *fixes), target=code))
        except ValueError as error:
            judged.append(verdict.rejected(str(error)))
    book(connection, entries)
    plants = sum(entry.quantity for entry in entries)
    notes = [f"numbers: {style.why}", f"{plants:,} plants booked as sown on {inventory.as_of:%Y-%m-%d}"]
    if places.created:
        notes.append(f"{len(places.created)} new places: {', '.join(sorted(places.created))}")
    return judged, notes + taxonomy_notes(taxonomy)


def _data_rows(file: ReadFile) -> list[Row]:
    """Without the two header rows, which name the columns and explain stage and state."""
    rows = [row for row in file.rows if not row.is_blank]
    start = next((place for place, row in enumerate(rows[:6]) if _is_data(row)), None)
    if start is None or max(len(row.cells) for row in rows[:6]) < 9:
        raise UnreadableFile(
            f"{file.path} is no seedling inventory: none of its first rows has C or S, a place, a genus, and "
            "numbers of trays and cells in the columns 1, 2, 4, 8 and 9."
        )
    return rows[start:]


def _is_data(row: Row) -> bool:
    cells = _cells(row)
    return cells["letter"].upper() in _CATEGORIES and any(char.isdigit() for char in cells["trays"])


def _cells(row: Row) -> dict[str, str]:
    texts = [clean(cell) for cell in row.cells]
    return dict(zip(CELLS, [*texts, *[""] * len(CELLS)], strict=False))


def _genera(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    for row in rows:
        cells = _cells(row)
        if cells["letter"].upper() in _CATEGORIES:
            yield _CATEGORIES[cells["letter"].upper()], cells["genus"]


def _trays(connection: Connection) -> dict[int, str]:
    """The category of bin by the number of its cells."""
    table = StorageBinType
    wanted = (BinCategory.PLUG.value, BinCategory.SEEDLING_TRAY.value)
    query = select(table.capacity, table.category).where(
        table.category.in_(wanted), table.capacity.is_not(None)
    )
    known = {row.capacity: row.category for row in connection.execute(query)}
    for cells in _OTHER_TRAYS:
        plug = cells >= _SMALLEST_PLUG
        known.setdefault(cells, (BinCategory.PLUG if plug else BinCategory.SEEDLING_TRAY).value)
    return known


@dataclass(frozen=True, slots=True)
class _Reader:
    taxonomy: Taxonomy
    style: NumberFormat
    trays: Mapping[int, str]

    def read(self, row: Row) -> tuple[Sowing, list[str]]:
        """Raises ValueError."""
        cells, fixes = _cells(row), list[str]()
        if not cells["place"]:
            raise ValueError("names no place")
        category = self._category(cells, fixes)
        taxon, mended = taxon_of(self.taxonomy, category, cells["genus"], cells["species"])
        trays = self._trays_of(cells, row)
        size = self._size(cells, row)
        sown, is_cutting = _sown(cells["sown"], fixes)
        sowing = Sowing(
            *(cells["place"], taxon, trays, size, sown, is_cutting, _state(cells["state"], fixes)),
            _plants_per_pot(cells["remark"]),
        )
        if trays * size != sowing.plants:
            fixes.append(f"{trays} × {size} cells rounded to {sowing.plants} plants")
        if cells["stray"]:
            fixes.append(f"{cells['stray']!r} in the last column means nothing")
        return sowing, [*mended, *fixes]

    def _category(self, cells: Mapping[str, str], fixes: list[str]) -> str:
        letter = cells["letter"].upper()
        if letter in _CATEGORIES:
            return _CATEGORIES[letter]
        known = self.taxonomy.families.get(key(cells["genus"].replace("?", "")))
        if letter or known is None:
            raise ValueError(f"begins with neither C nor S: {cells['letter']!r}")
        fixes.append(f"without a letter; {known[2]} is of {known[1]}")
        return known[1]

    def _trays_of(self, cells: Mapping[str, str], row: Row) -> Decimal:
        if not cells["trays"]:
            raise ValueError("has no number of trays")
        trays = _number("trays", cells["trays"], self.style, 7 in row.exact)
        if not 0 < trays <= 1000:
            raise ValueError(f"trays must be more than 0 and at most 1000, not {cells['trays']!r}")
        return trays

    def _size(self, cells: Mapping[str, str], row: Row) -> int:
        if not cells["cells"]:
            raise ValueError("has no number of cells per tray")
        size = _number("cells", cells["cells"], self.style, 8 in row.exact)
        if size in self.trays:
            return int(size)
        near = sorted(self.trays, key=lambda known: abs(known - size))[:1]
        hint = f"; did you mean {near[0]}?" if abs(near[0] - size) <= near[0] / 20 else ""
        raise ValueError(f"no tray has {cells['cells']} cells{hint}")


def _number(name: str, text: str, style: NumberFormat, exact: bool) -> Decimal:
    try:
        return parse_number(text, style, exact=exact)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error


def _sown(text: str, fixes: list[str]) -> tuple[Span | None, bool]:
    """When it was sown, and whether it is a cutting. Raises ValueError."""
    rest = _CUTTING.sub("", text)
    is_cutting = rest != text
    if not rest:
        return None, is_cutting
    try:
        span = parse_span(rest)
    except ValueError as error:
        raise ValueError(f"the date of sowing {error}") from error
    if span.remark:
        fixes.append(span.remark)
    return span, is_cutting


def _state(text: str, fixes: list[str]) -> str:
    """1, 2, 3 and 35, 38, 311 say what to do next, not what the plants are."""
    word = key(text)
    if "?" in text or word == "1o2":
        fixes.append(f"state {text!r} is doubtful")
    return _STATES.get(word, "SEEDLING")


def _plants_per_pot(remark: str) -> int | None:
    found = _PER_POT.search(remark)
    return int(found[1] or found[2]) if found else None


def _entry(
    connection: Connection, what: tuple[Sowing, Places, _Reader], inventory: Inventory
) -> tuple[Entry, str, list[str]]:
    """The movement, where it goes, and what was mended on the way. Raises ValueError."""
    sowing, places, reader = what
    place, code, mended = places.find(connection, sowing.place)
    sku = ensure_product(connection, reader.taxonomy, sowing.taxon)
    product = connection.execute(select(Product.id).where(Product.sku == sku)).scalar_one()
    state = connection.scalar(select(ProductState.id).where(ProductState.code == sowing.state))
    if state is None:
        raise ValueError(f"the catalogue has no state {sowing.state}; run `demeter seed`")
    spot = Spot(place, reader.trays[sowing.cells], Lot(product, state, None, None))
    entry = Entry(
        movement_type=MovementType.SEMBRAR,
        where=spot,
        quantity=sowing.plants,
        occurred_at=inventory.as_of,
        user_id=inventory.user_id,
    )
    return entry, code, mended


def _reason(file: ReadFile, row: Row, sowing: Sowing) -> str:
    words = [f"{sowing.trays.normalize():f} trays of {sowing.cells}"]
    if sowing.sown is not None:
        words.append(f"{'cut' if sowing.is_cutting else 'sown'} {sowing.sown.first:%Y-%m}")
    elif sowing.is_cutting:
        words.append("cuttings")
    if sowing.plants_per_pot:
        words.append(f"one pot will take {sowing.plants_per_pot}")
    return f"inventory {file.path.name}, line {row.line}: {', '.join(words)}"
