"""Names and headings of outputs, apart from the code that needs rich."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated

import typer

from demeter_cli.language import N_, _


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


def _seconds(text: str | float) -> float:
    """`90`, `forever`. Raises BadParameter."""
    if text == "forever":
        return math.inf
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        bad = _("{text!r} is no number of seconds like 90, and not the word forever")
        raise typer.BadParameter(bad.format(text=text))
    return seconds


WaitOption = Annotated[
    float,
    typer.Option(
        "--wait",
        metavar="SECONDS|forever",
        parser=_seconds,
        help="While another run goes on: wait for it so long (default: give up at once, exit code 75).",
    ),
]


# A counted photo in a table: key and heading. The figures are those of the photographed bed.
COUNT_COLUMNS = {
    "seen": N_("seen"),
    "hidden": N_("hidden"),
    "total": N_("total"),
    "interval": N_("90% range"),
    "neighbours": N_("neighbours"),
    "seconds": N_("sec"),
    "status": N_("status"),
}
