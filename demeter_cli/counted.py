"""Counted photos as rows: the same figures for `demeter count` and `demeter process`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from demeter_cli import output
from demeter_cli.formats import COUNT_COLUMNS
from demeter_cli.language import n_, number

if TYPE_CHECKING:
    from pipeline.types import Finding, Total

Row = dict[str, Any]

FIGURES = ("seen", "hidden", "total", "low", "high")
# What CSV has beside the figures of the whole photo.
CSV_COLUMNS = (*(f"main_{name}" for name in FIGURES), "dead", "empty_pots", "unlikeness", "findings")


def bed(main: Total) -> Row:
    """The figures of the photographed bed alone."""
    return {name: getattr(main, name) for name in FIGURES}


def describe_findings(findings: Iterable[Finding]) -> list[Row]:
    return [
        {
            "check": found.check.value,
            "severity": found.severity.value,
            "sentence": found.sentence,
            "value": round(found.value, 4),
        }
        for found in findings
    ]


def flat(row: Row) -> Row:
    """As CSV wants it: the bed's figures beside the photo's, and the names of the checks."""
    main = row["main"] or {}
    beds = {f"main_{name}": main.get(name) for name in FIGURES}
    return {**row, **beds, "findings": " ".join(found["check"] for found in row["findings"])}


def print_counts(rows: Sequence[Row], columns: dict[str, str], droppable: Sequence[str]) -> None:
    """A table of what stands in the photographed beds; `columns` come before the figures."""
    shown = [_of_bed(row) for row in rows]
    neighbours = [row["neighbours"] for row in shown if row["neighbours"]]
    figures = {key: name for key, name in COUNT_COLUMNS.items() if neighbours or key != "neighbours"}
    output.print_table(shown, columns | figures, droppable=droppable)
    if neighbours:
        more = n_(
            "{n} photo shows {plants} more plants in neighbouring beds; the total is without them.",
            "{n} photos show {plants} more plants in neighbouring beds; the totals are without them.",
            len(neighbours),
        )
        output.say(more.format(n=number(len(neighbours)), plants=number(sum(neighbours))))
    output.print_warnings(rows)


def _of_bed(row: Row) -> Row:
    main = row["main"] or dict.fromkeys(FIGURES)
    beyond = None if row["main"] is None else row["total"] - main["total"]
    return {
        **row,
        **{name: main[name] for name in FIGURES},
        "interval": output.interval(main["low"], main["high"]),
        "neighbours": beyond or None,
    }
