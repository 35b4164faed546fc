"""demeter places config: what grows where, since when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format, UserOption
from demeter_cli.language import N_, _

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from db.place_config import Change
    from db.place_files import PlannedCrop
    from demeter_cli.settings import Settings

app = typer.Typer(no_args_is_help=True)

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]
Places = Annotated[
    list[str], typer.Argument(metavar="PLACE...", help="Places; a bed or bay means all places in it.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")]
Correct = Annotated[
    bool, typer.Option("--correct", help="It was so all the time: mend what is configured, open no new crop.")
]


@app.callback()
def config() -> None:
    """Say what grows at places, and since when. Photos and hand counts are booked under it.

    Example: demeter places config set N01-NORTE-C07 --product MAM-BOC-001
    """


@app.command("set")
def set_(
    ctx: typer.Context,
    places: Places,
    product: Annotated[str, typer.Option(help="SKU of what grows there: MAM-BOC-001.")],
    packaging: Annotated[
        str | None, typer.Option(help="SKU of the pot: MAC-R8-T (default: without a pot).")
    ] = None,
    state: Annotated[str, typer.Option(help="State of the plants.")] = "ADULT",
    size: Annotated[str | None, typer.Option(help="Size of the plants: S, M, L.")] = None,
    area_cm2: Annotated[float | None, typer.Option(help="Usable area of each place, in cm².")] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="Day or moment from which it grows there (default: now).")
    ] = None,
    notes: Annotated[str | None, typer.Option(help="Anything worth knowing.")] = None,
    correct: Correct = False,
    dry_run: DryRun = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Let a new crop grow at places: what was configured ends, and stays in the history.

    Example: demeter places config set N01-NORTE --product MAM-BOC-001 --packaging MAC-R8-T --size M
    """
    from decimal import Decimal

    from db.place_config import Crop, places_within
    from db.place_files import PlannedCrop
    from demeter_cli.settings import load_settings

    settings = load_settings(ctx.obj)
    start = _start(settings, since)
    area = None if area_cm2 is None else Decimal(repr(area_cm2))
    crop = Crop(product, packaging, state, size, area, notes)

    def plan(connection: Connection) -> list[PlannedCrop]:
        return [PlannedCrop(0, place, crop, start) for place in places_within(connection, places)]

    _carry_out(settings, plan, (correct, dry_run, user), output_format)


