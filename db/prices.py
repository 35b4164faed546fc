"""The price list: what each code costs from when. The only writer of price_items and price_list."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import InstrumentedAttribute

from db.cells import hint
from db.errors import NotFound, Refused
from db.imports.words import clean
from db.models.catalog import PackagingCatalog, Product, ProductCategory, ProductSize
from db.models.prices import PriceItem, PriceListEntry
from db.models.vocabulary import Availability
from db.pricing import LARGEST, Span, Terms, cut, money, overlay, rewritten, sku_of
from db.refusals import refusal

_COLUMNS = {
    "wholesale": PriceListEntry.wholesale_unit_price,
    "retail": PriceListEntry.retail_unit_price,
    "units_per_box": PriceListEntry.units_per_box,
    "box_price": PriceListEntry.wholesale_box_price,
    "discount_percent": PriceListEntry.discount_percent,
    "availability": PriceListEntry.availability,
    "observations": PriceListEntry.observations,
    "currency": PriceListEntry.currency,
}
# In the order of the fields of Terms, so that a row makes one.
_TERMS: list[InstrumentedAttribute[Any]] = [_COLUMNS[field.name] for field in fields(Terms)]


_Named = tuple[InstrumentedAttribute[int], InstrumentedAttribute[str]]  # id and code


@dataclass(frozen=True, slots=True)
class Item:
    """What is sold under a code, by the names that people use. `product` and `size` None: any."""

    code: str
    category: str
    packaging: str | None = None
    product: str | None = None
    size: str | None = None
    description: str | None = None

    @property
    def sku(self) -> str:
        return sku_of(self.code)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the price list as it reads on a day."""

    sku: str
    item: Item
    span: Span


