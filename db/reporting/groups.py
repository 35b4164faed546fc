"""By what stock and movements can be grouped, and which of them are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, select

from db.errors import NotFound
from db.imports.words import nearest
from db.models.catalog import Product, ProductCategory, ProductFamily
from db.models.places import StorageArea, StorageLocation, Warehouse
from db.place_config import places_within
from db.reporting.frame import Wanted
from pipeline.words import Sentence, marked

HEADINGS = {
    "bay": marked("bay"),
    "bed": marked("bed"),
    "place": marked("place"),
    "product": marked("product"),
    "family": marked("family"),
    "category": marked("category"),
    "packaging": marked("packaging"),
    "size": marked("size"),
    "state": marked("state"),
}


@dataclass(frozen=True)
class Groups:
    """The trees of places and products, read once for a report."""

    connection: Connection

    @cached_property
    def _places(self) -> dict[str, tuple[str, str]]:
        rows = self.connection.execute(
            select(StorageLocation.code, StorageArea.code, Warehouse.code)
            .join(StorageArea, StorageArea.id == StorageLocation.storage_area_id)
            .join(Warehouse, Warehouse.id == StorageArea.warehouse_id)
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    @cached_property
    def _products(self) -> dict[str, tuple[str, str, str]]:
        rows = self.connection.execute(
            select(Product.sku, Product.common_name, ProductFamily.name, ProductCategory.name)
            .join(ProductFamily, ProductFamily.id == Product.family_id)
            .join(ProductCategory, ProductCategory.id == ProductFamily.category_id)
        )
        return {row[0]: (row[1], row[2], row[3]) for row in rows}

    def of(self, row: Any, group: str) -> str | None:
        """The group that a row belongs to; it has `place`, `sku`, `packaging`, `size` and `state`."""
        match group:
            case "bay":
                return self._places[row.place][1]
            case "bed":
                return self._places[row.place][0]
            case "product":
                return self._products[row.sku][0]
            case "family":
                return self._products[row.sku][1]
            case "category":
                return self._products[row.sku][2]
            case _:
                found: str | None = getattr(row, group)
                return found

    def places(self, wanted: Wanted) -> set[str] | None:
        """Codes of the places that are meant, None for all. Raises NotFound."""
        return set(places_within(self.connection, wanted.places)) if wanted.places else None

    def products(self, wanted: Wanted) -> set[str] | None:
        """SKUs of the products that are meant, None for all. Raises NotFound that names what is near."""
        if not wanted.products:
            return None
        found: set[str] = set()
        for name in wanted.products:
            asked = name.strip().casefold()
            named = {
                sku
                for sku, names in self._products.items()
                if asked in (sku.casefold(), *(one.casefold() for one in names))
            }
            if not named:
                known = set(self._products) | {one for names in self._products.values() for one in names}
                raise NotFound(
                    Sentence(
                        "there is no product, family or category {name!r}{nearest}",
                        name=name,
                        nearest=nearest(name, known),
                    )
                )
            found |= named
        return found

    def meant(self, rows: Sequence[Any], wanted: Wanted) -> list[Any]:
        """The rows of the places and products that are meant."""
        places, skus = self.places(wanted), self.products(wanted)
        return [
            row
            for row in rows
            if (places is None or row.place in places) and (skus is None or row.sku in skus)
        ]
