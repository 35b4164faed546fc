"""A report to a terminal, CSV, JSON, a spreadsheet or Parquet."""

from __future__ import annotations

import datetime as dt
import io
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from demeter_cli.language import _, day, moment, number, percent, told
from demeter_cli.vocabulary import word

if TYPE_CHECKING:
    from db.reporting.frame import Column, Report

WIDEST_CELL = 50


class ReportFormat(StrEnum):
    """How a report is written. The last two need `--out`."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    XLSX = "xlsx"
    PARQUET = "parquet"


def write(
    report: Report, zone: ZoneInfo, how: tuple[ReportFormat, bool], out: tuple[Path | None, bool]
) -> None:
    """`how` is the format and whether Excel in Spanish shall like the CSV; `out` a file and whether it may be
    replaced. Raises StorageError, and SettingsError where a package is missing."""
    from demeter_cli import output

    chosen, excel = how
    path, force = out
    report = _local(report, zone)
    if path is None and chosen is ReportFormat.TABLE:
        _print(report)
        return
    content = _content(report, chosen, excel=excel)
    if path is None:
        output.write_text(content.decode("utf-8"))
    else:
        _save(path, content, force=force)
        output.tell(_("{file} was written.").format(file=path))


def format_of(path: Path | None, chosen: ReportFormat | None) -> ReportFormat:
    """By the option, else by the name of the file, else a table. Raises ValueError."""
    if chosen is not None:
        if chosen in (ReportFormat.XLSX, ReportFormat.PARQUET) and path is None:
            raise ValueError(_("{format} is for files: name one with --out").format(format=chosen.value))
        return chosen
    if path is None:
        return ReportFormat.TABLE
    try:
        return ReportFormat(path.suffix.lower().removeprefix("."))
    except ValueError:
        known = ", ".join(f".{one.value}" for one in ReportFormat if one is not ReportFormat.TABLE)
        raise ValueError(_("{file} ends in none of {known}").format(file=path.name, known=known)) from None


def _local(report: Report, zone: ZoneInfo) -> Report:
    """With times as the clock at the site shows them."""
    from dataclasses import replace

    from demeter_cli import output

    return replace(
        report,
        rows=tuple(output.local(row, zone) for row in report.rows),
        total=report.total and output.local(report.total, zone),
    )


def _print(report: Report) -> None:
    from demeter_cli import output

    if not report.rows:
        output.say(_("Nothing fits what was asked for."))
        return
    shown = [_shown(report, row) for row in report.rows]
    ranged = any(column.key == "low" for column in report.columns)
    columns: dict[str, str] = {}
    for column in report.columns:
        if column.key == "high":
            continue
        columns["interval" if column.key == "low" else column.key] = (
            "90% range" if column.key == "low" else column.heading
        )
    total = report.total and {**_shown(report, report.total), next(iter(columns)): _("all")}
    figures = [column.key for column in report.columns if column.kind not in ("text", "day", "moment")]
    droppable = ["error", "seconds", "counted_at", "places", "share", "interval" if ranged else "", "photo"]
    output.print_table(
        shown,
        columns,
        title=_(report.title),
        total=total,
        droppable=droppable,
        figures=(*figures, "interval"),
    )
    for note in report.notes:
        output.say(told(note))


def _shown(report: Report, row: Any) -> dict[str, Any]:
    from demeter_cli import output

    cells: dict[str, Any] = {column.key: _cell(column, row.get(column.key)) for column in report.columns}
    cells["interval"] = output.interval(row.get("low"), row.get("high"))
    return cells


def _cell(column: Column, value: Any) -> str:
    """As people read it; what cannot be told is empty, a share of nothing n/a."""
    if value is None:
        return "n/a" if column.kind == "share" else ""
    match column.kind.value:
        case "count" | "number" as kind:
            shown = number(value, 0 if kind == "count" else 1)
        case "share":
            shown = percent(value)
        case "day":
            shown = day(value.date() if isinstance(value, dt.datetime) else value)
        case "moment":
            shown = moment(value)
        case _:
            shown = word(str(value)) if column.key == "status" else str(value)
    return shown


def _content(report: Report, chosen: ReportFormat, *, excel: bool) -> bytes:
    match chosen:
        case ReportFormat.CSV:
            return _csv(report, excel=excel)
        case ReportFormat.JSON:
            from demeter_cli import output

            return output.json_text(
                {"report": report.name, "rows": report.rows, "total": report.total, "notes": report.notes}
            ).encode("utf-8", "backslashreplace")
        case ReportFormat.XLSX:
            return _xlsx(report)
        case ReportFormat.PARQUET:
            return _parquet(report)
        case _:
            raise ValueError(_("a table is for the terminal; --out writes csv, json, xlsx or parquet"))


def _csv(report: Report, *, excel: bool) -> bytes:
    """Plain UTF-8 with keys as headings; for Excel in Spanish with a mark, semicolons and decimal commas."""
    from demeter_cli import output

    keys = [column.key for column in report.columns]
    if not excel:
        return output.csv_text(report.rows, keys).encode("utf-8", "backslashreplace")
    rows = [
        {
            key: str(value).replace(".", ",") if isinstance(value, float) else value
            for key, value in row.items()
        }
        for row in report.rows
    ]
    return output.csv_text(rows, keys, separator=";").encode("utf-8-sig", "backslashreplace")


def _xlsx(report: Report) -> bytes:
    """A sheet of data with typed cells, and one that tells what it is."""
    import xlsxwriter

    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(
        buffer,
        {"in_memory": True, "remove_timezone": True, "strings_to_formulas": False, "strings_to_urls": False},
    )
    head = book.add_format({"bold": True, "font_color": "white", "bg_color": "#1976D2"})
    looks = {
        "count": book.add_format({"num_format": "#,##0"}),
        "share": book.add_format({"num_format": "0.0%"}),
        "number": book.add_format({"num_format": "#,##0.0"}),
        "day": book.add_format({"num_format": "yyyy-mm-dd"}),
        "moment": book.add_format({"num_format": "yyyy-mm-dd hh:mm"}),
    }
    data = book.add_worksheet(_("Data"))
    for place, column in enumerate(report.columns):
        look = looks.get(column.kind.value)
        heading = _(column.heading)
        data.write_string(0, place, heading, head)
        texts = [_cell(column, row.get(column.key)) for row in report.rows]
        data.set_column(place, place, min(WIDEST_CELL, 2 + max(map(len, (heading, *texts)))))
        for line, row in enumerate(report.rows, 1):
            value = row.get(column.key)
            if value is None:
                continue
            if isinstance(value, dt.datetime | dt.date):
                data.write_datetime(line, place, value, look)
            elif isinstance(value, int | float):
                data.write_number(line, place, value, look)
            else:
                data.write_string(line, place, str(value)[:32_000])
    data.freeze_panes(1, 0)
    data.autofilter(0, 0, max(1, len(report.rows)), len(report.columns) - 1)
    about = book.add_worksheet(_("About"))
    facts = [
        (_("report"), _(report.title)),
        (_("rows"), str(len(report.rows))),
        *(("", told(n)) for n in report.notes),
    ]
    for line, (name, value) in enumerate(facts):
        about.write_string(line, 0, name)
        about.write_string(line, 1, value)
    about.set_column(0, 1, 30)
    book.close()
    return buffer.getvalue()


def _parquet(report: Report) -> bytes:
    from demeter_cli.errors import SettingsError

    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise SettingsError("Parquet needs pyarrow: pip install 'demeter[parquet]'") from error
    types = {
        "count": pa.int64(),
        "share": pa.float64(),
        "number": pa.float64(),
        "day": pa.timestamp("us", "UTC"),
        "moment": pa.timestamp("us", "UTC"),
    }
    schema = pa.schema([(column.key, types.get(column.kind.value, pa.string())) for column in report.columns])
    rows = [{column.key: row.get(column.key) for column in report.columns} for row in report.rows]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), buffer)
    return buffer.getvalue()


def _save(path: Path, content: bytes, *, force: bool) -> None:
    """Whole or not at all. Raises StorageError."""
    from pipeline.errors import StorageError

    draft = path.with_name(f".{path.name}.part")
    try:
        if path.exists() and not force:
            raise StorageError(f"{path} is there already; --force replaces it")
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StorageError(
            f"{path} cannot be written: {(error.strerror or 'unknown error').lower()}"
        ) from error
