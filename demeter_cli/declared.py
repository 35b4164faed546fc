"""One call of `demeter reconcile --sales`: what the client says was sold, beside what the counts say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from demeter_cli.formats import Format
from demeter_cli.language import N_, _, told
from demeter_cli.reconciled import Asked, Row
from demeter_cli.vocabulary import word

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class CheckedFiles:
    """Sales by code, and every row of the files that does not simply count."""

    title: str
    codes: list[Row]
    rows: list[Row]
    notes: list[str]
    read: int
    unexplained: bool


def check_files(connection: Connection, asked: Asked, files: Sequence[Path], *, strict: bool) -> CheckedFiles:
    """Raises UnreadableFile, and Refused for a rejected row when `strict`."""
    from db import sales
    from db.errors import Refused
    from db.imports.read import read_rows
    from db.reconcile import reconcile_period
    from db.sales_file import RowVerdict, judge_sales

    known = sales.codes(connection)
    days = (asked.period.start.astimezone(asked.zone).date(), asked.period.last.astimezone(asked.zone).date())
    by_hash = {read.sha256: read for read in map(read_rows, files)}
    rows = [row for read in by_hash.values() for row in judge_sales(read, known, days)]
    rejected = [row for row in rows if row.verdict is RowVerdict.REJECTED]
    if strict and rejected:
        first = rejected[0]
        raise Refused(
            f"{first.file}, line {first.line}: the row {first.reason}; {len(rejected)} rows are rejected"
        )
    lines = reconcile_period(connection, asked.period, asked.places)
    kinds = sales.kinds(connection, {line.key.product_id for line in lines})
    found = sales.check_sales(lines, rows, kinds, sales.pots(connection))
    connection.rollback()
    notes = [f"{read.path.name}: {'; '.join(read.notes)}" for read in by_hash.values()]
    if len(by_hash) < len(files):
        notes.append("the same file was named twice; it counts once")
    codes = [asdict(one) | {"status": one.status.value, "difference": one.difference} for one in found]
    odd = [
        {
            "file": row.file,
            "line": row.line,
            "verdict": row.verdict.value,
            "reason": row.reason,
            "raw": row.raw,
        }
        for row in rows
        if row.reason
    ]
    contradictory = any(one.status is sales.SaleStatus.CONTRADICTORY for one in found)
    counted = sum(row.verdict is RowVerdict.READ for row in rows)
    return CheckedFiles(asked.title, codes, odd, notes, counted, contradictory or bool(rejected))


SALES_COLUMNS = {
    "label": N_("code"),
    "calculated": N_("calculated"),
    "interval": N_("90% range"),
    "declared": N_("declared"),
    "difference": N_("diff"),
    "status": N_("status"),
}


def print_sales(checked: CheckedFiles, output_format: Format) -> None:
    from demeter_cli import output

    match output_format:
        case Format.JSON:
            output.print_json({"codes": checked.codes, "rows": checked.rows, "read": checked.read})
        case Format.CSV:
            columns = (
                "label",
                "calculated",
                "low",
                "high",
                "declared",
                "difference",
                "status",
                "lots",
                "left_out",
            )
            output.print_csv(checked.codes, columns)
        case Format.TABLE:
            shown = [row | {"interval": output.interval(row["low"], row["high"])} for row in checked.codes]
            title = _("Sales of {period}").format(period=checked.title)
            output.print_table(shown, SALES_COLUMNS, title=title, droppable=("interval", "difference"))
    if output_format is not Format.JSON:
        for note in checked.notes:
            output.tell(told(note))
        for row in checked.rows:
            output.tell(
                _("{file}, line {line}: {verdict}: {reason}").format(
                    file=row["file"],
                    line=row["line"],
                    verdict=word(row["verdict"]).replace("_", " "),
                    reason=told(row["reason"]),
                )
            )
