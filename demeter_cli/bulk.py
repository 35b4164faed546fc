"""One call of `demeter stock import`: a file of movements, what became of its lines, and how it is told."""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from demeter_cli.booking import Way
from demeter_cli.formats import Format
from demeter_cli.language import N_, _, n_, number, told, why
from pipeline.words import Sentence

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.bulk import Loaded
    from db.imports.read import ReadFile

_MOST_LOTS = 20  # shown in a table
_MOST_PROBLEMS = 50  # shown on a terminal


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was said on the command line about the lines."""

    kind: str | None
    partial: bool
    override: bool
    rejects: Path | None


def import_file(path: Path, wishes: Wishes, way: Way) -> None:
    """Book the file, and print what became of it. Ends with exit code 9 where lines were rejected."""
    from db.bulk import Terms, load, orders_of
    from db.imports.read import read_rows
    from db.orders import Kind
    from demeter_cli.errors import ExitCode
    from demeter_cli.site import DECIDERS, WORKERS, actor, booking, open_database

    now = dt.datetime.now(dt.UTC).astimezone(way.zone)
    kind = _kind(wishes.kind)
    file = read_rows(path)
    terms = Terms(kind, way.zone, now, wishes.override, wishes.partial)
    listed = orders_of(file, terms)
    adjusts = any(order.kind is Kind.ADJUST for order in listed.orders.values())
    with open_database(way.settings) as connection:

        def work() -> tuple[Loaded, list[dict[str, Any]]]:
            who = actor(connection, way.settings, *(DECIDERS if adjusts else WORKERS), user=way.user)
            loaded = load(connection, listed, who, terms)
            return loaded, _lots(connection, loaded)

        loaded, lots = booking(connection, way.zone, work, keep=not way.dry_run)
    if wishes.rejects is not None and loaded.problems:
        _write_rejects(wishes.rejects, file, loaded)
    _print(file, loaded, lots, way)
    if loaded.problems:
        raise typer.Exit(ExitCode.MISMATCH)


def _kind(word: str | None) -> Any:
    from db.bulk import kind_of

    try:
        return None if word is None else kind_of(word)
    except ValueError as error:
        raise typer.BadParameter(why(error), param_hint="--type") from error


def _lots(connection: Connection, loaded: Loaded) -> list[dict[str, Any]]:
    """What the lots that the file is about held before and hold after it."""
    from db.journal import Chosen, movements

    held = {one.batch_id: one for one in loaded.booked}
    if not held:
        return []
    lines = movements(connection, Chosen(ids=[one.id for one in held.values()]))
    by_id = {line.id: line for line in lines}
    names = ("place", "product", "sku", "state", "size", "packaging", "container")
    rows = [
        {name: getattr(by_id[one.id], name) for name in names} | {"before": one.before, "after": one.after}
        for one in held.values()
    ]
    return sorted(rows, key=lambda row: (row["place"], row["sku"]))


def _print(file: ReadFile, loaded: Loaded, lots: list[dict[str, Any]], way: Way) -> None:
    from demeter_cli import output

    fresh = len(loaded.booked)
    match way.output_format:
        case Format.JSON:
            output.print_json(
                {
                    "file": str(file.path),
                    "sha256": file.sha256,
                    "lines": loaded.lines,
                    "booked_lines": loaded.booked_lines,
                    "movements": fresh,
                    "known_lines": loaded.known_lines,
                    "rejected": [asdict(one) for one in loaded.problems],
                    "notes": list(loaded.notes),
                    "lots": lots,
                }
            )
        case Format.CSV:
            output.print_csv(lots, LOT_COLUMNS)
        case Format.TABLE if 0 < len(lots) <= _MOST_LOTS and fresh:
            columns = {"place": N_("place"), "sku": N_("product"), "size": N_("size"), "packaging": N_("pot")}
            columns |= {"before": N_("before"), "after": N_("after")}
            output.print_table(lots, columns, droppable=("size", "packaging", "sku"))
        case Format.TABLE:
            pass
    for note in loaded.notes:
        output.tell(_("Note: {note}.").format(note=told(note)))
    for one in loaded.problems[:_MOST_PROBLEMS]:
        output.report_problem(Sentence("line {line}: {problem}", line=one.line, problem=one.problem))
    if len(loaded.problems) > _MOST_PROBLEMS:
        output.tell(
            _("… and {n} more; --format json lists all.").format(
                n=number(len(loaded.problems) - _MOST_PROBLEMS)
            )
        )
    if way.output_format is Format.TABLE:
        output.say(_summary(loaded, fresh, dry_run=way.dry_run))


LOT_COLUMNS = ("place", "product", "sku", "state", "size", "packaging", "container", "before", "after")


def _summary(loaded: Loaded, fresh: int, *, dry_run: bool) -> str:
    rejected = len(loaded.problems)
    lines = n_("{n} line", "{n} lines", loaded.lines).format(n=number(loaded.lines))
    booked = _("{n} would be booked") if dry_run else _("{n} booked")
    moved = n_("({n} movement)", "({n} movements)", fresh).format(n=number(fresh))
    parts = [f"{lines}: {booked.format(n=number(loaded.booked_lines))}" + (f" {moved}" if fresh else "")]
    if loaded.known_lines:
        parts.append(_("{n} booked before").format(n=number(loaded.known_lines)))
    if rejected:
        parts.append(_("{n} rejected").format(n=number(rejected)))
    sentence = ", ".join(parts) + "."
    if rejected and not loaded.booked:
        good = loaded.lines - rejected - loaded.known_lines
        partly = _(" Nothing was booked: correct the file, or book the rest with --partial.")
        sentence += partly if good else _(" Nothing was booked: correct the file.")
    elif dry_run:
        sentence += " " + _("Dry run: nothing was booked.")
    return sentence


def _write_rejects(path: Path, file: ReadFile, loaded: Loaded) -> None:
    """The header and the rejected lines as a file to correct and import by itself."""
    from demeter_cli.errors import SettingsError

    rows = [row for row in file.rows if not row.is_blank]
    by_line = {row.line: row for row in rows}
    try:
        with path.open("w", encoding="utf-8", newline="") as target:
            writer = csv.writer(target)
            writer.writerow(rows[0].cells)
            writer.writerows([_inert(cell) for cell in by_line[one.line].cells] for one in loaded.problems)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error


def _inert(cell: str) -> str:
    """No spreadsheet runs it as a formula; reading takes the mark away again."""
    return f"'{cell}" if cell[:1] in tuple("=+-@") else cell
