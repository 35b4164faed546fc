"""demeter db: look after the database."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Look after the database.")


@app.callback()
def database() -> None:
    """Look after the database."""


@app.command("upgrade")
def upgrade(ctx: typer.Context) -> None:
    """Create the tables, or bring them to this program's version. Safe to repeat."""
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
    """Print the version of the tables and the newest that this program knows."""
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
) -> None:
    """Check that the database can be reached and fits this program; the exit code tells."""
    from db import migrate
    from db.engine import server_version
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    with open_database(load_settings(ctx.obj), prepared=False) as connection:
        migrate.check(connection)
        version = ".".join(map(str, server_version(connection)))
    if not quiet:
        output.say(f"PostgreSQL {version}, tables {migrate.head()}: all is well.")
