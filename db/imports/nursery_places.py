"""Places as the seedling inventory writes them: `M1c2norte`, `T1c2`, `Túnel 2 c2`, `Somb 1 madres`.

They name houses that no map numbers in the same way, so a missing one is made only where that is allowed,
as a bay of the source `inventory`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from db.imports.words import clean, key, nearest
from db.models.imports import ImportAlias
from db.models.places import StorageArea, StorageLocation, Warehouse
from db.models.vocabulary import AliasKind, PlaceSource, WarehouseType

_MOTHERS = re.compile(r"m(?P<house>\d)c(?P<bed>\d+)(?P<side>norte|sur|n|s)")
_BED = re.compile(
    r"(?P<kind>t|tunel|tunnel|s|somb|sombraculo|campo)(?P<house>\d+|[a-z]{1,2})(?:c(?P<bed>\d+))?(?P<rest>madres)?"
)
_LETTERS = {"t": "T", "tunel": "T", "tunnel": "T", "s": "S", "somb": "S", "sombraculo": "S", "campo": "F"}
_TYPES = {
    "T": WarehouseType.TUNNEL,
    "S": WarehouseType.SHADEHOUSE,
    "F": WarehouseType.OPEN_FIELD,
}


@dataclass(frozen=True, slots=True)
class Spelt:
    """Codes of a bay, its bed and a place on it."""

    bay: str
    bed: str
    place: str


@dataclass(slots=True)
class Places:
    """The places by code, and by the aliases that people gave them."""

    ids: dict[str, int]
    aliases: Mapping[str, str]
    may_create: bool
    created: list[str]

    @staticmethod
    def load(connection: Connection, *, may_create: bool) -> Places:
        table, alias = StorageLocation, ImportAlias
        rows = connection.execute(select(table.code, table.id).where(table.active))
        ids = {row.code: row.id for row in rows}
        named = connection.execute(select(alias.alias, alias.name).where(alias.kind == AliasKind.PLACE.value))
        return Places(ids, {row.alias: row.name for row in named}, may_create, [])

    def find(self, connection: Connection, text: str) -> tuple[int, str, list[str]]:
        """Id and code of a place, and what was mended. Raises ValueError."""
        alias = self.aliases.get(key(text))
        if alias is not None and alias in self.ids:
            return self.ids[alias], alias, [f"{clean(text)!r} is an alias of {alias}"]
        if clean(text).upper() in self.ids:
            return self.ids[clean(text).upper()], clean(text).upper(), []
        spelt = spell(text)
        if spelt.place not in self.ids:
            if not self.may_create:
                hint = nearest(spelt.place, self.ids)
                raise ValueError(f"there is no place {clean(text)!r} ({spelt.place}){hint}")
            self.ids[spelt.place] = _create(connection, spelt, clean(text))
            self.created.append(spelt.place)
        return self.ids[spelt.place], spelt.place, []


def spell(text: str) -> Spelt:
    """`Túnel 2 c2` and `T2c2` are T2-C2-1, `M1c2norte` is M1-C2-NORTE. Raises ValueError."""
    word = key(text)
    if found := _MOTHERS.fullmatch(word):
        side = {"n": "NORTE", "s": "SUR"}[found["side"][0]]
        bay, bed = f"M{found['house']}", f"C{found['bed']}"
        return Spelt(bay, f"{bay}-{bed}", f"{bay}-{bed}-{side}")
    if found := _BED.fullmatch(word):
        bay = f"{_LETTERS[found['kind']]}{found['house'].upper()}"
        bed = "MADRES" if found["rest"] else f"C{found['bed'] or 1}"
        return Spelt(bay, f"{bay}-{bed}", f"{bay}-{bed}-1")
    code = "".join(char for char in word.upper() if char.isascii())[:20]
    if len(code) < 3 or not code[0].isalpha():
        raise ValueError(f"names no place: {clean(text)!r}")
    return Spelt(code, f"{code}-C1", f"{code}-C1-1")


def _create(connection: Connection, spelt: Spelt, name: str) -> int:
    bay = connection.scalar(select(Warehouse.id).where(Warehouse.code == spelt.bay))
    if bay is None:
        kind = (
            _TYPES.get(spelt.bay[0], WarehouseType.GREENHOUSE)
            if len(spelt.bay) < 4
            else WarehouseType.GREENHOUSE
        )
        values = {"code": spelt.bay, "name": f"{spelt.bay} (inventory)", "type": kind.value}
        values["source"] = PlaceSource.INVENTORY.value
        bay = connection.execute(insert(Warehouse).values(values).returning(Warehouse.id)).scalar_one()
    bed = connection.scalar(select(StorageArea.id).where(StorageArea.code == spelt.bed))
    if bed is None:
        area = {"warehouse_id": bay, "code": spelt.bed, "name": name}
        bed = connection.execute(insert(StorageArea).values(area).returning(StorageArea.id)).scalar_one()
    place = {"storage_area_id": bed, "code": spelt.place, "name": name}
    return int(
        connection.execute(insert(StorageLocation).values(place).returning(StorageLocation.id)).scalar_one()
    )
