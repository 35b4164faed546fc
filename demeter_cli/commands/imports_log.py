"""demeter import list, show and alias: what was read, what became of it, and other spellings."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from demeter_cli.formats import Format, UserOption
from demeter_cli.language import N_, _

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]

alias_app = typer.Typer(no_args_is_help=True)


class Kind(StrEnum):
    """`db.models.vocabulary.AliasKind`, which the help must not load."""

    GENUS = "genus"
    SPECIES = "species"
    PLACE = "place"


def list_runs(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many of the last.")] = 20,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """List the last imports, the newest first.

    Example: demeter import list
    """
    from db.imports.staging import runs
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection:
        rows = [output.local(row, ZoneInfo(settings.timezone)) for row in runs(connection, limit)]
    figures = ("read", "loaded", "fixed", "rejected")
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            names = ("id", "importer", "file_name", "file_sha256", "encoding", "delimiter", "status")
            output.print_csv(rows, (*names, *figures, "started_at", "finished_at"))
        case Format.TABLE if rows:
            columns = {
                "id": N_("run"),
                "file_name": N_("file"),
                "status": N_("status"),
                "finished_at": N_("finished"),
            }
            droppable = ("finished_at", "read", "fixed", "status")
            output.print_table(rows, columns | {name: name for name in figures}, droppable=droppable)
        case Format.TABLE:
            output.say(_("Nothing was imported yet."))


def show(
    ctx: typer.Context,
    run: Annotated[int, typer.Argument(metavar="RUN", help="Number of the import.")],
    all_rows: Annotated[bool, typer.Option("--all", help="Also rows that were loaded as they are.")] = False,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Show the rows of an import that were rejected or fixed, with the reason and what stood in the file.

    Example: demeter import show 3 --format csv > rejected.csv
    """
    from db.imports.staging import require_run, rows_of
    from db.models.vocabulary import ImportVerdict
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    wanted = [verdict.value for verdict in ImportVerdict if all_rows or verdict != ImportVerdict.LOADED]
    with open_database(load_settings(ctx.obj)) as connection:
        about = require_run(connection, run)
        rows = [dict(row) for row in rows_of(connection, run, wanted)]
    columns = ("line", "verdict", "reason", "target", "raw")
    match output_format:
        case Format.JSON:
            output.print_json({**about, "rows": rows})
        case Format.CSV:
            output.print_csv(rows, columns)
        case Format.TABLE:
            output.say(_heading(about))
            for note in about["notes"]:
                output.say(f"  {note}")
            shown = {"line": "line", "verdict": "verdict", "reason": "reason", "raw": "in the file"}
            if rows:
                output.print_table([_short(row) for row in rows], shown, droppable=("raw",))


def _heading(about: dict[str, Any]) -> str:
    counts = ", ".join(f"{about[name]} {name}" for name in ("read", "loaded", "fixed", "rejected"))
    return f"Run {about['id']}: {about['importer']} from {about['file_name']}, {about['status']}: {counts}."


def _short(row: dict[str, Any]) -> dict[str, Any]:
    raw = row["raw"].replace("\n", "⏎")
    return {**row, "raw": raw if len(raw) <= 60 else f"{raw[:59]}…"}


@alias_app.callback()
def alias() -> None:
    """Other spellings of genera, species and places, which the importers know.

    Example: demeter import alias list
    """


@alias_app.command("list")
def list_aliases(ctx: typer.Context, output_format: FormatOption = Format.TABLE) -> None:
    """List the aliases.

    Example: demeter import alias list
    """
    from db.imports.aliases import aliases
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    with open_database(load_settings(ctx.obj)) as connection:
        rows = aliases(connection)
    columns = {"kind": N_("kind"), "alias": N_("alias"), "name": N_("means")}
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(columns))
        case Format.TABLE if rows:
            output.print_table(rows, columns)
        case Format.TABLE:
            output.say(_("There are no aliases."))


@alias_app.command("add")
def add_alias(
    ctx: typer.Context,
    kind: Annotated[Kind, typer.Argument(help="What is spelt.")],
    spelling: Annotated[str, typer.Argument(help="As it stands in files; accents, case and spaces aside.")],
    name: Annotated[str, typer.Argument(help="What it means: a genus, a species, the code of a place.")],
    user: UserOption = None,
) -> None:
    """Teach the importers another spelling.

    Example: demeter import alias add genus graptoperalum Graptopetalum
    """
    from db.imports.aliases import set_alias
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import DECIDERS, actor, open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection, connection.begin():
        actor(connection, settings, *DECIDERS, user=user)
        meant = set_alias(connection, kind.value, spelling, name)
    output.say(
        _("{spelling!r} is read as {kind} {meant} from now on.").format(
            spelling=spelling, kind=kind, meant=meant
        )
    )


@alias_app.command("remove")
def remove_alias(
    ctx: typer.Context,
    kind: Annotated[Kind, typer.Argument(help="What is spelt.")],
    spelling: Annotated[str, typer.Argument(help="The alias.")],
    user: UserOption = None,
) -> None:
    """Forget a spelling. What was loaded by it stays.

    Example: demeter import alias remove species "m. bocasana"
    """
    from db.imports.aliases import remove_alias as remove
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import DECIDERS, actor, open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection, connection.begin():
        actor(connection, settings, *DECIDERS, user=user)
        remove(connection, kind.value, spelling)
    output.say(_("{spelling!r} is no alias any more.").format(spelling=spelling))
