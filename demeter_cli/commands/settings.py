"""demeter settings: what is the same on every machine of the nursery."""

from __future__ import annotations

from typing import Annotated

import typer

from demeter_cli.formats import Format, UserOption

app = typer.Typer(no_args_is_help=True)

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="Such as currency; list shows them.")]


@app.callback()
def settings() -> None:
    """Settings of the nursery, kept in its database. Those of a machine are in demeter.toml.

    Example: demeter settings list
    """


@app.command("list")
def list_settings(
    ctx: typer.Context,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
) -> None:
    """List the settings of the nursery.

    Example: demeter settings list
    """
    from dataclasses import asdict

    from db.site_settings import all_settings
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    with open_database(load_settings(ctx.obj)) as connection:
        rows = [asdict(one) for one in all_settings(connection)]
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, ("key", "value", "is_default", "about"))
        case Format.TABLE:
            output.print_table(rows, {"key": "setting", "value": "value", "about": "about"})


@app.command("set")
def set_setting(
    ctx: typer.Context,
    key: KeyArgument,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="The new value.")],
    user: UserOption = None,
) -> None:
    """Change a setting of the nursery. It takes an admin.

    Example: demeter settings set currency ARS
    """
    _write(ctx, key, value, user)


@app.command("reset")
def reset(ctx: typer.Context, key: KeyArgument, user: UserOption = None) -> None:
    """Go back to the default. It takes an admin.

    Example: demeter settings reset currency
    """
    _write(ctx, key, None, user)


def _write(ctx: typer.Context, key: str, value: str | None, user: str | None) -> None:
    from db.site_settings import value_of, write
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import actor, open_database

    machine = load_settings(ctx.obj)
    with open_database(machine) as connection, connection.begin():
        actor(connection, machine, user=user)
        write(connection, key, value)
        now = value_of(connection, key)
    output.say(f"{key} is {now}.")
