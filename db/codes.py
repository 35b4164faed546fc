"""The codes by which people name places, products, states, sizes and pots: looked up once, found however they
are spaced or hyphenated, and with the nearest ones suggested where one is wrong or no longer used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from db.errors import NotFound
from db.imports.words import key, nearest
from db.models.catalog import PackagingCatalog, Product, ProductSize, ProductState
from db.models.places import StorageLocation
from db.models.vocabulary import BinCategory
from pipeline.words import Sentence

NO_POT = frozenset({"none", "no", "bare", "sinmaceta", "ninguno", "ninguna"})
_CONTAINERS = {
    **{key(category): category.value for category in BinCategory},
    "tray": "seedling_tray",
    "almacigo": "seedling_tray",
    "crate": "box",
    "cajon": "box",
    "segmento": "segment",
}


@dataclass(frozen=True, slots=True)
class Code:
    id: int
    text: str
    active: bool


@dataclass(frozen=True, slots=True)
class Codes:
    """By kind, by the letters and digits of the code."""

    by_kind: Mapping[str, Mapping[str, Code]]
    texts: Mapping[str, Mapping[int, str]]
    unsellable: frozenset[int]  # states
    first_state: int | None  # the youngest that is not sold

    @staticmethod
    def load(connection: Connection) -> Codes:
        columns: dict[str, tuple[Any, Any, Any]] = {
            "place": (StorageLocation.id, StorageLocation.code, StorageLocation.active),
            "product": (Product.id, Product.sku, Product.active),
            "state": (ProductState.id, ProductState.code, ProductState.active),
            "size": (ProductSize.id, ProductSize.code, ProductSize.active),
            "pot": (PackagingCatalog.id, PackagingCatalog.sku, PackagingCatalog.active),
        }
        found = {
            kind: [Code(*row) for row in connection.execute(select(*table))]
            for kind, table in columns.items()
        }
        states = connection.scalars(
            select(ProductState.id)
            .where(~ProductState.is_sellable)
            .order_by(ProductState.sort_order, ProductState.id)
        ).all()
        return Codes(
            {kind: {key(code.text): code for code in codes} for kind, codes in found.items()},
            {kind: {code.id: code.text for code in codes} for kind, codes in found.items()},
            frozenset(states),
            states[0] if states else None,
        )

    def find(self, kind: str, text: str) -> int:
        """The id. Raises NotFound with the nearest codes that are in use."""
        code = self.by_kind[kind].get(key(text))
        if code is not None and code.active:
            return code.id
        near = nearest(text, [each.text for each in self.by_kind[kind].values() if each.active])
        wrong = (
            f"there is no {kind} {text!r}"
            if code is None
            else f"the {kind} {code.text} is not in use any more"
        )
        raise NotFound(wrong + near)

    def known(self, kind: str, text: str) -> int:
        """The id of a code, in use or not. Raises NotFound with the nearest codes."""
        found = self.id_of(kind, text)
        return self.find(kind, text) if found is None else found

    def id_of(self, kind: str, text: str) -> int | None:
        """The id of a code that is known, in use or not."""
        code = self.by_kind[kind].get(key(text))
        return None if code is None else code.id

    def pot(self, text: str) -> int | None:
        return None if key(text) in NO_POT else self.find("pot", text)

    def text(self, kind: str, number: int | None) -> str:
        return "none" if number is None else self.texts[kind][number]


def container(text: str) -> str:
    """The category of a kind of container. Raises NotFound."""
    found = _CONTAINERS.get(key(text))
    if found is None:
        known = [category.value for category in BinCategory]
        hint = nearest(text, known) or f"; there are {', '.join(known)}"
        raise NotFound(Sentence("there is no kind of container {text!r}{hint}", text=text, hint=hint))
    return found
