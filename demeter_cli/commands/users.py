"""demeter users: who works here, and what each may do."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from demeter_cli.formats import Format, UserOption
from demeter_cli.language import N_, _

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.users import Person

app = typer.Typer(no_args_is_help=True)

Email = Annotated[str, typer.Argument(help="E-mail address of the user.")]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]


class GivenRole(StrEnum):
    """`db.models.vocabulary.Role` without the system, which nobody can be given."""

    ADMIN = "admin"
    SUPERVISOR = "supervisor"
    WORKER = "worker"
    VIEWER = "viewer"


@app.callback()
def users() -> None:
    """Say who works here, and what each may do. docs/catalogue.md explains the roles.

    Example: demeter users list
    """


@app.command("list")
def list_users(
    ctx: typer.Context,
    everybody: Annotated[bool, typer.Option("--all", help="Also those who were deactivated.")] = False,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """List the users.

    Example: demeter users list
    """
    from dataclasses import asdict

    from db.users import people
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    with open_database(load_settings(ctx.obj)) as connection:
        rows = [asdict(one) for one in people(connection, everybody=everybody)]
    columns = {"email": N_("e-mail"), "name": N_("name"), "role": N_("role"), "login": N_("login")}
    columns |= {"active": N_("active")} if everybody else {}
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, ("email", "name", "role", "login", "active", "since"))
        case Format.TABLE:
            output.print_table(rows, columns, droppable=("login", "name"))


@app.command("add")
def add(
    ctx: typer.Context,
    email: Email,
    name: Annotated[str, typer.Option(help="First and last name.")],
    role: Annotated[GivenRole, typer.Option(help="What the user may do.")] = GivenRole.WORKER,
    login: Annotated[
        str | None,
        typer.Option(help="Login on the machines of the site: who is logged in acts as this user."),
    ] = None,
    user: UserOption = None,
) -> None:
    """Add a user. The first admin can be added by anybody; after that it takes an admin.

    Example: demeter users add ana@vivero.ar --name "Ana Paz" --role supervisor --login ana
    """
    from db.acting import acting, has_admin
    from db.models.vocabulary import Role
    from db.users import add_user
    from demeter_cli import output
    from demeter_cli.settings import load_settings, os_login
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection:
        with acting(connection, user or settings.user, os_login(), Role.ADMIN):
            added = add_user(connection, email, name, Role(role.value), login)
        with connection.begin():
            ruled = has_admin(connection)
    output.say(_told(added))
    if not ruled:
        output.tell(_("Nobody is an admin yet, so whoever names no user may do everything."))


@app.command("edit")
def edit(
    ctx: typer.Context,
    email: Email,
    name: Annotated[str | None, typer.Option(help="First and last name.")] = None,
    login: Annotated[
        str | None, typer.Option(help="Login on the machines of the site; '' takes it away.")
    ] = None,
    user: UserOption = None,
) -> None:
    """Change a user's name or login.

    Example: demeter users edit ana@vivero.ar --name "Ana Paz"
    """
    from db.users import edit_user

    _change(ctx, user, lambda connection: edit_user(connection, email, name=name, login=login))


@app.command("role")
def role(ctx: typer.Context, email: Email, role: GivenRole, user: UserOption = None) -> None:
    """Change what a user may do.

    Example: demeter users role ana@vivero.ar supervisor
    """
    from db.models.vocabulary import Role
    from db.users import set_role

    _change(ctx, user, lambda connection: set_role(connection, email, Role(role.value)))


@app.command("deactivate")
def deactivate(ctx: typer.Context, email: Email, user: UserOption = None) -> None:
    """Let a user act no more. What they did stays theirs.

    Example: demeter users deactivate ana@vivero.ar
    """
    from db.users import set_active

    _change(ctx, user, lambda connection: set_active(connection, email, False))


@app.command("activate")
def activate(ctx: typer.Context, email: Email, user: UserOption = None) -> None:
    """Let a deactivated user act again.

    Example: demeter users activate ana@vivero.ar
    """
    from db.users import set_active

    _change(ctx, user, lambda connection: set_active(connection, email, True))


@app.command("whoami")
def whoami(ctx: typer.Context, user: UserOption = None) -> None:
    """Say in whose name a command would act, given as here.

    Example: demeter users whoami
    """
    from db.acting import acting
    from db.users import person
    from demeter_cli import output
    from demeter_cli.settings import load_settings, os_login
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    with (
        open_database(settings) as connection,
        acting(connection, user or settings.user, os_login()) as (_, email),
    ):
        output.say(_told(person(connection, email)))


def _change(ctx: typer.Context, user: str | None, change: Callable[[Connection], Person]) -> None:
    from db.acting import acting
    from db.models.vocabulary import Role
    from demeter_cli import output
    from demeter_cli.settings import load_settings, os_login
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    with (
        open_database(settings) as connection,
        acting(connection, user or settings.user, os_login(), Role.ADMIN),
    ):
        changed = change(connection)
    output.say(_told(changed))


def _told(one: Person) -> str:
    login = f", logs in as {one.login}" if one.login else ""
    return f"{one.email} ({one.name}): {one.role}{login}{'' if one.active else ', deactivated'}."
