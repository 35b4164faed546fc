"""demeter db backup and restore."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demeter_cli.formats import Format, WaitOption

if TYPE_CHECKING:
    from db.backups import Content

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]


def backup(
    ctx: typer.Context,
    target: Annotated[
        Path,
        typer.Argument(
            help="A file such as site.dump; or a folder, in which backups are named by their time."
        ),
    ],
    keep_daily: Annotated[
        int, typer.Option(min=0, help="In a folder: of so many days the last backup is kept.")
    ] = 7,
    keep_weekly: Annotated[
        int, typer.Option(min=0, help="In a folder: of so many weeks the last backup is kept. 0 and 0: all.")
    ] = 5,
    verify: Annotated[
        bool, typer.Option(help="Restore it into a scratch database and compare every table.")
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Take the place of a file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing when all is well.")] = False,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Save the whole database, as of one moment, to a file that only its owner can read.

    Others may work meanwhile. The file appears once it is whole and proved. Photos and what belongs to them
    are not in it: `demeter storage push` copies those. docs/backup.md tells more.

    Example: demeter db backup site.dump
    """
    from db.backups import back_up
    from db.engine import connect
    from demeter_cli import output
    from demeter_cli.backing_up import appearing, is_folder, name_of, rotate
    from demeter_cli.settings import load_settings
    from demeter_cli.site import database_url, open_database
    from demeter_cli.watching import watching

    settings = load_settings(ctx.obj)
    output.be_quiet(quiet)
    now = dt.datetime.now(dt.UTC)
    gather = is_folder(target)
    file = (target / name_of(now) if gather else target).absolute()
    with watching(settings, "db backup") as watch:
        with appearing(file, overwrite=overwrite) as draft, database_url(settings) as url:
            with open_database(settings):
                pass  # a new one gets its tables first, and one of another version is told of
            with connect(url) as connection:
                watch.begun()
                held = back_up(connection, url, draft, verify=verify)
                watch.counted((), connection)
        gone = rotate(target, keep_daily, keep_weekly, now) if gather else []
        done = {
            "file": str(file),
            "bytes": file.stat().st_size,
            "tables": len(held),
            "rows": sum(one.rows for one in held),
            "verified": verify,
            "removed": len(gone),
        }
        match output_format:
            case Format.JSON:
                output.print_json(done)
            case Format.CSV:
                output.print_csv([done], tuple(done))
            case Format.TABLE if not quiet:
                proved = ", proved by restoring it" if verify else ""
                output.say(f"{done['tables']} tables with {done['rows']} rows{proved}:")
                output.say(str(file), wrap=False)
                if gone:
                    output.say(f"Older backups removed: {', '.join(gone)}.")


def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A backup.", exists=True, dir_okay=False, readable=True)],
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Take the place of what the database holds, which is backed up first."
        ),
    ] = False,
    wait: WaitOption = 0.0,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Bring back what a backup holds, all or nothing, and upgrade it to this program's version.

    A database that holds anything is left alone without --replace; with it, what is there goes to
    DATA_DIR/backups first.

    Example: demeter db restore site.dump --replace
    """
    from db import backups, migrate
    from db.engine import connect, server_version
    from db.programs import programs_for
    from db.runs import run_lock
    from demeter_cli import output
    from demeter_cli.backing_up import appearing
    from demeter_cli.settings import load_settings
    from demeter_cli.site import database_url

    settings = load_settings(ctx.obj)
    saved: Path | None = None
    with database_url(settings) as url:
        with connect(url) as connection, run_lock(connection, "db restore", wait, output.tell):
            backups.revision_of(file, programs_for(server_version(connection)[0]))
            if backups.holds_anything(connection):
                if not replace:
                    raise typer.BadParameter(
                        "the database is not empty; say --replace to put the backup in the place"
                        " of all that it holds"
                    )
                now = dt.datetime.now(dt.UTC)
                saved = settings.data_dir / "backups" / f"before-restore-{now:%Y%m%dT%H%M%S.%fZ}.dump"
                with appearing(saved, overwrite=False) as draft:
                    backups.back_up(connection, url, draft, verify=False)
                output.tell(f"What was there is in {saved}.")
            held = backups.restore(connection, url, file, replace=replace)
        migrate.upgrade(url)
    _print(held, output_format)


def _print(held: list[Content], output_format: Format) -> None:
    from demeter_cli import output

    rows = [asdict(one) for one in held]
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, ("table", "rows", "sha256"))
        case Format.TABLE:
            filled = [row for row in rows if row["rows"]]
            total = {"table": "all", "rows": sum(one.rows for one in held)}
            output.print_table(filled, {"table": "table", "rows": "rows"}, total=total)
