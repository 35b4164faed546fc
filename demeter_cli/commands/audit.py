"""demeter model audit: count pieces of photos by hand, and correct what the machine counts."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demeter_cli.asking import confirm
from demeter_cli.formats import Format
from demeter_cli.language import N_, Language, _, day, n_, speaking
from pipeline.words import Sentence

if TYPE_CHECKING:
    from db.audits import AuditRow
    from pipeline.audit.ratio import Bias

app = typer.Typer(no_args_is_help=True)

Code = Annotated[str, typer.Argument(help="Code of the audit, such as AUD-2026-11-24-01.")]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]
LanguageOption = Annotated[
    Language | None, typer.Option("--lang", help="Language of the sheet (default: that of the settings).")
]


@app.callback()
def audit() -> None:
    """Correct counts by counting some of the photos by hand. docs/audit.md explains it.

    Example: demeter model audit start --product MAM-BOC-001
    """


@app.command("start")
def start(
    ctx: typer.Context,
    place: Annotated[str | None, typer.Option(help="Only photos of this place, bed or bay.")] = None,
    product: Annotated[
        str | None,
        typer.Option(help="Only photos of this product: its SKU."),
    ] = None,
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
    drew = n_(
        "{code}: {tiles} tiles from one photo, seed {seed}.",
        "{code}: {tiles} tiles from {n} photos, seed {seed}.",
        drawn.photos,
    )
    output.say(drew.format(code=drawn.code, tiles=drawn.tiles, n=drawn.photos, seed=drawn.seed))
    output.say(_("Print and count: {page}").format(page=page), wrap=False)
    output.say(
        _("Then: demeter model audit record {code} {file}").format(
            code=drawn.code, file=page.with_name("counts.csv")
        ),
        wrap=False,
    )


def _day(text: str | None, option: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError as error:
        raise typer.BadParameter(
            _("{text!r} is no day like 2026-03-31").format(text=text), param_hint=option
        ) from error


@app.command("sheet")
def sheet(
    ctx: typer.Context,
    code: Code,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the sheet (default: named after the audit, here).")
    ] = None,
    lang: LanguageOption = None,
) -> None:
    """Write the sheet of an audit again, for a paper that was lost or another language.

    Example: demeter model audit sheet AUD-2026-11-24-01 --lang es
    """
    from db.audits import named
    from demeter_cli import auditing, output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection, speaking(lang):
        audit = named(connection, code)
        page = auditing.write_sheet(connection, settings, audit, out or Path(audit.code))
    output.say(_("Print and count: {page}").format(page=page), wrap=False)


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
        raise typer.BadParameter(_("no terminal to ask at: name the file of counts"), param_hint="FILE")
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
        blank = n_(
            "one tile is blank and takes no part: {list}.",
            "{n} tiles are blank and take no part: {list}.",
            len(missing),
        )
        output.tell(blank.format(n=len(missing), list=", ".join(map(str, missing))))
    output.say(
        _("{code}: {counted} of {tiles} tiles are recorded.").format(
            code=audit.code, counted=audit.counted, tiles=audit.tiles
        )
    )
    output.say(_("Then: demeter model audit apply {code} --dry-run").format(code=audit.code), wrap=False)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(
            _("{file} cannot be read: {strerror}").format(file=file, strerror=error.strerror),
            param_hint="FILE",
        ) from error


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
    from demeter_cli import audit_tables, auditing, output
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
        title = _("{code}: plants by hand for each by machine").format(code=audit.code)
        audit_tables.print_biases(rows, output_format, title)
        chosen = [(bias, bool(bias.doubt)) for bias in found if not _obstacle(bias, force)]
        if not chosen:
            why = _obstacle(found[0], force)
            raise AuditRefused(Sentence("{code}: nothing to apply; {why}", code=audit.code, why=why))
        until = settings.today(audit.expires_at)
        if dry_run:
            told = _("{n} of {all} would be applied until {until}. Nothing was done.")
            output.tell(told.format(n=len(chosen), all=len(found), until=day(until)))
            return
        confirm(_question(len(chosen), day(until)), yes=yes)
        with connection.begin():
            apply_audit(connection, audit, chosen, user)
    output.tell(
        _("{code} corrects counts from now on, until {until}.").format(code=audit.code, until=day(until))
    )


def _question(corrections: int, until: str) -> str:
    return n_(
        "Correct counts of one product until {until}?",
        "Correct counts of {n} products and seasons until {until}?",
        corrections,
    ).format(n=corrections, until=until)


def _require_ready(audit: AuditRow) -> None:
    """Raises AuditRefused for an audit of which no correction can be made."""
    from db.audits import open_for_counts
    from db.errors import AuditRefused

    open_for_counts(audit, dt.datetime.now(dt.UTC))
    if audit.status != "recorded":
        raise AuditRefused(
            Sentence(
                "{code} has no hand counts yet: `demeter model audit record {code} counts.csv`",
                code=audit.code,
            )
        )


def _obstacle(bias: Bias, force: bool) -> str | None:
    if bias.refusal:
        return bias.refusal
    return (
        Sentence("{doubt} (--force applies it all the same)", doubt=bias.doubt)
        if bias.doubt and not force
        else None
    )


@app.command("withdraw")
def withdraw(
    ctx: typer.Context,
    code: Code,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """End an audit and its corrections. Counts that were corrected stay as they were booked.

    Example: demeter model audit withdraw AUD-2026-11-24-01
    """
    from db.audits import named
    from db.corrections import withdraw as end
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import DECIDERS, actor, open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection:
        audit = named(connection, code)
        connection.rollback()
        confirm(_("Withdraw {code}?").format(code=audit.code), yes=yes)
        with connection.begin():
            actor(connection, settings, *DECIDERS)
            ended = end(connection, audit)
    gone = n_(
        "{code} is withdrawn; one correction ended. Counts already booked stay.",
        "{code} is withdrawn; {n} corrections ended. Counts already booked stay.",
        ended,
    )
    output.say(gone.format(code=audit.code, n=ended))


@app.command("list")
def list_audits(ctx: typer.Context, output_format: FormatOption = Format.TABLE) -> None:
    """List the audits, newest first.

    Example: demeter model audit list
    """
    from db.audits import audits
    from demeter_cli import auditing, output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    now = dt.datetime.now(dt.UTC)
    with open_database(load_settings(ctx.obj)) as connection:
        rows = [auditing.audit_dict(row, now) for row in audits(connection)]
    columns = {
        "audit": N_("audit"),
        "status": N_("status"),
        "counted": N_("counted"),
        "tiles": N_("tiles"),
        "photos": N_("photos"),
        "created_at": N_("drawn"),
        "expires_at": N_("expires"),
    }
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(columns))
        case Format.TABLE if rows:
            output.print_table(rows, columns, droppable=("photos", "created_at", "expires_at", "tiles"))
        case Format.TABLE:
            output.say(_("No audit yet: `demeter model audit start` draws one."))


@app.command("show")
def show(ctx: typer.Context, code: Code, output_format: FormatOption = Format.TABLE) -> None:
    """Show an audit: its tiles and, once they are counted, what follows from them.

    Example: demeter model audit show AUD-2026-11-24-01
    """
    from db.audits import named, tiles_of
    from db.corrections import corrections
    from demeter_cli import audit_tables, auditing, output
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
            audit_tables.print_audit(audit, rows, found, applied)
