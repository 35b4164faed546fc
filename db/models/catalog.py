"""What is grown and what it is grown in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, Numeric, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import (
    Active,
    Base,
    BigId,
    Document,
    Flag,
    Id,
    Now,
    Touched,
    at_least,
    check,
    matches,
    natural_key,
    unique_with_nulls,
)

_CODE = "[A-Z0-9_-]{3,50}"
_RANK = text("99")  # unranked words sort last


class ProductCategory(Base):
    __tablename__ = "product_categories"
    __table_args__ = (matches("code", _CODE), natural_key("code"))

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    description: Mapped[str | None]
    is_plant: Mapped[Active]  # decorative stones are sold, but never counted
    sort_order: Mapped[int] = mapped_column(server_default=_RANK)
    active: Mapped[Active]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class ProductFamily(Base):
    __tablename__ = "product_families"
    __table_args__ = (
        UniqueConstraint("category_id", "name"),
        check("name", "name <> ''"),
        natural_key("category_id", "name"),
    )

    id: Mapped[Id]
    category_id: Mapped[int] = mapped_column(ForeignKey(ProductCategory.id, ondelete="RESTRICT"))
    name: Mapped[str]
    scientific_name: Mapped[str | None]
    description: Mapped[str | None]
    active: Mapped[Active]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class Product(Base):
    __tablename__ = "products"
    __table_args__ = (matches("sku", "[A-Z0-9-]{6,20}"), natural_key("sku"))

    id: Mapped[Id]
    family_id: Mapped[int] = mapped_column(ForeignKey(ProductFamily.id, ondelete="RESTRICT"), index=True)
    sku: Mapped[str] = mapped_column(unique=True)
    common_name: Mapped[str]
    scientific_name: Mapped[str | None]
    description: Mapped[str | None]
    custom_attributes: Mapped[Document]
    active: Mapped[Active]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class ProductState(Base):
    __tablename__ = "product_states"
    __table_args__ = (matches("code", _CODE), natural_key("code"))

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    description: Mapped[str | None]
    is_sellable: Mapped[Flag]
    sort_order: Mapped[int] = mapped_column(server_default=_RANK)
    active: Mapped[Active]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class ProductSize(Base):
    """Heights are half-open: a plant of exactly 10 cm is M (10–20), not S (5–10)."""

    __tablename__ = "product_sizes"
    __table_args__ = (
        matches("code", "[A-Z0-9_-]{1,50}"),
        *at_least(0, "min_height_cm"),
        check("height_range", "max_height_cm > min_height_cm"),
        natural_key("code"),
    )

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    description: Mapped[str | None]
    min_height_cm: Mapped[Decimal | None] = mapped_column(Numeric(6, 2))
    max_height_cm: Mapped[Decimal | None] = mapped_column(Numeric(6, 2))
    sort_order: Mapped[int] = mapped_column(server_default=_RANK)
    active: Mapped[Active]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class PackagingType(Base):
    __tablename__ = "packaging_types"
    __table_args__ = (matches("code", _CODE), natural_key("code"))

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    description: Mapped[str | None]
    active: Mapped[Active]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class PackagingMaterial(Base):
    __tablename__ = "packaging_materials"
    __table_args__ = (matches("code", _CODE), natural_key("code"))

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    description: Mapped[str | None]
    active: Mapped[Active]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class PackagingColor(Base):
    """`code` is the letter in the client's pot codes: the D of "C R8 D-1" is dorada."""

    __tablename__ = "packaging_colors"
    __table_args__ = (
        matches("code", "[A-Z]{1,2}"),
        check("name", "length(name) BETWEEN 3 AND 50"),
        matches("hex_code", "#[0-9A-F]{6}"),
        natural_key("code"),
    )

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(unique=True)
    hex_code: Mapped[str]
    active: Mapped[Active]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class PackagingCatalog(Base):
    """A pot that can be bought. `diameter_cm` of a square one is its side, so its footprint is side²."""

    __tablename__ = "packaging_catalog"
    __table_args__ = (
        unique_with_nulls(
            "uq_packaging_catalog_shape",
            "packaging_type_id",
            "packaging_material_id",
            "packaging_color_id",
            "diameter_cm",
            "height_cm",
            "volume_liters",
        ),
        matches("sku", "[A-Z0-9-]{6,50}"),
        *at_least(0, "volume_liters", "diameter_cm", "height_cm"),
        natural_key("sku"),
    )

    id: Mapped[Id]
    packaging_type_id: Mapped[int] = mapped_column(ForeignKey(PackagingType.id, ondelete="RESTRICT"))
    packaging_material_id: Mapped[int] = mapped_column(
        ForeignKey(PackagingMaterial.id, ondelete="RESTRICT"), index=True
    )
    packaging_color_id: Mapped[int] = mapped_column(
        ForeignKey(PackagingColor.id, ondelete="RESTRICT"), index=True
    )
    sku: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    volume_liters: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    diameter_cm: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    height_cm: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    is_square: Mapped[Flag]
    active: Mapped[Active]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class SeedRow(Base):
    """What a seed file last wrote into a row. If the row reads otherwise today, a person edited it.

    It keeps values, not a hash: a migration that adds a column must not make every row look edited.
    """

    __tablename__ = "seed_rows"
    __table_args__ = (
        UniqueConstraint("table_name", "natural_key"),
        check("natural_key", "jsonb_typeof(natural_key) = 'array'"),
        check("content", "jsonb_typeof(content) = 'object'"),
    )

    id: Mapped[BigId]
    table_name: Mapped[str]
    natural_key: Mapped[list[Any]]
    content: Mapped[dict[str, Any]]
    seeded_at: Mapped[Now]
