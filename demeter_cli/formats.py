"""Names and headings of outputs, apart from the code that needs rich."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


UserOption = Annotated[
    str | None,
    typer.Option(
        "--user", metavar="EMAIL", help="Who acts (default: the setting, else who is logged in here)."
    ),
]

# A counted photo in a table: key and heading. The figures are those of the photographed bed.
COUNT_COLUMNS = {
    "seen": "seen",
    "hidden": "hidden",
    "total": "total",
    "interval": "90% range",
    "neighbours": "neighbours",
    "seconds": "sec",
    "status": "status",
}
