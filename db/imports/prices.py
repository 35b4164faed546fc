"""The client's price list: a title with its date, a remark, a header with a line break in it, and lines.

Its prices lost their thousands: `$1.05` is 1,050 pesos beside `$950`, which is 950. Whether a file does that
is proved by its own crates: price × units must give the total.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from sqlalchemy import Connection

from db.errors import NotFound, Refused, UnreadableFile
from db.imports.numbers import NumberFormat, parse_number
from db.imports.pots import parse_pot
from db.imports.read import ReadFile, Row
from db.imports.staging import Judged
from db.imports.words import clean, fold, key
from db.prices import Item, set_price
from db.pricing import Terms, sku_of

CELLS = ("category", "pot", "unit", "code", "units", "total", "remarks", "availability")
SLACK = 6  # pesos per unit by which a total may differ from price × units
_HEADER = "unidxcajon"
_DATE = re.compile(r"\bal\s+(\d{1,2})[_/.-](\d{1,2})[_/.-](\d{4})\b", re.IGNORECASE)
_DISCOUNT = re.compile(r"(\d{1,3})\s*%\s*(?:dto|desc|off)", re.IGNORECASE)
_AVAILABILITY = {
    "todoelano": "available",
    "stocklimitado": "limited",
    "hastaagotarstock": "while_stocks_last",
    "hastaagotar": "while_stocks_last",
    "nodisponible": "out_of_stock",
}
_CATEGORIES = {"cactus": "CACTUS", "suculenta": "SUCULENTA", "agave": "AGAVE", "piedra": "PIEDRA"}
_STONES = {"piedramate": "PIE-MAT-001", "piedrafluo": "PIE-FLU-001"}
_DOT = NumberFormat(".", "the crates prove that a dot marks decimals")


@dataclass(frozen=True, slots=True)
class PriceLine:
    """A line as it is meant. Prices are pesos without VAT; None is not given."""

    code: str
    category: str
    description: str
    packaging: str | None
    product: str | None
    unit: Decimal | None
    units: int | None
    total: Decimal | None
    discount: Decimal
    availability: str | None
    remarks: str | None


@dataclass(frozen=True, slots=True)
class PriceFile:
    """`lines` and `judged` run side by side; a rejected row has no line. `dated` is what the title says."""

    judged: tuple[Judged, ...]
    lines: tuple[PriceLine | None, ...]
    dated: dt.date | None
    notes: tuple[str, ...]


def judge_prices(file: ReadFile, packaging: Iterable[str]) -> PriceFile:
    """A verdict for each line under the header. `packaging` are the SKUs of the catalogue of pots.

    Raises UnreadableFile when there is no header, or when no crate proves how prices are written.
    """
    header = next((place for place, row in enumerate(file.rows[:12]) if _is_header(row)), None)
    if header is None:
        raise UnreadableFile(
            f"{file.path} is no price list: none of its first lines has the heading 'Unid. X Cajón'."
        )
    rows = [row for row in file.rows[header + 1 :] if not row.is_blank]
    cells = [_cells(row) for row in rows]
    thousands, proof = _dot_means_thousands(file, cells)
    pots, seen = frozenset(packaging), dict[str, int]()
    judged: list[Judged] = []
    lines: list[PriceLine | None] = []
    for row, named in zip(rows, cells, strict=True):
        verdict = Judged(row.line, row.raw, named)
        try:
            line, fixes = _line(named, thousands, pots)
            sku = sku_of(line.code)
            if sku in seen:
                raise ValueError(f"repeats the code {line.code!r} of line {seen[sku]}")
            seen[sku] = row.line
            judged.append(verdict.fixed(*fixes))
            lines.append(line)
        except ValueError as error:
            judged.append(verdict.rejected(str(error)))
            lines.append(None)
    unknown = sum(line is not None and line.packaging is None and line.product is None for line in lines)
    notes = [proof, *([f"{unknown} lines name no single pot of the catalogue"] if unknown else [])]
    return PriceFile(tuple(judged), tuple(lines), _date(file.rows[:header]), tuple(notes))


def load_prices(connection: Connection, read: PriceFile, start: dt.date) -> list[Judged]:
    """Let the lines hold from `start` on, in the caller's transaction; what the rules refuse is rejected."""
    judged = []
    for verdict, line in zip(read.judged, read.lines, strict=True):
        if line is None:
            judged.append(verdict)
            continue
        item = Item(line.code, line.category, line.packaging, line.product, None, line.description)
        terms = Terms(
            wholesale=line.unit,
            units_per_box=line.units,
            box_price=line.total,
            discount_percent=line.discount,
            availability=line.availability,
            observations=line.remarks,
        )
        try:
            set_price(connection, item, terms, start)
            judged.append(replace(verdict, target=item.sku))
        except (Refused, NotFound) as error:
            judged.append(verdict.rejected(str(error)))
    return judged


def _is_header(row: Row) -> bool:
    return any(key(cell) == _HEADER for cell in row.cells)


