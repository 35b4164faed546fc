"""What the counts say was sold, beside what the client says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, select

from db.batches import among
from db.models.catalog import PackagingCatalog, Product, ProductCategory, ProductFamily
from db.models.prices import PriceItem
from db.models.vocabulary import LineVerdict
from db.pricing import sku_of
from db.reconciling import Line, sum_of_differences
from db.sales_file import Codes, RowVerdict, SaleRow, Target

TOLERANCE = 0.05  # of what was declared
FLOOR = 5  # plants: so that a small or no declaration has a tolerance as well
_COMPARED = (LineVerdict.BALANCED, LineVerdict.SALE, LineVerdict.INDISTINCT, LineVerdict.GAIN)


class SaleStatus(StrEnum):
    """`PROVED`: counts and file agree; `INFERRED`: only the counts say so; `CONTRADICTORY`: they disagree
    beyond the error of the counts; `INDISTINCT`: the counts cannot tell."""

    PROVED = "proved"
    INFERRED = "inferred"
    CONTRADICTORY = "contradictory"
    INDISTINCT = "indistinct"


@dataclass(frozen=True, slots=True)
class Checked:
    """Sales of one code. `calculated` is recorded sales and what is missing beside, with the 90 % bounds;
    None where no lot of the code was counted at both ends. `lots` were compared, `left_out` could not be."""

    label: str
    calculated: int | None
    low: int | None
    high: int | None
    declared: int | None
    status: SaleStatus
    lots: int
    left_out: int

    @property
    def difference(self) -> int | None:
        """Declared beyond what was calculated."""
        return None if self.calculated is None else (self.declared or 0) - self.calculated


@dataclass(frozen=True, slots=True)
class Kind:
    """What a lot's product is called, and the category that it belongs to."""

    sku: str
    category_id: int


def check_sales(
    lines: Iterable[Line], rows: Iterable[SaleRow], kinds: Mapping[int, Kind], pots: Mapping[int, str]
) -> list[Checked]:
    """Each code of the files, and each product and pot that the counts say was sold and no row names.

    A lot is compared under the narrowest code that names it: its product and pot, its product, its category
    and pot. Pure.
    """
    declared: dict[Target, int] = defaultdict(int)
    for row in rows:
        if row.verdict is RowVerdict.READ and row.target is not None:
            declared[row.target] += row.quantity
    narrow = sorted(declared, key=lambda one: (one.product_id is None, one.packaging_id is None, one.label))
    by_target: dict[Target, list[Line]] = {target: [] for target in narrow}
    for line in lines:
        if line.sellable:
            found = next((one for one in narrow if _names(one, line, kinds)), None) or _own(line, kinds, pots)
            by_target.setdefault(found, []).append(line)
    checked = (_check(target, of_it, declared.get(target)) for target, of_it in by_target.items())
    return sorted((one for one in checked if _worth_telling(one)), key=lambda one: one.label)


def _worth_telling(one: Checked) -> bool:
    return one.declared is not None or bool(one.calculated)


def _names(target: Target, line: Line, kinds: Mapping[int, Kind]) -> bool:
    key = line.key
    if target.packaging_id is not None and target.packaging_id != key.packaging_id:
        return False
    if target.product_id is not None:
        return target.product_id == key.product_id
    return target.category_id == kinds[key.product_id].category_id


def _own(line: Line, kinds: Mapping[int, Kind], pots: Mapping[int, str]) -> Target:
    key = line.key
    pot = "" if key.packaging_id is None else f" {pots[key.packaging_id]}"
    return Target(f"{kinds[key.product_id].sku}{pot}", key.product_id, None, key.packaging_id)


def _check(target: Target, lines: Collection[Line], declared: int | None) -> Checked:
    compared = [line for line in lines if line.verdict in _COMPARED]
    left_out = len(lines) - len(compared)
    if not compared:
        return Checked(target.label, None, None, None, declared, SaleStatus.INDISTINCT, 0, left_out)
    missing, low, high = sum_of_differences(compared)
    recorded = -sum(line.flows.sold for line in compared)
    figures = (recorded - missing, recorded - high, recorded - low)
    return Checked(target.label, *figures, declared, status_of(figures, declared), len(compared), left_out)


def status_of(calculated: tuple[int, int, int], declared: int | None) -> SaleStatus:
    """Of a calculated figure with its bounds and a declared one; None: no row names the code."""
    middle, low, high = calculated
    if declared is None:
        return SaleStatus.INFERRED if low > 0 else SaleStatus.INDISTINCT
    slack = max(TOLERANCE * declared, FLOOR)
    if not low - slack <= declared <= high + slack:
        return SaleStatus.CONTRADICTORY
    agree = abs(middle - declared) <= slack
    return SaleStatus.PROVED if low > 0 or agree else SaleStatus.INDISTINCT


def codes(connection: Connection) -> Codes:
    """What the codes of sales files mean in this catalogue."""
    known = connection.execute(select(Product.id, Product.sku))
    products = {sku_of(sku): (number, sku) for number, sku in known}
    packaging = {sku_of(sku): (number, sku) for number, sku in pots(connection).items()}
    item = PriceItem
    items = connection.execute(
        select(*(item.sku, item.client_code, item.product_id, item.category_id, item.packaging_catalog_id))
    )
    client = {
        sku: Target(client_code or sku, product, None if product else category, pot)
        for sku, client_code, product, category, pot in items
    }
    table = ProductCategory
    categories = dict(connection.execute(select(table.code, table.id)).all())
    return Codes(products, packaging, client, categories)


def kinds(connection: Connection, products: Collection[int]) -> dict[int, Kind]:
    """Of products, by id."""
    rows = connection.execute(
        select(Product.id, Product.sku, ProductFamily.category_id)
        .join(ProductFamily, ProductFamily.id == Product.family_id)
        .where(among(Product.id, products))
    )
    return {number: Kind(sku, category) for number, sku, category in rows}


def pots(connection: Connection) -> dict[int, str]:
    """SKUs of packaging, by id."""
    table = PackagingCatalog
    return dict(connection.execute(select(table.id, table.sku)).all())
