"""demeter model audit: count pieces of photos by hand, and correct what the machine counts."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from demeter_cli.asking import confirm
from demeter_cli.formats import Format
from demeter_cli.language import Language, speaking

if TYPE_CHECKING:
    from db.audits import AuditRow
    from pipeline.audit.ratio import Bias

app = typer.Typer(no_args_is_help=True, help="Correct counts by counting some of the photos by hand.")

Code = Annotated[str, typer.Argument(help="Code of the audit, such as AUD-2026-11-24-01.")]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]
LanguageOption = Annotated[
    Language | None, typer.Option("--lang", help="Language of the sheet (default: that of the settings).")
]


@app.callback()
def audit() -> None:
    """Correct counts by counting some of the photos by hand. docs/audit.md explains it."""


@app.command("start")
def start(
    ctx: typer.Context,
    place: Annotated[str | None, typer.Option(help="Only photos of this place, bed or bay.")] = None,
    product: Annotated[str | None, typer.Option(help="Only photos of this product: its SKU.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only photos taken on this day (2026-03-31) or later.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Only photos taken on this day or earlier.")] = None,
    tiles: Annotated[int, typer.Option(min=1, max=500, help="Pictures to count by hand (default: 30).")] = 30,
    seed: Annotated[int | None, typer.Option(min=0, help="Draw the same tiles again.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the sheet (default: named after the audit, here).")
    ] = None,
    lang: LanguageOption = None,
) -> None:
    """Draw tiles from the counted photos and write a sheet to print and count.

    Example: demeter model audit start --product MAM-BOC-001
    """
    from db.audit_photos import Wanted
    from demeter_cli import auditing, output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    wanted = Wanted(place, product, _day(since, "--since"), _day(until, "--until"))
    settings = load_settings(ctx.obj)
    with open_database(settings) as connection, speaking(lang):
        drawn, page = auditing.start(connection, settings, auditing.Draw(wanted, tiles, seed), out)
    source = "one photo" if drawn.photos == 1 else f"{drawn.photos} photos"
    output.say(f"{drawn.code}: {drawn.tiles} tiles from {source}, seed {drawn.seed}.")
    output.say(f"Print and count: {page}", wrap=False)
    output.say(f"Then: demeter model audit record {drawn.code} {page.with_name('counts.csv')}", wrap=False)


def _day(text: str | None, option: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no day like 2026-03-31", param_hint=option) from error


@app.command("sheet")
def sheet(
    ctx: typer.Context,
    code: Code,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the sheet (default: named after the audit, here).")
    ] = None,
    lang: LanguageOption = None,
) -> None:
    """Write the sheet of an audit again, for a paper that was lost or another language."""
    from db.audits import named
    from demeter_cli import auditing, output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection, speaking(lang):
        audit = named(connection, code)
        page = auditing.write_sheet(connection, settings, audit, out or Path(audit.code))
    output.say(f"Print and count: {page}", wrap=False)


@app.command("record")
def record(
    ctx: typer.Context,
    code: Code,
    file: Annotated[
        Path | None, typer.Argument(help="The filled-in counts.csv; without it you are asked.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who counted (default: the user who acts).")] = None,
) -> None:
    """Take the hand counts back: all of a file or, if a line cannot be meant, nothing.

    Tiles left blank take no part. Without FILE each tile is asked for; every answer is kept, Ctrl-C stops,
    and the same command goes on.

    Example: demeter model audit record AUD-2026-11-24-01 counts.csv
    """
    from db.acting import email_of
    from db.audits import close_sheet, named, open_for_counts, tiles_of
    from demeter_cli import auditing, output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import COUNTERS, actor, open_database

    settings = load_settings(ctx.obj)
    if file is None and not sys.stdin.isatty():
        raise typer.BadParameter("no terminal to ask at: name the file of counts", param_hint="FILE")
    data = _content(file) if file else b""
    with open_database(settings) as connection:
        audit = named(connection, code)
        open_for_counts(audit, dt.datetime.now(dt.UTC))
        rows = tiles_of(connection, audit)
        by = by or email_of(connection, actor(connection, settings, *COUNTERS))
        connection.rollback()
        if file:
            auditing.record_file(connection, audit, rows, (data, by))
        else:
            auditing.ask(connection, audit, rows, by)
            with connection.begin():
                close_sheet(connection, audit)
        audit = named(connection, code)
        missing = [row.number for row in tiles_of(connection, audit) if not row.count.is_counted]
    if missing:
        who = (
            "one tile is blank and takes" if len(missing) == 1 else f"{len(missing)} tiles are blank and take"
        )
        output.tell(f"{who} no part: {', '.join(map(str, missing))}.")
    output.say(f"{audit.code}: {audit.counted} of {audit.tiles} tiles are recorded.")
    output.say(f"Then: demeter model audit apply {audit.code} --dry-run", wrap=False)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="FILE") from error


@app.command("apply")
def apply(
    ctx: typer.Context,
    code: Code,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Apply factors too that may be chance, or are too large.")
    ] = False,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Correct the counts from now on by what the hand counts say, until the audit expires.

    Counts already booked stay as they are. A factor that may well be 1 is left out, and so is one of fewer
    than ten tiles.

    Example: demeter model audit apply AUD-2026-11-24-01 --dry-run
    """
    from db.audits import named, tiles_of
    from db.corrections import apply_audit
    from db.errors import AuditRefused
    from demeter_cli import auditing, output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import DECIDERS, actor, open_database
    from pipeline.audit.ratio import biases

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection:
        audit = named(connection, code)
        tiles = tiles_of(connection, audit)
        user = actor(connection, settings, *DECIDERS)
        connection.rollback()
        _require_ready(audit)
        found = biases(row.count for row in tiles)
        rows = auditing.bias_rows(found, tiles)
        _print_biases(rows, output_format, f"{audit.code}: plants by hand for each by machine")
        chosen = [(bias, bool(bias.doubt)) for bias in found if not _obstacle(bias, force)]
        if not chosen:
            raise AuditRefused(f"{audit.code}: nothing to apply; {_obstacle(found[0], force)}")
        until = settings.today(audit.expires_at)
        if dry_run:
            output.tell(f"{len(chosen)} of {len(found)} would be applied until {until}. Nothing was done.")
            return
        what = "one product" if len(chosen) == 1 else f"{len(chosen)} products and seasons"
        confirm(f"Correct counts of {what} until {until}?", yes=yes)
        with connection.begin():
            apply_audit(connection, audit, chosen, user)
    output.tell(f"{audit.code} corrects counts from now on, until {until}.")


