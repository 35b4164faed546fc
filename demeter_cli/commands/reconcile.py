"""demeter reconcile: what became of the plants between two counts."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format, UserOption
from demeter_cli.language import _

if TYPE_CHECKING:
    from db.reconciling import Period


Month = Annotated[
    str | None, typer.Option(help="2025-09. Default: the last month that is over.", metavar="MONTH")
]
Start = Annotated[
    str | None, typer.Option("--from", help="The first day of another period: 2025-07-01.", metavar="DAY")
]
End = Annotated[
    str | None, typer.Option("--to", help="Its last day: 2025-09-30. Default: today.", metavar="DAY")
]
Places = Annotated[
    list[str] | None, typer.Option(help="Only this place, bed or bay; may be given several times.")
]
Post = Annotated[bool, typer.Option("--post", help="Book the sales and losses that are inferred.")]
Gains = Annotated[
    bool, typer.Option("--accept-gains", help="With --post: book also what was found too many.")
]
Why = Annotated[bool, typer.Option("--why", help="Say of sales too what else may have become of the plants.")]
Sales = Annotated[
    list[Path] | None,
    typer.Option(help="Compare with a file of the client's sales; may be given several times."),
]
Strict = Annotated[bool, typer.Option("--strict", help="With --sales: stop if any row is rejected.")]


def reconcile(
    ctx: typer.Context,
    month: Month = None,
    start: Start = None,
    end: End = None,
    place: Places = None,
    post: Post = False,
    gains: Gains = False,
    why: Why = False,
    sales: Sales = None,
    strict: Strict = False,
    user: UserOption = None,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
) -> None:
    """Print what was counted against what was expected, and what is taken to be sold.

    A period is answered for by the last count of each lot in it, against the last one before it; what moved
    between those two photos is what counts, whatever the calendar says. docs/month-end.md explains the
    verdicts. Nothing changes without --post; with it, running again changes nothing either.

    The exit code is 9 if anything needs an explanation: a gain, a loss of what is not sold, plants that were
    replaced, a line that was posted otherwise; with --sales, a contradiction or a row that cannot be read.

    Example: demeter reconcile --month 2025-09 --place N01
    """
    from demeter_cli.declared import check_files, print_sales
    from demeter_cli.reconciled import Asked, Reconciling, print_report
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    zone = ZoneInfo(settings.timezone)
    period = chosen_period(month, start, end, dt.datetime.now(zone))
    if sales and post:
        raise typer.BadParameter(_("compare first, post then: --sales changes nothing"), param_hint="--sales")
    if gains and not post:
        raise typer.BadParameter(_("only with --post"), param_hint="--accept-gains")
    with open_database(settings) as connection:
        asked = Asked(period, tuple(place or ()), zone, gains)
        if sales:
            checked = check_files(connection, asked, sales, strict=strict)
            print_sales(checked, output_format)
            unexplained = checked.unexplained
        else:
            report = Reconciling(connection, settings, asked).run(post=post, user=user)
            print_report(report, output_format, why=why)
            unexplained = report.unexplained
    if unexplained:
        raise typer.Exit(ExitCode.MISMATCH)


def chosen_period(month: str | None, start: str | None, end: str | None, now: dt.datetime) -> Period:
    """By the site's clock, whose zone `now` has. The default is the last month that is over."""
    from db.reconciling import Period

    if month is not None and (start or end):
        raise typer.BadParameter(_("give a month, or --from and --to"), param_hint="--month")
    if start is None and end is not None:
        raise typer.BadParameter(_("--to needs --from"), param_hint="--to")
    if start is not None:
        first, last = _day(start, "--from"), now.date() if end is None else _day(end, "--to")
        following = last + dt.timedelta(days=1)
    else:
        first = _month(month) if month else (now.date().replace(day=1) - dt.timedelta(days=1)).replace(day=1)
        following = (first + dt.timedelta(days=32)).replace(day=1)
    if first > now.date():
        raise typer.BadParameter(
            _("{first} is still to come").format(first=first), param_hint="--from" if start else "--month"
        )
    if following <= first:
        raise typer.BadParameter(
            _("it ends before it begins, on {first}").format(first=first), param_hint="--to"
        )
    begin, stop = (dt.datetime.combine(day, dt.time(), now.tzinfo) for day in (first, following))
    return Period(begin.astimezone(dt.UTC), stop.astimezone(dt.UTC))


def _month(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text, "%Y-%m").date()
    except ValueError as error:
        raise typer.BadParameter(
            _("{text!r} is no month like 2025-09").format(text=text), param_hint="--month"
        ) from error


def _day(text: str, option: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            _("{text!r} is no day like 2025-09-30").format(text=text), param_hint=option
        ) from error
