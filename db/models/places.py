"""Where plants stand, and what is meant to grow there.

Polygons are kept as GeoJSON, with centroid and area worked out when they are loaded, instead of in PostGIS:
the embedded server has no PostGIS, a nursery has about a thousand places, and a phone's GPS is too coarse to
find one of them, so the only spatial question ever asked is "is this photo roughly on the site?".
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Numeric,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import (
    Active,
    Base,
    Document,
    Flag,
    Id,
    Now,
    Touched,
    above_zero,
    check,
    matches,
    natural_key,
    one_of,
    unique_with_nulls,
)
from db.models.catalog import PackagingCatalog, Product, ProductSize, ProductState
from db.models.vocabulary import BinCategory, BinStatus, PlaceSource, RelationshipType, WarehouseType

Geometry = Annotated[dict[str, Any] | None, mapped_column(JSONB(none_as_null=True))]
SquareMetres = Annotated[Decimal | None, mapped_column(Numeric(10, 2))]
Centimetres = Annotated[Decimal | None, mapped_column(Numeric(6, 2))]


def _shape() -> tuple[CheckConstraint, ...]:
    return (
        check("geometry", "geometry->>'type' IN ('Polygon', 'MultiPolygon')"),
        check("centroid_lat", "centroid_lat BETWEEN -90 AND 90"),
        check("centroid_lon", "centroid_lon BETWEEN -180 AND 180"),
        check("centroid_both", "(centroid_lat IS NULL) = (centroid_lon IS NULL)"),
        check("area_m2", "area_m2 > 0"),
    )


class Warehouse(Base):
    """A bay (nave), tunnel, shade house or field."""

    __tablename__ = "warehouses"
    __table_args__ = (
        matches("code", "[A-Z0-9_-]{2,20}"),
        one_of("type", WarehouseType),
        one_of("source", PlaceSource),
        *_shape(),
        natural_key("code"),
    )

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    type: Mapped[str]
    source: Mapped[str | None]  # two maps of one site are never merged by name; NULL was entered by hand
    geometry: Mapped[Geometry]
    centroid_lat: Mapped[float | None]
    centroid_lon: Mapped[float | None]
    area_m2: Mapped[SquareMetres]
    active: Mapped[Active]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class StorageArea(Base):
    """A bed (cantero) of a bay."""

    __tablename__ = "storage_areas"
    __table_args__ = (
        check("code", "code ~ '^[A-Z0-9_]+(-[A-Z0-9_]+)+$' AND length(code) <= 50"),
        one_of("position", "NSEWC"),
        *_shape(),
        natural_key("code"),
    )

    id: Mapped[Id]
    warehouse_id: Mapped[int] = mapped_column(ForeignKey(Warehouse.id, ondelete="RESTRICT"), index=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    position: Mapped[str | None]
    geometry: Mapped[Geometry]
    centroid_lat: Mapped[float | None]
    centroid_lon: Mapped[float | None]
    area_m2: Mapped[SquareMetres]
    active: Mapped[Active]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class StorageLocation(Base):
    """The strip between two columns (claro): what one photo shows and one line of the stock report."""

    __tablename__ = "storage_locations"
    __table_args__ = (
        check("code", "code ~ '^[A-Z0-9_]+(-[A-Z0-9_]+){2,}$' AND length(code) <= 50"),
        matches("qr_code", "[A-Z0-9_-]{8,20}"),
        *_shape(),
        natural_key("code"),
    )

    id: Mapped[Id]
    storage_area_id: Mapped[int] = mapped_column(ForeignKey(StorageArea.id, ondelete="RESTRICT"), index=True)
    code: Mapped[str] = mapped_column(unique=True)
    qr_code: Mapped[str | None] = mapped_column(unique=True)
    name: Mapped[str]
    description: Mapped[str | None]
    geometry: Mapped[Geometry]
    centroid_lat: Mapped[float | None]
    centroid_lon: Mapped[float | None]
    area_m2: Mapped[SquareMetres]
    position_metadata: Mapped[Document]
    active: Mapped[Active]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class LocationRelationship(Base):
    """How two places lie to each other. Neighbours are one row, the smaller id first."""

    __tablename__ = "location_relationships"
    __table_args__ = (
        UniqueConstraint("parent_location_id", "child_location_id"),
        one_of("relationship_type", RelationshipType),
        check("not_itself", "parent_location_id <> child_location_id"),
        check(
            "neighbours_once",
            "relationship_type <> 'adjacent_to' OR parent_location_id < child_location_id",
        ),
        *above_zero("shared_m"),
        Index("ix_location_relationships_child_location_id", "child_location_id"),
    )

    id: Mapped[Id]
    parent_location_id: Mapped[int] = mapped_column(ForeignKey(StorageLocation.id, ondelete="RESTRICT"))
    child_location_id: Mapped[int] = mapped_column(ForeignKey(StorageLocation.id, ondelete="RESTRICT"))
    relationship_type: Mapped[str]
    shared_m: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))  # length of the common border
    created_at: Mapped[Now]


class StorageBinType(Base):
    """A kind of tray, crate or field. Each category has one default, which photo counts are booked under."""

    __tablename__ = "storage_bin_types"
    __table_args__ = (
        UniqueConstraint("id", "category"),
        matches("code", "[A-Z0-9_]{3,50}"),
        one_of("category", BinCategory),
        *above_zero("rows", "columns", "capacity", "length_cm", "width_cm", "height_cm"),
        check("grid", "NOT is_grid OR (rows IS NOT NULL AND columns IS NOT NULL)"),
        Index(
            "uq_storage_bin_types_default_of_category",
            "category",
            unique=True,
            postgresql_where=text("is_default"),
        ),
        natural_key("code"),
    )

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    category: Mapped[str]
    is_default: Mapped[Flag]
    sellable: Mapped[Flag]  # sales are inferred only for these
    rows: Mapped[int | None]
    columns: Mapped[int | None]
    capacity: Mapped[int | None]  # may differ from rows × columns
    length_cm: Mapped[Centimetres]
    width_cm: Mapped[Centimetres]
    height_cm: Mapped[Centimetres]
    is_grid: Mapped[Flag]
    active: Mapped[Active]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class StorageBin(Base):
    """All containers of one category that hold one product in one pot at one place, as a single logical bin.

    Crates are carried about, so a crate in today's photo cannot be told to be yesterday's. `category` repeats
    the bin type's (the foreign key keeps them equal) so that get-or-create is one upsert on the unique key.
    """

    __tablename__ = "storage_bins"
    __table_args__ = (
        unique_with_nulls(
            "uq_storage_bins_content", "storage_location_id", "category", "product_id", "packaging_catalog_id"
        ),
        ForeignKeyConstraint(
            ["storage_bin_type_id", "category"],
            ["storage_bin_types.id", "storage_bin_types.category"],
            onupdate="CASCADE",
            ondelete="RESTRICT",
        ),
        check("code", "code ~ '^[A-Z0-9_]+(-[A-Z0-9_]+){3,}$' AND length(code) <= 100"),
        one_of("status", BinStatus),
        Index("ix_storage_bins_storage_bin_type_id", "storage_bin_type_id"),
    )

    id: Mapped[Id]
    storage_location_id: Mapped[int] = mapped_column(ForeignKey(StorageLocation.id, ondelete="RESTRICT"))
    storage_bin_type_id: Mapped[int]
    category: Mapped[str]
    product_id: Mapped[int | None] = mapped_column(ForeignKey(Product.id, ondelete="RESTRICT"), index=True)
    packaging_catalog_id: Mapped[int | None] = mapped_column(
        ForeignKey(PackagingCatalog.id, ondelete="RESTRICT"), index=True
    )
    code: Mapped[str] = mapped_column(unique=True)
    label: Mapped[str | None]
    description: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=BinStatus.ACTIVE.value)
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class StorageLocationConfig(Base):
    """What grows at a place, and since when. A place with several species is configured with a "mix" product.

    To change the crop, close the active row and open another; to correct a mistake, edit the active row.
    """

    __tablename__ = "storage_location_config"
    __table_args__ = (
        Index(
            "uq_storage_location_config_active",
            "storage_location_id",
            unique=True,
            postgresql_where=text("active"),
        ),
        # The place as a range of one, so that the exclusion needs no extension.
        ExcludeConstraint(
            (text("int4range(storage_location_id, storage_location_id, '[]')"), "&&"),
            (text("tstzrange(valid_from, valid_to)"), "&&"),
            name="ex_storage_location_config_no_overlap",
            using="gist",
        ),
        *above_zero("area_cm2"),
        check("validity", "valid_to > valid_from"),
        check("active", "active = (valid_to IS NULL)"),
        natural_key("storage_location_id", current="active"),
    )

    id: Mapped[Id]
    storage_location_id: Mapped[int] = mapped_column(
        ForeignKey(StorageLocation.id, ondelete="RESTRICT"), index=True
    )
    product_id: Mapped[int] = mapped_column(ForeignKey(Product.id, ondelete="RESTRICT"), index=True)
    packaging_catalog_id: Mapped[int | None] = mapped_column(
        ForeignKey(PackagingCatalog.id, ondelete="RESTRICT"), index=True
    )
    product_size_id: Mapped[int | None] = mapped_column(
        ForeignKey(ProductSize.id, ondelete="RESTRICT"), index=True
    )
    expected_product_state_id: Mapped[int] = mapped_column(
        ForeignKey(ProductState.id, ondelete="RESTRICT"), index=True
    )
    area_cm2: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))  # usable, not the whole place
    active: Mapped[Active]
    valid_from: Mapped[Now]
    valid_to: Mapped[dt.datetime | None]
    notes: Mapped[str | None]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class DensityParameter(Base):
    """How much room a plant takes. `product_id` NULL means any product, since the pot sets the spacing."""

    __tablename__ = "density_parameters"
    __table_args__ = (
        unique_with_nulls(
            "uq_density_parameters_key", "storage_bin_type_id", "product_id", "packaging_catalog_id"
        ),
        *above_zero("avg_area_per_plant_cm2", "avg_diameter_cm"),
        check("plants_per_m2", "plants_per_m2 BETWEEN 5 AND 5000"),
        # 10,000 is a square grid without gaps; round pots in a honeycomb reach 11,547.
        check("consistent", "avg_area_per_plant_cm2 * plants_per_m2 BETWEEN 3000 AND 12000"),
        check("overlap_adjustment", "overlap_adjustment_factor > 0 AND overlap_adjustment_factor <= 1"),
        natural_key("storage_bin_type_id", "product_id", "packaging_catalog_id"),
    )

    id: Mapped[Id]
    storage_bin_type_id: Mapped[int] = mapped_column(ForeignKey(StorageBinType.id, ondelete="RESTRICT"))
    product_id: Mapped[int | None] = mapped_column(ForeignKey(Product.id, ondelete="RESTRICT"), index=True)
    packaging_catalog_id: Mapped[int | None] = mapped_column(
        ForeignKey(PackagingCatalog.id, ondelete="RESTRICT"), index=True
    )
    avg_area_per_plant_cm2: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    plants_per_m2: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    overlap_adjustment_factor: Mapped[Decimal] = mapped_column(Numeric(4, 3), server_default=text("1"))
    avg_diameter_cm: Mapped[Decimal] = mapped_column(Numeric(6, 2))
    notes: Mapped[str | None]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]
