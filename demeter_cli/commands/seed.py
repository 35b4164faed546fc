"""demeter seed: load the catalogue, and the demo nursery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format, UserOption

COLUMNS = {
    "file": "table",
    "read": "read",
    "inserted": "inserted",
    "unchanged": "unchanged",
    "updated": "updated",
    "kept": "kept",
    "rejected": "rejected",
}


def _table_name(file: str) -> str:
    """`03_products.csv` loads products."""
    return Path(file).stem.split("_", 1)[-1]


def seed(
    ctx: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder of seed files (default: Demeter's own catalogue)."),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Load the demo nursery too.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also replace rows that a person has edited.")
    ] = False,
    user: UserOption = None,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
) -> None:
    """Load master data: users, products, packaging, bin types, places, densities. Safe to repeat.

    Rows that a person edited since are kept, unless --overwrite is given.

    Example: demeter seed seeds
    """
    from db.seeds import load_seeds
    from db.users import people
    from demeter_cli import output
    from demeter_cli.settings import load_settings, shipped
    from demeter_cli.site import actor, open_database

    folders = [folder or shipped("seeds"), *([shipped("seeds/demo")] if demo else [])]
    rows: list[dict[str, Any]] = []
    rejects: list[str] = []
    settings = load_settings(ctx.obj)
    with open_database(settings) as connection:
        for each in folders:
            with connection.begin():
                if people(connection, everybody=True):  # the first seeds bring the first user
                    actor(connection, settings, user=user)
                reports = load_seeds(connection, each, overwrite=overwrite)
            for report in reports:
                counted = {key: getattr(report, key) for key in COLUMNS if key not in ("file", "rejected")}
                rows.append({"file": _table_name(report.file), **counted, "rejected": len(report.rejected)})
                rejects += [f"{report.file}, line {line}: {reason}" for line, reason in report.rejected]
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(COLUMNS))
        case Format.TABLE:
            output.print_table(rows, COLUMNS, droppable=("unchanged", "updated", "kept"))
    for reject in rejects:
        output.tell(reject)
    if rejects:
        raise typer.Exit(ExitCode.MISMATCH)
