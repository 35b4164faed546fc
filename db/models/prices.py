"""What is sold under which code, and what it costs from when."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import ForeignKey, Index, Numeric, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import (
    Active,
    Base,
    BigId,
    Id,
    Money,
    Now,
    Touched,
    above_zero,
    check,
    matches,
    natural_key,
    one_of,
)
from db.models.catalog import PackagingCatalog, Product, ProductCategory, ProductSize
from db.models.vocabulary import Availability


class PriceItem(Base):
    """A line of the price list. `sku` is the client's code without spaces and hyphens: "C R8 D -1" is CR8D1.

    Several lines may be of one category and pot: grafted cacti in the same pot have many prices.
    """

    __tablename__ = "price_items"
    __table_args__ = (
        check("sku", r"sku = upper(sku) AND sku !~ '[\s-]' AND length(sku) BETWEEN 2 AND 50"),
        Index("ix_price_items_category_id_packaging_catalog_id", "category_id", "packaging_catalog_id"),
        Index("ix_price_items_packaging_catalog_id", "packaging_catalog_id"),
        Index("ix_price_items_product_id", "product_id"),
        Index("ix_price_items_product_size_id", "product_size_id"),
        natural_key("sku"),
    )

    id: Mapped[Id]
    sku: Mapped[str] = mapped_column(unique=True)
    client_code: Mapped[str | None]  # as the client writes it
    category_id: Mapped[int] = mapped_column(ForeignKey(ProductCategory.id, ondelete="RESTRICT"))
    packaging_catalog_id: Mapped[int | None] = mapped_column(
        ForeignKey(PackagingCatalog.id, ondelete="RESTRICT")
    )
    product_id: Mapped[int | None] = mapped_column(ForeignKey(Product.id, ondelete="RESTRICT"))  # NULL: any
    product_size_id: Mapped[int | None] = mapped_column(ForeignKey(ProductSize.id, ondelete="RESTRICT"))
    description: Mapped[str | None]
    active: Mapped[Active]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class PriceListEntry(Base):
    """The terms of an item from `valid_from` up to, and without, `valid_to`. Prices are without VAT."""

    __tablename__ = "price_list"
    __table_args__ = (
        ExcludeConstraint(
            (text("int4range(price_item_id, price_item_id, '[]')"), "&&"),
            (text("daterange(valid_from, valid_to)"), "&&"),
            name="ex_price_list_no_overlap",
            using="gist",
        ),
        matches("currency", "[A-Z]{3}"),
        one_of("availability", Availability),
        *above_zero("wholesale_unit_price", "retail_unit_price", "units_per_box", "wholesale_box_price"),
        check("retail", "retail_unit_price >= wholesale_unit_price"),
        check("discount_percent", "discount_percent BETWEEN 0 AND 100"),
        check("validity", "valid_to > valid_from"),
        Index("ix_price_list_price_item_id", "price_item_id"),
        natural_key("price_item_id", "valid_from"),
    )

    id: Mapped[BigId]
    price_item_id: Mapped[int] = mapped_column(ForeignKey(PriceItem.id, ondelete="RESTRICT"))
    currency: Mapped[str] = mapped_column(server_default=text("'ARS'"))
    wholesale_unit_price: Mapped[Money | None]
    retail_unit_price: Mapped[Money | None]
    units_per_box: Mapped[int | None]
    # What the client's list says; it carries more digits than the unit price. NULL: unit price × units.
    wholesale_box_price: Mapped[Money | None]
    discount_percent: Mapped[Decimal] = mapped_column(Numeric(5, 2), server_default=text("0"))
    availability: Mapped[str | None]
    observations: Mapped[str | None]
    valid_from: Mapped[dt.date]
    valid_to: Mapped[dt.date | None]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]
