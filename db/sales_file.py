"""The client's sales files: a product and a pot, or the client's own code for both, and a quantity. Pure.

Nothing of a file is dropped silently: each row is read, set aside (another month, the same invoice line
again) or rejected, with the reason and the raw text.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from db.imports.dates import parse_day
from db.imports.numbers import NumberFormat, detect_format, parse_count
from db.imports.pots import parse_pot
from db.imports.read import ReadFile
from db.imports.tables import Columns, Record, records
from db.pricing import sku_of
from pipeline.words import Sentence

LARGEST = 1_000_000
COLUMNS = Columns(
    required=("quantity_sold",),
    optional=(
        *("product_sku", "packaging_sku", "code", "sale_date"),
        *("notes", "customer_name", "invoice_number"),
    ),
    spellings={
        **dict.fromkeys(("quantity", "cantidad", "cantidad vendida", "unidades"), "quantity_sold"),
        **dict.fromkeys(("product_code", "product", "producto", "sku producto"), "product_sku"),
        **dict.fromkeys(("packaging_code", "packaging", "maceta", "envase"), "packaging_sku"),
        **dict.fromkeys(("codigo", "código", "client_code", "articulo"), "code"),
        **dict.fromkeys(("date", "fecha", "fecha de venta"), "sale_date"),
        **dict.fromkeys(("cliente", "customer"), "customer_name"),
        **dict.fromkeys(("factura", "invoice", "comprobante"), "invoice_number"),
        **dict.fromkeys(("observaciones", "nota", "notas"), "notes"),
    },
)


@dataclass(frozen=True, slots=True)
class Target:
    """What a row is about: a product in a pot, or all products of a category in a pot. `label` is how the
    catalogue writes it; `packaging_id` None is any pot."""

    label: str
    product_id: int | None
    category_id: int | None
    packaging_id: int | None


class RowVerdict(StrEnum):
    READ = "read"
    SET_ASIDE = "set_aside"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class SaleRow:
    """A row of a file and what became of it. `reason` says why it does not count, or what looks odd."""

    file: str
    line: int
    raw: str
    verdict: RowVerdict
    reason: str | None
    target: Target | None = None
    quantity: int = 0


@dataclass(frozen=True, slots=True)
class Codes:
    """What codes mean, each by `db.pricing.sku_of`. A client's code that is not in the price list is read by
    its parts: CR8T is a cactus in MAC-R8-T."""

    products: Mapping[str, tuple[int, str]]  # id, SKU
    packaging: Mapping[str, tuple[int, str]]
    client: Mapping[str, Target]  # of the price list
    categories: Mapping[str, int]

    def target(self, cells: Mapping[str, str]) -> Target:
        """Raises ValueError with a phrase about the code that is not known."""
        product, pot, code = (cells.get(name, "") for name in ("product_sku", "packaging_sku", "code"))
        if not product and not code:
            raise ValueError(Sentence("names neither product_sku nor code"))
        if code and not product:
            return self._of_client(code)
        known = self.products.get(sku_of(product))
        if known is None and not pot:
            return self._of_client(product)
        if known is None:
            raise ValueError(
                Sentence("names the product {product!r}, which is not in the catalogue", product=product)
            )
        number, sku = known
        if not pot:
            return Target(sku, number, None, None)
        packaging = self.packaging.get(sku_of(pot))
        if packaging is None:
            raise ValueError(Sentence("names the pot {pot!r}, which is not in the catalogue", pot=pot))
        return Target(f"{sku} {packaging[1]}", number, None, packaging[0])

    def _of_client(self, code: str) -> Target:
        found = self.client.get(sku_of(code)) or self._by_parts(code)
        if found is None:
            raise ValueError(
                Sentence(
                    "names the code {code!r}, which is neither a product's nor in the price list", code=code
                )
            )
        return found

    def _by_parts(self, code: str) -> Target | None:
        parts = parse_pot(sku_of(code))
        if parts is None or parts.category is None:
            return None
        category, pot = self.categories.get(parts.category), self.packaging.get(sku_of(parts.packaging))
        return Target(code, None, category, pot[0]) if category and pot else None


def judge_sales(file: ReadFile, codes: Codes, days: tuple[dt.date, dt.date]) -> list[SaleRow]:
    """A verdict for each row under the header. `days` are the first and the last that are asked about.

    Raises UnreadableFile when there is no quantity, or a column that nobody knows.
    """
    found = records(file, COLUMNS)
    style = detect_format(record.cells.get("quantity_sold", "") for record in found)
    return list(_judged(file.path.name, found, (codes, days, style)))


def _judged(
    name: str, found: Iterable[Record], how: tuple[Codes, tuple[dt.date, dt.date], NumberFormat]
) -> Iterator[SaleRow]:
    codes, days, style = how
    seen: dict[tuple[str, ...], int] = {}
    for record in found:
        raw = record.row.raw
        try:
            target, quantity, day = _read(record, codes, style)
        except ValueError as error:
            yield SaleRow(name, record.line, raw, RowVerdict.REJECTED, str(error))
            continue
        key = (target.label, str(quantity), str(day), *_who(record))
        first = seen.setdefault(key, record.line)
        verdict, reason = _standing(record, day, days, first)
        yield SaleRow(name, record.line, raw, verdict, reason, target, quantity)


def _who(record: Record) -> tuple[str, str]:
    return record.cells.get("customer_name", ""), record.cells.get("invoice_number", "")


def _standing(
    record: Record, day: dt.date | None, days: tuple[dt.date, dt.date], first: int
) -> tuple[RowVerdict, str | None]:
    if day is not None and not days[0] <= day <= days[1]:
        return RowVerdict.SET_ASIDE, f"is of {day}, outside the time asked about"
    if first != record.line and record.cells.get("invoice_number"):
        return RowVerdict.SET_ASIDE, f"repeats line {first}, of the same invoice"
    if first != record.line:
        return RowVerdict.READ, f"says the same as line {first}; both count, as neither has an invoice"
    return RowVerdict.READ, None


def _read(record: Record, codes: Codes, style: NumberFormat) -> tuple[Target, int, dt.date | None]:
    """Raises ValueError with a phrase that says what is wrong with the row."""
    if record.problem:
        raise ValueError(record.problem)
    cells = record.cells
    text = cells["quantity_sold"]
    try:
        quantity = parse_count(text, style, exact="quantity_sold" in record.exact)
    except ValueError as error:
        raise ValueError(Sentence("quantity_sold {error}", error=error)) from None
    if not 0 < quantity < LARGEST:
        raise ValueError(
            Sentence("quantity_sold must be between 1 and {most}, not {text!r}", most=LARGEST - 1, text=text)
        )
    day = None
    if cells.get("sale_date"):
        try:
            day = parse_day(cells["sale_date"])
        except ValueError as error:
            raise ValueError(Sentence("sale_date {error}", error=error)) from None
    return codes.target(cells), quantity, day
