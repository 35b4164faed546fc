"""Photos that show what a product looks like."""

from __future__ import annotations

import datetime as dt
import uuid

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Flag, Id, Now, Touched, at_least, one_of
from db.models.catalog import Product, ProductSize, ProductState
from db.models.people import User
from db.models.photos import Image
from db.models.places import StorageLocation
from db.models.vocabulary import SampleType


class ProductSampleImage(Base):
    __tablename__ = "product_sample_images"
    __table_args__ = (
        UniqueConstraint("product_id", "image_id", "sample_type"),
        one_of("sample_type", SampleType),
        *at_least(0, "display_order"),
        Index(
            "uq_product_sample_images_primary",
            "product_id",
            unique=True,
            postgresql_where=text("is_primary"),
        ),
        Index("ix_product_sample_images_image_id", "image_id"),
        Index("ix_product_sample_images_product_state_id", "product_state_id"),
        Index("ix_product_sample_images_product_size_id", "product_size_id"),
        Index("ix_product_sample_images_storage_location_id", "storage_location_id"),
        Index("ix_product_sample_images_captured_by_user_id", "captured_by_user_id"),
    )

    id: Mapped[Id]
    product_id: Mapped[int] = mapped_column(ForeignKey(Product.id, ondelete="RESTRICT"))
    image_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Image.id, ondelete="RESTRICT"))
    sample_type: Mapped[str]
    product_state_id: Mapped[int | None] = mapped_column(ForeignKey(ProductState.id, ondelete="RESTRICT"))
    product_size_id: Mapped[int | None] = mapped_column(ForeignKey(ProductSize.id, ondelete="RESTRICT"))
    storage_location_id: Mapped[int | None] = mapped_column(
        ForeignKey(StorageLocation.id, ondelete="RESTRICT")
    )
    captured_by_user_id: Mapped[int | None] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"))
    capture_date: Mapped[dt.date | None]
    notes: Mapped[str | None]
    display_order: Mapped[int] = mapped_column(server_default=text("0"))
    is_primary: Mapped[Flag]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]
