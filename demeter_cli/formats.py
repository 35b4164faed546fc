"""The names of the output formats, apart from the code that needs rich."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
