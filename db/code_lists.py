"""The codes that people type: of places, products, pots and users."""

from __future__ import annotations

from sqlalchemy import Connection, select

from db.models.catalog import PackagingCatalog, Product
from db.models.people import User
from db.models.places import StorageLocation


def code_lists(connection: Connection) -> dict[str, list[str]]:
    """By kind, in order. Of places also the bays and beds that they lie in: `N01`, `N01-NORTE`."""
    places = connection.scalars(select(StorageLocation.code).where(StorageLocation.active)).all()
    split = [code.split("-") for code in places]
    whole = {"-".join(parts[:length]) for parts in split for length in range(1, len(parts) + 1)}
    return {
        "places": sorted(whole, key=lambda code: (code.count("-"), code)),
        "products": list(connection.scalars(select(Product.sku).order_by(Product.sku))),
        "packagings": list(connection.scalars(select(PackagingCatalog.sku).order_by(PackagingCatalog.sku))),
        "users": list(connection.scalars(select(User.email).where(User.active).order_by(User.email))),
    }
