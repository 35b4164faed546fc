"""Settings that belong to the nursery and are the same on every machine: they are kept in the database.

What differs from machine to machine, such as folders and models, is in demeter.toml.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from db.cells import hint
from db.errors import NotFound, Refused
from db.models.changes import SiteSetting


@dataclass(frozen=True, slots=True)
class Known:
    default: str
    about: str
    read: Callable[[str], str]  # one spelling for what was typed; raises ValueError with what it must be


@dataclass(frozen=True, slots=True)
class Setting:
    key: str
    value: str
    is_default: bool
    about: str


def _currency(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{3}", text):
        raise ValueError("an ISO code like ARS")
    return text.upper()


def _number(lowest: str, highest: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("nan")
        if not number.is_finite() or not Decimal(lowest) <= number <= Decimal(highest):
            raise ValueError(f"a number from {lowest} to {highest}")
        return format(number.normalize(), "f")

    return read


KNOWN = {
    "currency": Known("ARS", "Currency of new prices, and of what stock is worth", _currency),
    "price_step": Known("1", "To multiples of what `prices change` rounds", _number("0.01", "100000")),
    "vat_percent": Known("21", "VAT that `prices show` adds to a price", _number("0", "100")),
}


def value_of(connection: Connection, key: str) -> str:
    """What is set, else the default."""
    found = connection.scalar(select(SiteSetting.value).where(SiteSetting.key == key))
    return KNOWN[key].default if found is None else str(found)


def all_settings(connection: Connection) -> list[Setting]:
    held = {row.key: str(row.value) for row in connection.execute(select(SiteSetting.key, SiteSetting.value))}
    return [
        Setting(key, held.get(key, known.default), key not in held, known.about)
        for key, known in KNOWN.items()
    ]


def write(connection: Connection, key: str, text: str | None) -> None:
    """Set a value, or with None go back to the default. Raises NotFound and Refused."""
    if key not in KNOWN:
        raise NotFound(f"there is no setting {key}{hint(key, KNOWN)}; `demeter settings list` shows them")
    if text is None:
        connection.execute(delete(SiteSetting).where(SiteSetting.key == key))
        return
    try:
        value = KNOWN[key].read(text)
    except ValueError as error:
        raise Refused(f"{key} is {error}, not {text!r}") from error
    statement = insert(SiteSetting).values(key=key, value=value)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["key"],
            set_={"value": statement.excluded.value},
            where=SiteSetting.value != statement.excluded.value,
        )
    )
