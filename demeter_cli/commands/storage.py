"""demeter storage: the files of photos, in a folder or a bucket."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format

if TYPE_CHECKING:
    from demeter_cli.settings import Settings
    from pipeline.storage import Store

app = typer.Typer(no_args_is_help=True)
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be copied; copy nothing.")]
Delete = Annotated[
    bool, typer.Option("--delete-source", help="Remove each file where it was once it is where it shall be.")
]


@app.callback()
def storage() -> None:
    """Look after the files of photos: originals, thumbnails, pictures of counts, evidence.

    Example: demeter storage check
    """


@app.command("check")
def check(
    ctx: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended; nothing is deleted.")
    ] = False,
    sample: Annotated[
        float, typer.Option(min=0, max=100, help="Read this share of the files too, in percent, and compare.")
    ] = 0.0,
    deep: Annotated[bool, typer.Option("--deep", help="Read all of them: --sample 100.")] = False,
    grace: Annotated[
        int, typer.Option(min=0, help="Hours for which a file may stand there without a row.")
    ] = 24,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Compare the store with the database; exit code 9 tells of differences that are left.

    --repair makes thumbnails again, moves what no row names or what was damaged to lost+found, takes up
    originals that came back, and lets rows name nothing that is gone. It refuses when so much is missing that
    another disk or bucket must be meant.

    Example: demeter storage check --sample 5
    """
    import datetime as dt

    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database, open_store
    from demeter_cli.storing import Depth, StorageCheck

    settings = load_settings(ctx.obj)
    store = open_store(settings)
    depth = Depth(1.0 if deep else sample / 100, dt.timedelta(hours=grace))
    with open_database(settings) as connection:
        found = StorageCheck(connection, settings, store, depth)
        found.run(repair=repair)
    columns = {"kind": "kind", "photo": "photo", "problem": "problem", "done": "done", "key": "file"}
    match output_format:
        case Format.JSON:
            output.print_json(found.rows)
        case Format.CSV:
            output.print_csv(found.rows, ("kind", "key", "photo", "problem", "done"))
        case Format.TABLE if found.rows:
            output.print_table(found.rows, columns, droppable=("kind", "photo"))
        case Format.TABLE:
            output.say(f"{found.files} files in {store.name}: all is well.")
    if found.unmended:
        if output_format is Format.TABLE:
            output.tell("Mend with `demeter storage check --repair`.")
        raise typer.Exit(ExitCode.MISMATCH)


@app.command("push")
def push(
    ctx: typer.Context,
    to: Annotated[str, typer.Option("--to", help="A folder, or s3://bucket/prefix.")],
    delete: Delete = False,
    dry_run: DryRun = False,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Copy all files from the store in use to another one, compared by their hashes. Repeat it to go on.

    Then set storage_url to the new place; keys and database stay as they are.

    Example: demeter storage push --to s3://nursery/photos
    """
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_store

    settings = load_settings(ctx.obj)
    _copy(settings, open_store(settings), _other(settings, to), (dry_run, delete), output_format)


@app.command("pull")
def pull(
    ctx: typer.Context,
    source: Annotated[str, typer.Option("--from", help="A folder, or s3://bucket/prefix.")],
    delete: Delete = False,
    dry_run: DryRun = False,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Copy all files of another store into the one in use, compared by their hashes. Repeat it to go on.

    Example: demeter storage pull --from s3://nursery/photos
    """
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_store

    settings = load_settings(ctx.obj)
    _copy(settings, _other(settings, source), open_store(settings), (dry_run, delete), output_format)


def _other(settings: Settings, url: str) -> Store:
    from demeter_cli.site import open_store

    return open_store(settings.model_copy(update={"storage_url": url}))


def _copy(
    settings: Settings, source: Store, target: Store, how: tuple[bool, bool], output_format: Format
) -> None:
    from db.files import named_files
    from demeter_cli import output
    from demeter_cli.site import open_database
    from demeter_cli.storing import copy_store

    if source.name == target.name:
        raise typer.BadParameter(f"{source.name} is the store in use already")
    with open_database(settings) as connection, connection.begin():
        hashes = {one.key: one.sha256 for one in named_files(connection) if one.sha256}
    dry_run, delete = how
    rows = [asdict(one) for one in copy_store(source, target, hashes, dry_run=dry_run, delete=delete)]
    columns = {
        "kind": "kind",
        "files": "files",
        "copied": "to copy" if dry_run else "copied",
        "bytes": "bytes",
    }
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(columns))
        case Format.TABLE:
            output.print_table(rows, columns)
            output.say(f"From {source.name} to {target.name}.", wrap=False)