def _require_ready(audit: AuditRow) -> None:
    """Raises AuditRefused for an audit of which no correction can be made."""
    from db.audits import open_for_counts
    from db.errors import AuditRefused

    open_for_counts(audit, dt.datetime.now(dt.UTC))
    if audit.status != "recorded":
        raise AuditRefused(
            f"{audit.code} has no hand counts yet: `demeter model audit record {audit.code} counts.csv`"
        )


def _obstacle(bias: Bias, force: bool) -> str | None:
    if bias.refusal:
        return bias.refusal
    return f"{bias.doubt} (--force applies it all the same)" if bias.doubt and not force else None


def _print_biases(rows: list[dict[str, Any]], output_format: Format, title: str) -> None:
    from demeter_cli import output
    from pipeline.audit.records import Season

    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(rows[0]) if rows else ())
        case Format.TABLE:
            shown = [
                {
                    **row,
                    "season": Season(row["season"]).months,
                    "factor": _figure(row["factor"]),
                    "standard_error": _figure(row["standard_error"]),
                    "interval": f"{_figure(row['low'])}–{_figure(row['high'])}",
                }
                for row in rows
            ]
            columns = {
                "product": "product",
                "season": "season",
                "tiles": "tiles",
                "machine": "machine",
                "hand": "hand",
                "factor": "factor",
                "standard_error": "± s.e.",
                "interval": "90% range",
            }
            figures = ("factor", "standard_error", "interval")
            droppable = ("machine", "hand", "standard_error", "tiles", "interval")
            output.print_table(shown, columns, title=title, figures=figures, droppable=droppable)
            for row in rows:
                if row["refusal"] or row["doubt"]:
                    months = Season(row["season"]).months
                    output.say(f"{row['product']} ({months}): {row['refusal'] or row['doubt']}")


