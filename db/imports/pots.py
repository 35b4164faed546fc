"""The client's pot codes. Pure.

`C R8 T -1` is a cactus (C) in a rigid pot of 8 cm (R8) of terracotta colour (T), the first of its kind. The
species list leaves the serial out: `SR8V`. Grafts (I) have no letter for the colour: `IR8-1.0-Hmix`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CODE = re.compile(
    r"(?P<group>[CSIPM])?(?P<pot>R\d{1,2}|TC\d{1,2}|T\d{1,2}|S\d{1,2}|\d{1,2}L)(?:/\d+)?"
    r"(?P<colour>[A-Z])?(?P<rest>(?:[^A-Z].*)?)",
    re.ASCII,
)
GROUPS = {"C": "CACTUS", "S": "SUCULENTA", "I": "INJERTO", "P": "PIEDRA"}


@dataclass(frozen=True, slots=True)
class PotCode:
    """`group` is the category's letter, `pot` a kind and size like R8, `colour` a letter; "" if absent."""

    group: str
    pot: str
    colour: str

    @property
    def category(self) -> str | None:
        return GROUPS.get(self.group)

    @property
    def packaging(self) -> str:
        """The SKU that such a pot has in the catalogue; a pot without a colour letter gives its beginning."""
        if self.pot.startswith("TC"):
            return f"TER-{self.pot[2:]}-{self.colour}"
        return f"MAC-{self.pot}-{self.colour}"


def parse_pot(code: str) -> PotCode | None:
    """None for what is no pot code; spaces and case do not matter, hyphens part the serial."""
    found = _CODE.fullmatch(re.sub(r"\s", "", code).upper())
    return PotCode(found["group"] or "", found["pot"], found["colour"] or "") if found else None