@app.command("bulk")
def bulk(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or spreadsheet, see docs/places.md.")],
    correct: Correct = False,
    dry_run: DryRun = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Set what grows at many places from a file: all of it, or none if a line is wrong.

    Columns: place, product; and if wanted packaging, state, size, area_cm2, from, notes.

    Example: demeter places config bulk spring.csv --dry-run
    """
    from db.place_files import read_crops
    from demeter_cli.settings import load_settings

    settings = load_settings(ctx.obj)
    now, zone = _start(settings, None), ZoneInfo(settings.timezone)

    def plan(connection: Connection) -> list[PlannedCrop]:
        return read_crops(connection, file, now, zone)

    _carry_out(settings, plan, (correct, dry_run, user), output_format)


@app.command("close")
def close(
    ctx: typer.Context,
    places: Places,
    at: Annotated[str | None, typer.Option(help="Day or moment at which it ends (default: now).")] = None,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Let nothing be configured at places any more. The history stays.

    Example: demeter places config close N01-NORTE-C07
    """
    from db.codes import Codes
    from db.place_config import close_crop, places_within
    from demeter_cli.settings import load_settings
    from demeter_cli.site import DECIDERS, actor, open_database

    settings = load_settings(ctx.obj)
    end = _start(settings, at)
    with open_database(settings) as connection, connection.begin():
        actor(connection, settings, *DECIDERS, user=user)
        codes = Codes.load(connection)
        changes = [close_crop(connection, codes, place, end) for place in places_within(connection, places)]
    _print_changes(changes, output_format, ZoneInfo(settings.timezone))


@app.command("history")
def show_history(
    ctx: typer.Context,
    place: Annotated[
        str | None, typer.Argument(help="Code of a place (default: what is in force everywhere).")
    ] = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Show what was configured at a place from when to when.

    Example: demeter places config history N01-NORTE-C07
    """
    from db.place_config import history
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection:
        rows = history(connection, place)
    shown = [plain(row) for row in rows]
    match output_format:
        case Format.JSON:
            output.print_json(shown)
        case Format.CSV:
            output.print_csv(shown, tuple(plain({})))
        case Format.TABLE:
            print_history(rows, ZoneInfo(settings.timezone))


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration by the names that files use."""
    names = ("place", "product", "packaging", "state", "size", "area_cm2", "valid_from", "valid_to", "notes")
    return {name: row.get(name) for name in names}


def at_site(
    rows: Sequence[Mapping[str, Any]], names: tuple[str, ...], zone: ZoneInfo
) -> list[dict[str, Any]]:
    """The rows with these times as the clock at the site shows them."""

    def local(value: Any) -> Any:
        return value.astimezone(zone) if isinstance(value, dt.datetime) else value

    return [{**row, **{name: local(row[name]) for name in names if name in row}} for row in rows]


def print_history(rows: Sequence[Mapping[str, Any]], zone: ZoneInfo) -> None:
    """With the times of the site."""
    from demeter_cli import output

    if not rows:
        output.say(_("Nothing is configured."))
        return
    local = at_site(rows, ("valid_from", "valid_to"), zone)
    shown = [{**row, "valid_to": row["valid_to"] or _("in force")} for row in local]
    columns = {
        "place": N_("place"),
        "valid_from": N_("from"),
        "valid_to": N_("until"),
        "product": N_("product"),
    }
    columns |= {"packaging": N_("pot"), "size": N_("size"), "state": N_("state"), "notes": N_("notes")}
    output.print_table(shown, columns, droppable=("notes", "state", "size", "valid_to", "packaging"))


def _carry_out(
    settings: Settings,
    plan: Callable[[Connection], list[PlannedCrop]],
    how: tuple[bool, bool, str | None],
    output_format: Format,
) -> None:
    """All of the plan in one transaction, or nothing of it and every problem told."""
    from db.place_files import carry_out
    from demeter_cli import output
    from demeter_cli.site import DECIDERS, actor, open_database

    correct, dry_run, user = how
    with open_database(settings) as connection, connection.begin() as transaction:
        actor(connection, settings, *DECIDERS, user=user)
        changes, problems = carry_out(connection, plan(connection), correct=correct)
        if dry_run or problems:
            transaction.rollback()
    _print_changes(changes, output_format, ZoneInfo(settings.timezone))
    for problem in problems:
        output.report_problem(problem)
    if problems:
        output.tell(
            _("Nothing was changed: {n} of {all} cannot be done.").format(
                n=len(problems), all=len(problems) + len(changes)
            )
        )
        raise typer.Exit(ExitCode.MISMATCH)
    if dry_run:
        output.tell(_("Nothing was changed; without --dry-run it would be."))


def _print_changes(changes: Sequence[Change], output_format: Format, zone: ZoneInfo) -> None:
    from demeter_cli import output

    rows = [
        {
            "place": change.place,
            "action": change.action,
            "before": _words(change.before),
            "after": _words(change.after),
            "since": change.since.astimezone(zone),
        }
        for change in changes
    ]
    match output_format:
        case Format.JSON:
            output.print_json([asdict(change) for change in changes])
        case Format.CSV:
            output.print_csv(rows, ("place", "action", "before", "after", "since"))
        case Format.TABLE if rows:
            columns = {
                "place": N_("place"),
                "action": N_("action"),
                "before": N_("before"),
                "after": N_("after"),
            }
            output.print_table(rows, columns | {"since": N_("since")}, droppable=("since", "before"))
        case Format.TABLE:
            pass


def _words(crop: Any) -> str:
    if crop is None:
        return ""
    parts = (crop.product, crop.packaging, crop.size, crop.state if crop.state != "ADULT" else None)
    return " ".join(part for part in parts if part)


def _start(settings: Settings, text: str | None) -> dt.datetime:
    """A day means its beginning at the site. Raises BadParameter."""
    from db.place_files import parse_start

    zone = ZoneInfo(settings.timezone)
    if text is None:
        return dt.datetime.now(zone)
    try:
        return parse_start(text, zone)
    except ValueError as error:
        raise typer.BadParameter(_("a day or moment {error}").format(error=error)) from error
