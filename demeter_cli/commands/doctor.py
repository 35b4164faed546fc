"""demeter doctor: is all ready for a night alone?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format

if TYPE_CHECKING:
    from pathlib import Path

    from demeter_cli.doctor import Check
    from demeter_cli.settings import Settings

COLUMNS = ("check", "state", "found", "remedy")
STATES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    ctx: typer.Context,
    settings_only: Annotated[
        bool, typer.Option("--settings", help="Print every setting and where its value comes from.")
    ] = False,
    notify: Annotated[
        bool, typer.Option("--notify", help="Send a trial to ping_url, webhook_url and mail_to.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Load no models, and look for no rows that refer to nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only what is not well.")] = False,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
) -> None:
    """Check settings, disks, models, database, clock, partitions, last run and backlog.

    The exit code is 9 if something fails, 0 if all is well or there are only warnings. Nothing is made or
    changed; an embedded database is started for the time being if there is one.

    Example: demeter doctor --quick
    """
    from demeter_cli.settings import load_settings, origins

    if settings_only:
        _print([one.as_row() for one in origins(ctx.obj)], ("setting", "value", "from"), output_format)
        return
    if notify:
        _notify(load_settings(ctx.obj))
        return
    checks = _checks(ctx.obj, quick=quick)
    rows = [
        {"check": one.name, "state": one.state.value, "found": one.found, "remedy": one.remedy}
        for one in checks
        if not quiet or one.state != "ok"
    ]
    if output_format is not Format.TABLE:
        _print(rows, COLUMNS, output_format)
    elif rows:
        _print_checks(rows)
    if any(one.state == "fail" for one in checks):
        raise typer.Exit(ExitCode.MISMATCH)


def _checks(config: Path | None, *, quick: bool) -> list[Check]:
    """All of them; settings that cannot be read are one themselves, and the rest is left out."""
    from demeter_cli import doctor
    from demeter_cli.doctor_database import of_the_database
    from demeter_cli.errors import SettingsError
    from demeter_cli.settings import load_settings

    found: list[Check] = []
    try:
        found += doctor.of_the_program(config)
        settings = load_settings(config)
    except SettingsError as error:
        return [*found, doctor.fail("settings", str(error), "correct it; nothing runs before")]
    found += doctor.of_the_machine(settings)
    if not quick:
        found += doctor.of_the_models(settings)
    found += of_the_database(settings, rows=not quick)
    return found


def _notify(settings: Settings) -> None:
    from demeter_cli import notices, output
    from demeter_cli.errors import SettingsError

    if settings.ping_url is None and settings.webhook_url is None and settings.mail_to is None:
        raise SettingsError("nobody is to be told: set ping_url, webhook_url or mail_to")
    refused = notices.try_out(settings)
    for what in refused:
        output.report_problem(what)
    if refused:
        raise typer.Exit(ExitCode.MISMATCH)
    output.say("Delivered. Look whether it arrived; the ping was sent as a log entry, which alarms nobody.")


def _print_checks(rows: list[dict[str, str]]) -> None:
    """What to do stands below: beside the rest it would get a column of a few letters on a phone."""
    from demeter_cli import output

    output.print_table(rows, {name: name for name in COLUMNS if name != "remedy"})
    for row in rows:
        if row["remedy"]:
            output.say(f"{row['check']}: {row['remedy']}")


def _print(rows: list[dict[str, str]], columns: tuple[str, ...], output_format: Format) -> None:
    from demeter_cli import output

    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, columns)
        case Format.TABLE:
            output.print_table(rows, {name: name for name in columns})
