"""demeter catalog: products, pots, states and the other lists that everything refers to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format, UserOption
from demeter_cli.language import _

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.lookups import Entry

app = typer.Typer(no_args_is_help=True)

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]
TableArgument = Annotated[str, typer.Argument(metavar="TABLE", help="Such as products; list shows them.")]
KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="What names the row: MAM-BOC-001, CACTUS/Mammillaria.")
]
_ALWAYS = {"code", "sku", "name", "common_name", "category", "family", "storage_bin_type", "product"}


@app.callback()
def catalog() -> None:
    """Look after products, pots, states and the other lists. docs/catalogue.md explains them.

    Example: demeter catalog list
    """


@app.command("list")
def list_rows(
    ctx: typer.Context,
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="Such as products (default: list the tables).")
    ] = None,
    search: Annotated[str | None, typer.Option(help="Only rows that hold this text.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what was deactivated.")] = False,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """List the rows of a table, or the tables.

    Example: demeter catalog list products --search mammillaria
    """
    from db.lookups import LOOKUPS, entries, lookup_table
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    rows: list[dict[str, Any]]
    with open_database(load_settings(ctx.obj)) as connection:
        if table is None:
            rows = [
                {"table": name, "rows": len(entries(connection, lookup_table(name), everything=everything))}
                for name in LOOKUPS
            ]
        else:
            found = entries(connection, lookup_table(table), everything=everything)
            rows = [dict(entry.cells) for entry in found if _holds(entry, search)]
    match output_format:
        case Format.JSON:
            output.print_json([{name: cell or None for name, cell in row.items()} for row in rows])
        case Format.CSV:
            output.print_csv(rows, tuple(rows[0]) if rows else ())
        case Format.TABLE if rows:
            _print(rows, everything=everything)
        case Format.TABLE:
            output.say(_("Nothing fits."))


def _holds(entry: Entry, search: str | None) -> bool:
    return search is None or any(search.casefold() in cell.casefold() for cell in entry.cells.values())


def _print(rows: list[dict[str, Any]], *, everything: bool) -> None:
    """The columns that say something; on a narrow terminal, those that name the row."""
    from demeter_cli import output

    used = [name for name in rows[0] if any(row[name] not in ("", "{}") for row in rows)]
    shown = [name for name in used if everything or name != "active"]
    droppable = [name for name in reversed(shown) if name not in _ALWAYS]
    headings = {name: name.replace("_", " ") for name in shown}
    output.print_table(rows, headings, droppable=droppable)


@app.command("add")
def add(
    ctx: typer.Context,
    table: TableArgument,
    cells: Annotated[list[str], typer.Argument(metavar="COLUMN=VALUE…", help="What the row holds.")],
    user: UserOption = None,
) -> None:
    """Add a row.

    Example: demeter catalog add products family=CACTUS/Lobivia sku=LOB-SP-001 common_name="Lobivia sp."
    """
    from db import lookups

    told = _told(cells)
    _change(ctx, user, lambda c: lookups.add(c, lookups.lookup_table(table), told), "added")


@app.command("edit")
def edit(
    ctx: typer.Context,
    table: TableArgument,
    key: KeyArgument,
    cells: Annotated[
        list[str], typer.Argument(metavar="COLUMN=VALUE…", help="What changes; 'COLUMN=' takes a value away.")
    ],
    user: UserOption = None,
) -> None:
    """Change a row. Who did it, and what it was before, stays in the audit log.

    Example: demeter catalog edit products MAM-BOC-001 common_name="Old lady cactus"
    """
    from db import lookups

    told = _told(cells)
    _change(ctx, user, lambda c: lookups.edit(c, lookups.lookup_table(table), key, told), "changed")


@app.command("deactivate")
def deactivate(
    ctx: typer.Context,
    table: TableArgument,
    key: KeyArgument,
    force: Annotated[bool, typer.Option("--force", help="Also what is in stock or configured.")] = False,
    user: UserOption = None,
) -> None:
    """Use a row no more. It stays known, with all that was booked under it.

    Example: demeter catalog deactivate products MAM-BOC-001
    """
    from db.lookups import lookup_table, set_active

    _change(ctx, user, lambda c: set_active(c, lookup_table(table), key, False, force=force), "deactivated")


@app.command("activate")
def activate(ctx: typer.Context, table: TableArgument, key: KeyArgument, user: UserOption = None) -> None:
    """Use a deactivated row again.

    Example: demeter catalog activate products MAM-BOC-001
    """
    from db.lookups import lookup_table, set_active

    _change(ctx, user, lambda c: set_active(c, lookup_table(table), key, True), "activated")


@app.command("export")
def export(
    ctx: typer.Context,
    table: TableArgument,
    out: Annotated[Path | None, typer.Option(help="File to write (default: the terminal).")] = None,
) -> None:
    """Write a table as CSV, which import reads back to the same.

    Example: demeter catalog export products
    """
    from db import lookups
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    with open_database(load_settings(ctx.obj)) as connection:
        text = lookups.export(connection, lookups.lookup_table(table))
    output.save_text(text, out)
    if out is not None:
        output.tell(_("{table} are in {out}.").format(table=table, out=out))


@app.command("import")
def import_rows(
    ctx: typer.Context,
    table: TableArgument,
    file: Annotated[Path, typer.Argument(help="CSV, XLSX, XLS or ODS with the columns that export writes.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")] = False,
    decimal: Annotated[
        str | None, typer.Option(help="The sign that marks decimals, '.' or ',', if the file leaves it open.")
    ] = None,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Add and change rows from a file: all of it or, if a row cannot be loaded, nothing.

    Rows that the file does not name, and columns that it lacks, stay as they are.

    Example: demeter catalog import products products.xlsx --dry-run
    """
    from db import lookups
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import actor, open_database

    if decimal not in (None, ".", ","):
        raise typer.BadParameter(_("a dot or a comma marks decimals"), param_hint="--decimal")
    settings = load_settings(ctx.obj)
    with open_database(settings) as connection, connection.begin() as transaction:
        actor(connection, settings, user=user)
        done = lookups.load(connection, lookups.lookup_table(table), file, decimal=decimal)
        if done.rejects or dry_run:
            transaction.rollback()
    for note in done.notes:
        output.tell(f"{file.name}: {note}")
    row: dict[str, Any] = {"table": table, "read": done.read, "inserted": done.inserted}
    row |= {"updated": done.updated, "unchanged": done.unchanged, "rejected": len(done.rejects)}
    match output_format:
        case Format.JSON:
            output.print_json(row)
        case Format.CSV:
            output.print_csv([row], tuple(row))
        case Format.TABLE:
            output.print_table([row], {name: name for name in row}, droppable=("table",))
    _finish(file, [f"line {line}: {reason}" for line, reason in done.rejects], dry_run=dry_run)


def _finish(file: Path, problems: Iterable[str], *, dry_run: bool) -> None:
    from demeter_cli import output

    told = list(problems)
    for problem in told:
        output.report_problem(f"{file.name}, {problem}")
    if told:
        output.tell(_("Nothing was loaded: put these rows right and import the file again."))
        raise typer.Exit(ExitCode.MISMATCH)
    if dry_run:
        output.tell(_("Nothing was loaded: that is what would be."))


def _told(cells: list[str]) -> dict[str, str]:
    told = {}
    for cell in cells:
        name, equals, value = cell.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(
                _("{cell!r} is not like name=Value").format(cell=cell), param_hint="COLUMN=VALUE"
            )
        told[name.strip()] = value
    return told


def _change(ctx: typer.Context, user: str | None, change: Callable[[Connection], Entry], done: str) -> None:
    """Change one row in the name of an admin, and say what it is now."""
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import actor, open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection, connection.begin():
        actor(connection, settings, user=user)
        entry = change(connection)
    told = ", ".join(f"{name} {cell}" for name, cell in entry.cells.items() if cell not in ("", "{}"))
    output.say(f"{entry.key} {done}: {told}.")
