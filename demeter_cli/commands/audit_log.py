"""demeter audit-log: who changed what."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from demeter_cli.formats import Format
from demeter_cli.language import _

if TYPE_CHECKING:
    from db.audit_log import Entry

LONGEST = 60  # characters of a value in a table; JSON has it whole


def audit_log(
    ctx: typer.Context,
    table: Annotated[
        str | None, typer.Option(help="Only this table, such as products or price_list.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Only the row of this name, such as MAM-BOC-001.")] = None,
    by: Annotated[str | None, typer.Option(help="Only changes by this user: an e-mail address.")] = None,
    since: Annotated[str | None, typer.Option(help="From this day or moment on: 2026-03-31.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to the end of this day, or this moment.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the newest.")] = 50,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
) -> None:
    """Print who changed what outside the stock ledger: catalogue, places, prices, users, settings, decisions.

    Newest first. Nothing can be taken out of it. What was booked is in the ledger itself.

    Example: demeter audit-log --table price_list --since 2026-03-01
    """
    from db.audit_log import Wanted, count, entries
    from demeter_cli import output
    from demeter_cli.commands.report import parse_moment
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    zone = ZoneInfo(settings.timezone)
    wanted = Wanted(
        table,
        key,
        by,
        parse_moment(since, zone, "--since", start=True) if since else None,
        parse_moment(until, zone, "--until") if until else None,
    )
    with open_database(settings) as connection:
        found = entries(connection, wanted, limit)
        there_are = count(connection, wanted)
    match output_format:
        case Format.JSON:
            output.print_json([asdict(one) for one in found])
        case Format.CSV:
            columns = ("id", "changed_at", "user", "login", "action", "table", "key", "change")
            output.print_csv(
                [asdict(one) | {"change": "; ".join(_changes(one, None))} for one in found], columns
            )
        case Format.TABLE if found:
            _print(found, zone)
            if key is None and there_are > len(found):
                output.say(
                    _("The newest {n} of {there_are}; --limit shows more.").format(
                        n=len(found), there_are=there_are
                    )
                )
        case Format.TABLE:
            output.say(_("Nothing was changed that fits."))


def _print(found: list[Entry], zone: ZoneInfo) -> None:
    from demeter_cli import output

    for one in found:
        when = f"{one.changed_at.astimezone(zone):%Y-%m-%d %H:%M}"
        output.say(f"{when}  {one.user or f'({one.login})'}  {one.action} {one.table} {one.key}".rstrip())
        for line in _changes(one, LONGEST):
            output.say(f"    {line}")


def _changes(one: Entry, longest: int | None) -> list[str]:
    """`name: old → new` of each column; of a row that is new or gone, what it held."""

    def cut(value: str | None) -> str:
        shown = value or "nothing"
        return shown if longest is None or len(shown) <= longest else shown[: longest - 1] + "…"

    if one.before is not None and one.after is not None:
        return [f"{name}: {cut(one.before.get(name))} → {cut(one.after.get(name))}" for name in one.after]
    held = one.after or one.before or {}
    told = [f"{name} {cut(value)}" for name, value in held.items() if value and name != "id"]
    return [", ".join(told)] if told else []