class Outcome(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


def set_price(
    connection: Connection,
    item: Item,
    terms: Terms,
    start: dt.date,
    stop: dt.date | None = None,
    *,
    today: dt.date | None = None,
) -> Outcome:
    """Let an item have these terms from `start` on, or up to the day before `stop`.

    Runs in the caller's transaction. A new item is added; one that is known is described anew. Saying the
    same again changes nothing. Raises NotFound for an unknown name, and Refused for terms that cannot be;
    with `today` also for terms that would change what a day before it is known to have cost.
    """
    _refuse_nonsense(item, terms)
    if stop is not None and stop <= start:
        raise Refused(f"{item.sku}: a price that ends on {stop} cannot begin on {start}")
    new = Span(start, stop, _rounded(terms))
    try:
        with connection.begin_nested():
            item_id, is_new, described = _save_item(connection, item)
            before = spans_of(connection, item_id)
            after = overlay(before, new)
            _refuse_other_past(item.sku, before, after, today)
            _save_spans(connection, item_id, before, after)
    except (IntegrityError, DataError) as error:
        raise Refused(f"{item.sku}: {refusal(error)}") from error
    if is_new:
        return Outcome.ADDED
    return Outcome.CHANGED if described or before != after else Outcome.UNCHANGED


def end_price(connection: Connection, sku: str, day: dt.date, *, today: dt.date | None = None) -> Outcome:
    """Let an item have no price from `day` on. Raises NotFound, and Refused as `set_price` does."""
    item_id = find_item(connection, sku)
    connection.execute(select(PriceItem.id).where(PriceItem.id == item_id).with_for_update())
    before = spans_of(connection, item_id)
    after = cut(before, day)
    _refuse_other_past(sku_of(sku), before, after, today)
    _save_spans(connection, item_id, before, after)
    return Outcome.CHANGED if before != after else Outcome.UNCHANGED


def find_item(connection: Connection, code: str) -> int:
    """Raises NotFound."""
    return _find(connection, "price code", (PriceItem.id, PriceItem.sku), sku_of(code))


def spans_of(connection: Connection, item_id: int) -> list[Span]:
    """All terms of an item, in order of time."""
    table = PriceListEntry
    rows = connection.execute(
        select(table.valid_from, table.valid_to, *_TERMS)
        .where(table.price_item_id == item_id)
        .order_by(table.valid_from)
    )
    return [Span(row[0], row[1], Terms(*row[2:])) for row in rows]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: of a category, a pot, a product, or whose code begins so. None: all."""

    category: str | None = None
    packaging: str | None = None
    product: str | None = None
    code: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        wanted = [
            (self.category, ProductCategory.code),
            (self.packaging, PackagingCatalog.sku),
            (self.product, Product.sku),
        ]
        found = [column == word.upper() for word, column in wanted if word is not None]
        if self.code is not None:
            found.append(PriceItem.sku.startswith(sku_of(self.code), autoescape=True))
        return found


def lines(connection: Connection, wanted: Wanted, day: dt.date | None) -> list[Line]:
    """The lines of the list in force on a day, by code; without a day, all that ever were or will be.

    Raises NotFound when a category, pot or product has no such code.
    """
    require_known(connection, wanted)
    table = PriceListEntry
    query = (
        select(
            PriceItem.sku,
            func.coalesce(PriceItem.client_code, PriceItem.sku),
            ProductCategory.code,
            PackagingCatalog.sku,
            Product.sku,
            ProductSize.code,
            PriceItem.description,
            table.valid_from,
            table.valid_to,
            *_TERMS,
        )
        .select_from(PriceItem)
        .join(ProductCategory, ProductCategory.id == PriceItem.category_id)
        .join(table, table.price_item_id == PriceItem.id)
        .outerjoin(PackagingCatalog, PackagingCatalog.id == PriceItem.packaging_catalog_id)
        .outerjoin(Product, Product.id == PriceItem.product_id)
        .outerjoin(ProductSize, ProductSize.id == PriceItem.product_size_id)
        .where(*wanted.conditions())
        .order_by(PriceItem.sku, table.valid_from)
    )
    if day is not None:
        query = query.where(in_force(day))
    return [
        Line(row[0], Item(*row[1:7]), Span(row[7], row[8], Terms(*row[9:])))
        for row in connection.execute(query)
    ]


def in_force(day: dt.date) -> ColumnElement[bool]:
    table = PriceListEntry
    return and_(table.valid_from <= day, func.coalesce(table.valid_to > day, True))


def require_known(connection: Connection, wanted: Wanted) -> None:
    """Raises NotFound for a misspelt category, pot or product: it would match nothing without a word."""
    _category(connection, wanted.category)
    _packaging(connection, wanted.packaging)
    _product(connection, wanted.product)


def _category(connection: Connection, code: str | None) -> int | None:
    return _find_any(connection, "category", (ProductCategory.id, ProductCategory.code), code)


def _packaging(connection: Connection, sku: str | None) -> int | None:
    return _find_any(connection, "packaging", (PackagingCatalog.id, PackagingCatalog.sku), sku)


def _product(connection: Connection, sku: str | None) -> int | None:
    return _find_any(connection, "product", (Product.id, Product.sku), sku)


def _find_any(connection: Connection, what: str, columns: _Named, name: str | None) -> int | None:
    return None if name is None else _find(connection, what, columns, name)


def _find(connection: Connection, what: str, columns: _Named, name: str) -> int:
    identity, key = columns
    found = connection.scalar(select(identity).where(key == name.upper()))
    if found is None:
        raise NotFound(f"there is no {what} {name}{hint(name.upper(), connection.scalars(select(key)))}")
    return found


def _save_item(connection: Connection, item: Item) -> tuple[int, bool, bool]:
    """Its id, whether it is new, and whether its description changed."""
    values = {
        "client_code": clean(item.code),
        "category_id": _category(connection, item.category),
        "packaging_catalog_id": _packaging(connection, item.packaging),
        "product_id": _product(connection, item.product),
        "product_size_id": _find_any(connection, "size", (ProductSize.id, ProductSize.code), item.size),
        "description": clean(item.description or "") or None,
    }
    # The lock also keeps two programs from laying their spans over the same old ones.
    row = connection.execute(
        select(PriceItem.id, *(getattr(PriceItem, name) for name in values))
        .where(PriceItem.sku == item.sku)
        .with_for_update()
    ).one_or_none()
    if row is None:
        added = connection.execute(insert(PriceItem).values(sku=item.sku, **values).returning(PriceItem.id))
        return int(added.scalar_one()), True, True
    different = {name: value for name, value in values.items() if getattr(row, name) != value}
    if different:
        connection.execute(update(PriceItem).where(PriceItem.id == row.id).values(**different))
    return int(row.id), False, bool(different)


def _save_spans(connection: Connection, item_id: int, before: Sequence[Span], after: Sequence[Span]) -> None:
    """Write what differs. A span is known by its start; what shrinks goes first, so that nothing overlaps."""
    table = PriceListEntry
    old, new = ({span.start: span for span in spans} for spans in (before, after))
    gone = [start for start in old if start not in new]
    if gone:
        connection.execute(delete(table).where(table.price_item_id == item_id, table.valid_from.in_(gone)))
    for start in sorted(old.keys() & new.keys()):
        if old[start] != new[start]:
            row = and_(table.price_item_id == item_id, table.valid_from == start)
            connection.execute(update(table).where(row).values(_values(new[start])))
    for start in sorted(new.keys() - old.keys()):
        connection.execute(insert(table).values(price_item_id=item_id, **_values(new[start])))


def _values(span: Span) -> dict[str, object]:
    terms = {column.key: getattr(span.terms, name) for name, column in _COLUMNS.items()}
    return {**terms, "valid_from": span.start, "valid_to": span.stop}


def _refuse_other_past(
    sku: str, before: Sequence[Span], after: Sequence[Span], today: dt.date | None
) -> None:
    day = None if today is None else rewritten(before, after, today)
    if day is not None:
        raise Refused(
            f"{sku}: it would change what held on {day}, and with it what stock was worth; "
            "let it begin today or later with --from, or insist with --backdate"
        )


def _rounded(terms: Terms) -> Terms:
    def rounded(price: Decimal | None) -> Decimal | None:
        return None if price is None else money(price)

    return replace(
        terms,
        wholesale=rounded(terms.wholesale),
        retail=rounded(terms.retail),
        box_price=rounded(terms.box_price),
        discount_percent=money(terms.discount_percent),
        observations=clean(terms.observations or "") or None,
    )


def _refuse_nonsense(item: Item, terms: Terms) -> None:
    """What the database would refuse as well, in words that help."""
    sku = item.sku
    if not 2 <= len(sku) <= 50:
        raise Refused(f"{item.code!r} is no code of the price list: it needs 2 to 50 letters and digits")
    for name in ("wholesale", "retail", "box_price"):
        price: Decimal | None = getattr(terms, name)
        if price is not None and not 0 < money(price) <= LARGEST:
            raise Refused(f"{sku}: {name} cannot be {price}; leave it out where there is no price")
    if terms.wholesale is not None and terms.retail is not None and terms.retail < terms.wholesale:
        raise Refused(f"{sku}: retail ({terms.retail}) is below wholesale ({terms.wholesale})")
    if not 0 <= terms.discount_percent <= 100:
        raise Refused(f"{sku}: a discount is 0 to 100 percent, not {terms.discount_percent}")
    if terms.units_per_box is not None and terms.units_per_box <= 0:
        raise Refused(f"{sku}: a box holds 1 or more, not {terms.units_per_box}")
    if terms.availability is not None and terms.availability not in set(Availability):
        raise Refused(f"{sku}: availability is {', '.join(Availability)}, not {terms.availability!r}")
