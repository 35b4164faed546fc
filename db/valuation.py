"""What a plant is worth on a day, by the price list. What has no price is said, never worth zero."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, select

from db.batches import among
from db.models.catalog import (
    PackagingCatalog,
    Product,
    ProductCategory,
    ProductFamily,
    ProductSize,
    ProductState,
)
from db.models.stock import StockBatch
from db.prices import Line, Wanted, lines
from db.pricing import effective
from db.reports import StockRow


@dataclass(frozen=True, slots=True)
class Lot:
    """What is priced, by the names that people use. Without a pot, only prices without a pot are its own."""

    product: str
    category: str
    packaging: str | None = None
    size: str | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a lot: wholesale, less the discount, without VAT.

    `rivals` are the codes of other lines that fit as well and cost something else: then the price is
    ambiguous, and the lowest was taken, so that stock is never worth more than it would fetch.
    """

    unit: Decimal
    currency: str
    code: str
    rivals: tuple[str, ...]
    highest: Decimal


@dataclass(frozen=True, slots=True)
class PriceBook:
    """The lines in force on one day in one currency, and what the valuation knows of products and states."""

    day: dt.date
    currency: str
    lines: Sequence[Line]
    categories: dict[str, str]  # of products
    sellable: frozenset[str]  # states

    @staticmethod
    def load(connection: Connection, day: dt.date, currency: str = "ARS") -> PriceBook:
        categories = connection.execute(
            select(Product.sku, ProductCategory.code)
            .join(ProductFamily, ProductFamily.id == Product.family_id)
            .join(ProductCategory, ProductCategory.id == ProductFamily.category_id)
        )
        states = connection.scalars(select(ProductState.code).where(ProductState.is_sellable))
        found = [line for line in lines(connection, Wanted(), day) if line.span.terms.currency == currency]
        return PriceBook(day, currency, found, {row[0]: row[1] for row in categories}, frozenset(states))

    def price(self, lot: Lot) -> Price | None:
        """The price of the most specific lines: of the product rather than its category, then of the size.

        Among lines as specific as each other the lowest price wins, then the code that comes first.
        """
        fitting = [line for line in self.lines if _fits(line, lot) and line.span.terms.wholesale is not None]
        if not fitting:
            return None
        closest = max(map(_closeness, fitting))
        offers = sorted((_offer(line), line.sku) for line in fitting if _closeness(line) == closest)
        unit, code = offers[0]
        rivals = tuple(sku for price, sku in offers if price != unit)
        return Price(unit, self.currency, code, rivals, offers[-1][0])

    def value(self, row: StockRow) -> Valued:
        lot = Lot(row.sku, self.categories[row.sku], row.packaging, row.size)
        return Valued(row, self.price(lot), row.state in self.sellable)


@dataclass(frozen=True, slots=True)
class Valued:
    """A row of the stock and its price. What is not in a state to be sold has a potential, not a value."""

    row: StockRow
    price: Price | None
    sellable: bool

    @property
    def worth(self) -> Decimal | None:
        return None if self.price is None else self.price.unit * self.row.plants


@dataclass(frozen=True, slots=True)
class Totals:
    value: Decimal
    valued: int  # plants
    potential: Decimal  # of what is not yet in a state to be sold
    waiting: int
    unpriced: int
    ambiguous: int


def totals(valued: Iterable[Valued]) -> Totals:
    """Every plant is counted once: in `valued`, `waiting` or `unpriced`."""
    rows = list(valued)
    priced = [row for row in rows if row.worth is not None]
    sellable = [row for row in priced if row.sellable]
    waiting = [row for row in priced if not row.sellable]
    return Totals(
        value=sum((row.worth or Decimal(0) for row in sellable), Decimal("0.00")),
        valued=sum(row.row.plants for row in sellable),
        potential=sum((row.worth or Decimal(0) for row in waiting), Decimal("0.00")),
        waiting=sum(row.row.plants for row in waiting),
        unpriced=sum(row.row.plants for row in rows if row.worth is None),
        ambiguous=sum(row.row.plants for row in priced if row.price is not None and row.price.rivals),
    )


def batch_prices(
    connection: Connection, wanted: Collection[tuple[int, dt.date]], currency: str = "ARS"
) -> dict[tuple[int, dt.date], Decimal]:
    """What one plant of a batch cost on a day, for sales to keep; what had no price is left out."""
    rows = connection.execute(
        select(StockBatch.id, Product.sku, ProductCategory.code, PackagingCatalog.sku, ProductSize.code)
        .select_from(StockBatch)
        .join(Product, Product.id == StockBatch.product_id)
        .join(ProductFamily, ProductFamily.id == Product.family_id)
        .join(ProductCategory, ProductCategory.id == ProductFamily.category_id)
        .outerjoin(PackagingCatalog, PackagingCatalog.id == StockBatch.packaging_catalog_id)
        .outerjoin(ProductSize, ProductSize.id == StockBatch.product_size_id)
        .where(among(StockBatch.id, {batch for batch, _ in wanted}))
    )
    lots = {row[0]: Lot(*row[1:]) for row in rows}
    books = {day: PriceBook.load(connection, day, currency) for day in {day for _, day in wanted}}
    found = {(batch, day): books[day].price(lots[batch]) for batch, day in wanted}
    return {key: price.unit for key, price in found.items() if price is not None}


def _fits(line: Line, lot: Lot) -> bool:
    """A line without a pot is of no pot at all, unless it names the product."""
    item = line.item
    pot = item.packaging == lot.packaging or (item.packaging is None and item.product == lot.product)
    return (
        pot
        and item.category == lot.category
        and item.product in (None, lot.product)
        and item.size in (None, lot.size)
    )


def _closeness(line: Line) -> tuple[bool, bool, bool]:
    item = line.item
    return item.product is not None, item.size is not None, item.packaging is not None


def _offer(line: Line) -> Decimal:
    terms = line.span.terms
    return effective(terms.wholesale or Decimal(0), terms.discount_percent)