def _cells(row: Row) -> dict[str, str]:
    texts = [clean(cell) for cell in row.cells]
    return dict(zip(CELLS, [*texts, *[""] * len(CELLS)], strict=False))


def _date(rows: Sequence[Row]) -> dt.date | None:
    for row in rows:
        found = _DATE.search(" ".join(row.cells))
        if found:
            return dt.date(int(found[3]), int(found[2]), int(found[1]))
    return None


def _dot_means_thousands(file: ReadFile, rows: Sequence[Mapping[str, str]]) -> tuple[bool, str]:
    """By the crates for which one reading fits and the other does not. Raises UnreadableFile."""
    votes = [0, 0]
    for row in rows:
        fits = [_crate_fits(row, thousands) for thousands in (False, True)]
        if fits.count(True) == 1:
            votes[fits.index(True)] += 1
    if not any(votes):
        raise UnreadableFile(
            f"{file.path}: no crate proves whether $1.05 means 1.05 or 1,050 pesos; "
            "the columns price, units and total must hold a line in which the two differ."
        )
    thousands = votes[1] >= votes[0]
    word = "a dot stands for thousands" if thousands else "a dot marks decimals"
    against = f", {min(votes)} contradict" if min(votes) else ""
    return thousands, f"prices: {word}, as price × units = total shows in {max(votes)} lines{against}"


def _crate_fits(row: Mapping[str, str], thousands: bool) -> bool:
    try:
        unit, total = _pesos(row["unit"], thousands), _pesos(row["total"], thousands)
        units = _units(row["units"])
    except ValueError:
        return False
    if not (unit and units and total):
        return False
    return abs(unit * units - total) <= SLACK * units


def _line(cells: Mapping[str, str], thousands: bool, pots: frozenset[str]) -> tuple[PriceLine, list[str]]:
    """The line, and what had to be mended. Raises ValueError."""
    if not cells["code"]:
        raise ValueError("has no code")
    fixes: list[str] = []
    pot = parse_pot(cells["code"])
    unit, units = _given(cells, "unit", thousands, fixes), _units(cells["units"])
    total = _given(cells, "total", thousands, fixes)
    if units is None:
        fixes.append(f"units per crate not given ({cells['units']!r})")
    if unit is None:
        fixes.append("without a price: shown as unpriced")
    if unit and units and total and abs(unit * units - total) > SLACK * units:
        raise ValueError(f"contradicts itself: {units} × {unit.normalize():f} is not {total.normalize():f}")
    availability, discount = _availability(cells, fixes)
    wanted = pot.packaging if pot is not None else ""
    line = PriceLine(
        code=cells["code"],
        category=_category(cells["category"], pot.category if pot is not None else None),
        description=cells["pot"],
        packaging=wanted if wanted in pots else None,
        product=_STONES.get(key(cells["category"])),
        unit=unit,
        units=units,
        total=total,
        discount=discount,
        availability=availability,
        remarks=cells["remarks"] or None,
    )
    return line, fixes


def _category(text: str, of_code: str | None) -> str:
    """Grafts are listed among the cacti; their code tells them apart."""
    found = next((code for word, code in _CATEGORIES.items() if key(text).startswith(word)), None)
    if found is None:
        raise ValueError(f"names no category: {text!r}")
    return "INJERTO" if of_code == "INJERTO" else found


def _given(cells: Mapping[str, str], name: str, thousands: bool, fixes: list[str]) -> Decimal | None:
    price = _pesos(cells[name], thousands)
    if price == 0:
        fixes.append(f"{name} {cells[name]!r} is no price")
        return None
    return price


def _pesos(text: str, thousands: bool) -> Decimal | None:
    """Raises ValueError with a phrase."""
    if not text or text in {"-", "$", "$ -"}:
        return None
    if thousands and "," not in text:
        number = parse_number(text, _DOT)
        return number * 1000 if "." in text else number
    return parse_number(text, NumberFormat(",", "it has a comma") if "," in text else _DOT)


def _units(text: str) -> int | None:
    if text in {"", "0"}:
        return None
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise ValueError(f"units per crate must be a whole number, not {text!r}")
    return int(text)


def _availability(cells: Mapping[str, str], fixes: list[str]) -> tuple[str | None, Decimal]:
    """The word, and a discount in percent wherever it stands."""
    discount = Decimal(0)
    for name in ("remarks", "availability"):
        found = _DISCOUNT.search(cells[name])
        if found:
            discount = Decimal(found[1])
            fixes.append(f"discount of {discount} % read from {name} {cells[name]!r}")
    if discount > 100:
        raise ValueError(f"a discount of {discount} % is none")
    text = cells["availability"]
    word = _AVAILABILITY.get(key(text))
    if word is None and text and not _DISCOUNT.search(text):
        if fold(text) != "0":
            raise ValueError(f"availability {text!r} is none of {', '.join(sorted(_AVAILABILITY))}")
        fixes.append("availability '0' says nothing")
    return word, discount