def _figure(number: float | None) -> str:
    return "?" if number is None else f"{number:.3f}"


@app.command("withdraw")
def withdraw(
    ctx: typer.Context,
    code: Code,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """End an audit and its corrections. Counts that were corrected stay as they were booked."""
    from db.audits import named
    from db.corrections import withdraw as end
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import DECIDERS, actor, open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection:
        audit = named(connection, code)
        connection.rollback()
        confirm(f"Withdraw {audit.code}?", yes=yes)
        with connection.begin():
            actor(connection, settings, *DECIDERS)
            ended = end(connection, audit)
    what = "one correction" if ended == 1 else f"{ended} corrections"
    output.say(f"{audit.code} is withdrawn; {what} ended. Counts already booked stay.")


@app.command("list")
def list_audits(ctx: typer.Context, output_format: FormatOption = Format.TABLE) -> None:
    """List the audits, newest first."""
    from db.audits import audits
    from demeter_cli import auditing, output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    now = dt.datetime.now(dt.UTC)
    with open_database(load_settings(ctx.obj)) as connection:
        rows = [auditing.audit_dict(row, now) for row in audits(connection)]
    columns = {
        "audit": "audit",
        "status": "status",
        "counted": "counted",
        "tiles": "tiles",
        "photos": "photos",
        "created_at": "drawn",
        "expires_at": "expires",
    }
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(columns))
        case Format.TABLE if rows:
            output.print_table(rows, columns, droppable=("photos", "created_at", "expires_at", "tiles"))
        case Format.TABLE:
            output.say("No audit yet: `demeter model audit start` draws one.")


@app.command("show")
def show(ctx: typer.Context, code: Code, output_format: FormatOption = Format.TABLE) -> None:
    """Show an audit: its tiles and, once they are counted, what follows from them."""
    from db.audits import named, tiles_of
    from db.corrections import corrections
    from demeter_cli import auditing, output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database
    from pipeline.audit.ratio import biases

    with open_database(load_settings(ctx.obj)) as connection:
        audit = named(connection, code)
        tiles = tiles_of(connection, audit)
        applied = [auditing.correction_dict(row) for row in corrections(connection, audit.code)]
    counted = audit.recorded
    rows = [auditing.tile_dict(row, counted=counted) for row in tiles]
    found = auditing.bias_rows(biases(row.count for row in tiles), tiles) if counted else []
    about = auditing.audit_dict(audit, dt.datetime.now(dt.UTC))
    match output_format:
        case Format.JSON:
            output.print_json({**about, "biases": found, "corrections": applied, "tile_counts": rows})
        case Format.CSV:
            output.print_csv(rows, tuple(rows[0]))
        case Format.TABLE:
            _print_audit(audit, rows, found, applied)


def _print_audit(
    audit: AuditRow, tiles: list[dict[str, Any]], found: list[dict[str, Any]], applied: list[dict[str, Any]]
) -> None:
    from demeter_cli import output
    from pipeline.audit.records import Season

    columns = {"tile": "tile", "place": "place", "hand": "hand", "machine": "machine", "remark": "remark"}
    title = f"{audit.code}: {audit.status}, {audit.counted} of {audit.tiles} tiles counted"
    output.print_table(tiles, columns, title=title, droppable=("remark",))
    if not found:
        output.say("What the machine counted is shown once the hand counts are recorded.")
        return
    output.say("")
    _print_biases(found, Format.TABLE, "Plants by hand for each by machine")
    for row in applied:
        end = "withdrawn" if row["withdrawn_at"] else f"until {row['valid_until']:%Y-%m-%d}"
        months = Season(row["season"]).months
        output.say(f"Applied: {row['product']} ({months}) ×{row['factor']:.3f}, {end}")
