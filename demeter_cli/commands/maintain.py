"""demeter db maintain: the nightly round through database and folders."""

from __future__ import annotations

import datetime as dt
from contextlib import nullcontext
from dataclasses import asdict
from typing import Annotated

import typer

from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format, WaitOption


def maintain(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    wait: WaitOption = 0.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing when all is well.")] = False,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
) -> None:
    """Keep database and folders in shape: for every night, and safe to repeat.

    It makes the next days' partitions of detections and estimations, and drops those over
    keep_detections_days old once the evidence file of each of their photos is in the store; unfinished files
    over a day old and reports over keep_reports_days go; tables that changed much are analysed. A photo
    without its evidence file keeps its partition and is named: exit code 9.

    Example: demeter db maintain --dry-run
    """
    from db.runs import run_lock
    from demeter_cli import output
    from demeter_cli.keeping import Maintenance
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database, open_store
    from demeter_cli.watching import Watch, watching

    settings = load_settings(ctx.obj)
    output.be_quiet(quiet)
    with watching(settings, "db maintain") if not dry_run else nullcontext(Watch()) as watch:
        store = open_store(settings)
        with open_database(settings) as connection, run_lock(connection, "db maintain", wait, output.tell):
            watch.begun()
            now = dt.datetime.now(dt.UTC)
            steps = list(Maintenance(connection, settings, store, dry_run=dry_run, now=now).run())
            watch.counted((), connection)
        rows = [asdict(one) for one in steps]
        columns = {"task": "task", "state": "state", "number": "number", "about": "about"}
        kept = any(one.state == "kept" for one in steps)
        match output_format:
            case Format.JSON:
                output.print_json(rows)
            case Format.CSV:
                output.print_csv(rows, tuple(columns))
            case Format.TABLE if kept or not quiet:
                output.print_table(rows, columns)
        if any(one.task == "keep partition" and one.state == "kept" for one in steps):
            output.tell(
                "Photos without their evidence file keep their partitions: restore the files from a backup,"
                " then `demeter storage check --repair`."
            )
        if kept:
            raise typer.Exit(ExitCode.MISMATCH)
