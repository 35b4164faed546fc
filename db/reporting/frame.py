"""What every report is made of: rows under described columns, a sum, and notes. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]


class Kind(StrEnum):
    """What the figures of a column are, so that each writer can show them in its way."""

    TEXT = "text"
    COUNT = "count"  # whole, of plants or of other things
    SHARE = "share"  # of 1
    NUMBER = "number"
    DAY = "day"
    MOMENT = "moment"


@dataclass(frozen=True, slots=True)
class Column:
    """`heading` is English, and translated where it is shown. `low` and `high` of a figure are columns called
    so."""

    key: str
    heading: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Report:
    """`total` has the keys of the columns that can be summed; `notes` are sentences for below the table."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    total: Row | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report is asked for. `places` are codes of places, beds or bays, `products` SKUs or codes of
    categories and families; nothing means all. The period is since < t <= until."""

    until: dt.datetime
    since: dt.datetime
    zone: ZoneInfo
    places: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    group: str = "bay"
    step: str = "month"
    days: int = 30
