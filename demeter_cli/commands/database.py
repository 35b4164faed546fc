"""demeter db: look after the database."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Annotated

import typer

from demeter_cli.commands.backup import backup, restore
from demeter_cli.commands.maintain import maintain
from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format

app = typer.Typer(no_args_is_help=True)
app.command("maintain")(maintain)
app.command("backup")(backup)
app.command("restore")(restore)


@app.callback()
def database() -> None:
    """Look after the database.

    Example: demeter db check
    """


@app.command("upgrade")
def upgrade(ctx: typer.Context) -> None:
    """Create the tables, or bring them to this program's version. Safe to repeat.

    Example: demeter db upgrade
    """
    from db import migrate
    from db.engine import connect
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import database_url

    with database_url(load_settings(ctx.obj)) as url:
        with connect(url) as connection:
            before = migrate.current(connection)
        migrate.upgrade(url)
        after = migrate.head()
    if before == after:
        output.say(f"The database is up to date ({after}).")
    else:
        output.say(f"The database was upgraded from {before or 'nothing'} to {after}.")


@app.command("current")
def current(ctx: typer.Context) -> None:
    """Print the version of the tables and the newest that this program knows.

    Example: demeter db current
    """
    from db import migrate
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    with open_database(load_settings(ctx.obj), prepared=False) as connection:
        output.say(f"database {migrate.current(connection) or 'empty'}, program {migrate.head()}")


@app.command("check")
def check(
    ctx: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing when all is well.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the search for rows that refer to nothing.")
    ] = False,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
) -> None:
    """Check that the database is there, fits this program and keeps its own rules; the exit code tells.

    It names triggers, constraints and functions that are missing, switched off or replaced, rows that refer
    to nothing, partitions that are missing, and rights that the three database roles lack or should not have.
    The figures of the books are checked by `demeter stock verify`.

    Example: demeter db check
    """
    from db import migrate
    from db.engine import server_version
    from db.health import Severity, examine
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    with open_database(load_settings(ctx.obj), prepared=False) as connection:
        migrate.check(connection)
        version = ".".join(map(str, server_version(connection)))
        found = examine(connection, dt.datetime.now(dt.UTC), rows=not quick)
    rows = [asdict(one) for one in found]
    damaged = sum(one.severity is Severity.DAMAGE for one in found)
    if output_format is Format.JSON:
        output.print_json(rows)
    elif output_format is Format.CSV:
        output.print_csv(rows, ("severity", "about", "sentence"))
    else:
        for one in found if not quiet else [one for one in found if one.severity is Severity.DAMAGE]:
            output.say(f"{one.severity}: {one.about}: {one.sentence}.")
        if not quiet and not damaged:
            output.say(f"PostgreSQL {version}, tables {migrate.head()}: all is well.")
    if damaged:
        raise typer.Exit(ExitCode.MISMATCH)
