"""demeter period: close months, and prove that closed ones are as they were."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from demeter_cli.asking import confirm
from demeter_cli.formats import Format, UserOption
from demeter_cli.language import N_, _, n_
from pipeline.words import Sentence

if TYPE_CHECKING:
    from pathlib import Path

    from db.periods import Closed

app = typer.Typer(no_args_is_help=True)
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]
SHORTEST_KEY = 16


@app.callback()
def period() -> None:
    """Close months, and prove that they stay as they were.

    Example: demeter period close 2026-03
    """


@app.command("close")
def close(
    ctx: typer.Context,
    month: Annotated[
        str | None, typer.Argument(help="2026-03. Default: the last month that is over.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Say what would be closed, and do nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Leave counts that nobody decided on undecided for good.")
    ] = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Close a month, and every open one before it, for good: nothing dated in it is booked any more.

    What turns out later is booked in the open month. Each month is sealed by a hash over its movements, its
    counts and their evidence, and over the seal before it.

    Example: demeter period close 2026-03
    """
    from db.engine import retry
    from db.errors import LedgerRefused
    from db.periods import close as close_month
    from db.periods import open_months
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import DECIDERS, actor, open_database

    settings = load_settings(ctx.obj)
    zone, key = ZoneInfo(settings.timezone), read_key(settings.period_key)
    over = _last_month(settings.today(dt.datetime.now(dt.UTC)))
    last = parse_month(month) if month else over
    if last > over:
        raise LedgerRefused(Sentence("{month:%Y-%m} is not over yet", month=last))
    with open_database(settings) as connection:
        actor(connection, settings, *DECIDERS, user=user)
        months = open_months(connection, last, zone) or [last]
        connection.rollback()
        named = f"{months[0]:%Y-%m}"
        if months[1:]:
            named = _("{first} to {last}").format(first=named, last=f"{months[-1]:%Y-%m}")
        if dry_run:
            output.say(_("{named} would be closed. Nothing was done.").format(named=named))
            return
        confirm(_("Close {named} for good?").format(named=named), yes=yes)

        def close_all() -> list[Closed]:
            who = actor(connection, settings, *DECIDERS, user=user)
            return [close_month(connection, one, zone, who, key, undecided=force) for one in months]

        closed = retry(connection, close_all)
    _print_months(closed, zone, output_format)


@app.command("list")
def list_periods(ctx: typer.Context, output_format: FormatOption = Format.TABLE) -> None:
    """List the closed months with their seals. Keep a copy elsewhere: it proves what was closed.

    Example: demeter period list
    """
    from db.periods import closed_months
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    zone = ZoneInfo(settings.timezone)
    with open_database(settings) as connection:
        closed = closed_months(connection)
    _print_months(closed, zone, output_format)


@app.command("verify")
def verify(ctx: typer.Context, output_format: FormatOption = Format.TABLE) -> None:
    """Check that closed months read as when they were closed, to the byte; the exit code tells (0 or 9).

    Example: demeter period verify
    """
    from db.periods import closed_months, damages
    from demeter_cli import output
    from demeter_cli.errors import ExitCode
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    key = read_key(settings.period_key)
    with open_database(settings) as connection:
        months = len(closed_months(connection))
        rows = [asdict(one) | {"month": f"{one.month:%Y-%m}"} for one in damages(connection, key)]
    columns = {"month": N_("month"), "what": N_("what"), "problem": N_("problem")}
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(columns))
        case Format.TABLE if rows:
            output.print_table(rows, columns)
        case Format.TABLE:
            output.say(_intact(months))
    if rows:
        raise typer.Exit(ExitCode.MISMATCH)


def _print_months(closed: list[Closed], zone: ZoneInfo, output_format: Format) -> None:
    from demeter_cli import output

    rows: list[dict[str, Any]] = [
        output.local(asdict(one), zone) | {"month": f"{one.month:%Y-%m}"} for one in closed
    ]
    columns = {
        "month": N_("month"),
        "movements": N_("movements"),
        "counts": N_("counts"),
        "evidence": N_("evidence"),
        "closed_at": N_("closed"),
        "closed_by": N_("by"),
        "hash": N_("seal"),
    }
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, (*columns, "signed"))
        case Format.TABLE if rows:
            shown = [
                {
                    **row,
                    "hash": row["hash"][:12] + (" " + _("signed") if row["signed"] else ""),
                }
                for row in rows
            ]
            droppable = ("closed_by", "closed_at", "evidence", "counts")
            output.print_table(shown, columns, droppable=droppable)
        case Format.TABLE:
            output.say(_("No month is closed: `demeter period close` closes the last that is over."))


def _intact(months: int) -> str:
    if months == 0:
        return _("No month is closed.")
    intact = n_(
        "The one closed month reads as when closed.", "All {n} closed months read as when closed.", months
    )
    return intact.format(n=months)


def parse_month(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text, "%Y-%m").date()
    except ValueError as error:
        raise typer.BadParameter(
            _("{text!r} is no month like 2026-03").format(text=text), param_hint="MONTH"
        ) from error


def read_key(path: Path | None) -> bytes | None:
    """The key that signs. Raises SettingsError where others may read it."""
    from demeter_cli.errors import SettingsError

    if path is None:
        return None
    try:
        mode, key = path.stat().st_mode, path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"the period_key {path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise SettingsError(f"the period_key {path} can be read by others: `chmod 600 {path}`")
    if len(key) < SHORTEST_KEY:
        raise SettingsError(f"the period_key {path} has {len(key)} bytes; {SHORTEST_KEY} are the least")
    return key


def _last_month(today: dt.date) -> dt.date:
    return (today.replace(day=1) - dt.timedelta(days=1)).replace(day=1)
