"""demeter report summary, trend, mortality, stale, photos: what the books say, in tables and files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo

import typer

from demeter_cli.language import _
from demeter_cli.reporting import ReportFormat

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.reporting.frame import Report, Wanted

Group = Literal["bay", "bed", "place", "product", "family", "category", "packaging", "size", "state"]
GroupOption = Annotated[Group, typer.Option("--group-by", help="What a line is about.")]
PlaceOption = Annotated[
    list[str] | None, typer.Option("--place", help="Only this place, bed or bay; may be repeated.")
]
ProductOption = Annotated[
    list[str] | None, typer.Option("--product", help="Only this SKU, family or category; may be repeated.")
]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="From this day or moment on (default: a year before the end).")
]
UntilOption = Annotated[
    str | None, typer.Option("--until", help="To the end of this day, or to this moment (default: now).")
]
FormatOption = Annotated[
    ReportFormat | None,
    typer.Option("--format", "-f", help="How to write it (default: by the name of --out, else a table)."),
]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="Write it into this file.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the file if it is there already.")]
ExcelOption = Annotated[
    bool, typer.Option("--excel", help="CSV as Excel in Spanish reads it: semicolons and decimal commas.")
]


@dataclass(frozen=True, slots=True)
class How:
    """Where a report goes."""

    format: ReportFormat | None
    out: Path | None
    force: bool
    excel: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks of a report, still in words."""

    places: list[str] | None = None
    products: list[str] | None = None
    since: str | None = None
    until: str | None = None
    group: str = "bay"
    step: str = "month"
    days: int = 30


def summary(
    ctx: typer.Context,
    group: GroupOption = "bay",
    place: PlaceOption = None,
    product: ProductOption = None,
    as_of: Annotated[
        str | None, typer.Option(help="The stock at the end of this day, or at this moment.")
    ] = None,
    output_format: FormatOption = None,
    out: OutOption = None,
    force: ForceOption = False,
    excel: ExcelOption = False,
) -> None:
    """Sum up the stock by bay, product or what else, with how sure it is and what makes it unsure.

    Example: demeter report summary --group-by product --place N01
    """
    from db.reporting.stock_reports import summary as report

    asked = Asked(place, product, until=as_of, group=group)
    _write(ctx, report, asked, How(output_format, out, force, excel))


def trend(
    ctx: typer.Context,
    step: Annotated[
        Literal["day", "week", "month"], typer.Option(help="How far apart the lines are.")
    ] = "month",
    place: PlaceOption = None,
    product: ProductOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    output_format: FormatOption = None,
    out: OutOption = None,
    force: ForceOption = False,
    excel: ExcelOption = False,
) -> None:
    """Show how the stock changed, rebuilt from the ledger as it stands now.

    Example: demeter report trend --step week --since 2026-10-01
    """
    from db.reporting.stock_reports import trend as report

    asked = Asked(place, product, since, until, step=step)
    _write(ctx, report, asked, How(output_format, out, force, excel))


def mortality(
    ctx: typer.Context,
    group: GroupOption = "bay",
    place: PlaceOption = None,
    product: ProductOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    output_format: FormatOption = None,
    out: OutOption = None,
    force: ForceOption = False,
    excel: ExcelOption = False,
) -> None:
    """Show which share of the plants died, and of what: deaths by what stood there and what came in.

    Example: demeter report mortality --group-by product --since 2026-01-01
    """
    from db.reporting.stock_reports import mortality as report

    asked = Asked(place, product, since, until, group=group)
    _write(ctx, report, asked, How(output_format, out, force, excel))


def stale(
    ctx: typer.Context,
    days: Annotated[int, typer.Option(min=0, help="Days without a count from which a place is listed.")] = 30,
    place: PlaceOption = None,
    output_format: FormatOption = None,
    out: OutOption = None,
    force: ForceOption = False,
    excel: ExcelOption = False,
) -> None:
    """List the places that nobody counted for a while, the longest ago first.

    Example: demeter report stale --days 45
    """
    from db.reporting.visits import stale as report

    _write(ctx, report, Asked(place, days=days), How(output_format, out, force, excel))


def photos(
    ctx: typer.Context,
    place: PlaceOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    output_format: FormatOption = None,
    out: OutOption = None,
    force: ForceOption = False,
    excel: ExcelOption = False,
) -> None:
    """List the photos that were taken in a period, with what became of each.

    Example: demeter report photos --since 2026-11-01
    """
    from db.reporting.visits import photo_log

    _write(ctx, photo_log, Asked(place, since=since, until=until), How(output_format, out, force, excel))


def list_reports(ctx: typer.Context) -> None:
    """List all reports with what each tells.

    Example: demeter report list
    """
    from demeter_cli import output

    group = ctx.parent.command if ctx.parent else ctx.command
    commands = getattr(group, "commands", {})
    rows = [
        {"report": name, "what": _((command.help or "").partition("\n")[0])}
        for name, command in sorted(commands.items())
    ]
    output.print_table(rows, {"report": _("report"), "what": _("what it tells")})


def _write(ctx: typer.Context, make: Callable[[Connection, Wanted], Report], asked: Asked, how: How) -> None:
    from demeter_cli.reporting import format_of, write
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    zone = ZoneInfo(settings.timezone)
    try:
        chosen = format_of(how.out, how.format)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--out") from None
    wanted = _wanted(asked, zone)
    with open_database(settings) as connection:
        try:
            report = make(connection, wanted)
        except ValueError as error:  # more steps than anybody reads
            raise typer.BadParameter(str(error), param_hint="--step") from None
    write(report, zone, (chosen, how.excel), (how.out, how.force))


def _wanted(asked: Asked, zone: ZoneInfo) -> Wanted:
    """Raises BadParameter."""
    from db.reporting.frame import Wanted
    from demeter_cli.commands.report import parse_moment

    now = dt.datetime.now(zone)
    until = min(parse_moment(asked.until, zone, "--until"), now) if asked.until else now
    if asked.since:
        since = parse_moment(asked.since, zone, "--since", start=True)
    else:
        since = until - dt.timedelta(days=365)
    if since >= until:
        raise typer.BadParameter(_("the period ends before it begins"), param_hint="--since")
    return Wanted(
        until,
        since,
        zone,
        tuple(asked.places or ()),
        tuple(asked.products or ()),
        asked.group,
        asked.step,
        asked.days,
    )
