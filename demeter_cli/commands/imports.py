"""demeter import: load the files that people make, with a verdict on every row."""

from __future__ import annotations

import datetime as dt
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from demeter_cli.commands import imports_log
from demeter_cli.commands.imports_log import FormatOption
from demeter_cli.formats import Format, UserOption
from demeter_cli.language import _

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.imports.maps import ReadMap
    from db.imports.places import Layer
    from db.imports.read import ReadOptions
    from db.imports.staging import Judged
    from demeter_cli.importing import Job

app = typer.Typer(no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="GeoJSON files.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file, or a spreadsheet (XLSX, XLS, ODS).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be loaded, and load nothing.")]
MaxRejects = Annotated[
    int,
    typer.Option("--max-rejects", min=0, metavar="N", help="Load although up to N rows are rejected."),
]
Encoding = Annotated[
    str | None, typer.Option(help="Of a CSV: utf-8, utf-16, cp1252, latin-1 (default: found out and told).")
]
Delimiter = Annotated[
    str | None, typer.Option(help="Between the cells of a CSV (default: found out and told).")
]

app.command("list")(imports_log.list_runs)
app.command("show")(imports_log.show)
app.add_typer(imports_log.alias_app, name="alias")


@app.callback()
def imports() -> None:
    """Load files that people made. Every row gets a verdict: loaded, fixed or rejected, with the reason.

    A file is loaded whole or not at all, and never twice. docs/importing.md explains each kind.

    Example: demeter import list
    """


@app.command("places")
def places(
    ctx: typer.Context,
    files: Files,
    dry_run: DryRun = False,
    max_rejects: MaxRejects = 0,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Load the grid: bays, beds and places, three GeoJSON files that name their parents by name.

    Which file is which is seen from its properties; they are loaded in the right order.

    Example: demeter import places naves.geojson canteros.geojson claros.geojson
    """
    from demeter_cli.importing import How, run_imports
    from demeter_cli.settings import load_settings
    from demeter_cli.site import DECIDERS

    def prepare(_: Connection) -> list[Job]:
        from db.imports.maps import read_map
        from db.imports.places import LAYERS, recognise

        read = [(file, recognise(file)) for file in map(read_map, files)]
        read.sort(key=lambda pair: LAYERS.index(pair[1]))
        return [_layer(file, layer) for file, layer in read]

    how = How(max_rejects, dry_run, user, output_format)
    run_imports(load_settings(ctx.obj), how, DECIDERS, prepare)


@app.command("drawn")
def drawn(
    ctx: typer.Context,
    files: Files,
    dry_run: DryRun = False,
    max_rejects: MaxRejects = 0,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Load a hand-drawn map: polygons of buildings, and lines. Its bays stay apart from those of the grid.

    Example: demeter import drawn "Exported 29 fields, 12 lines.geojson"
    """
    from demeter_cli.importing import How, Job, run_imports
    from demeter_cli.settings import load_settings
    from demeter_cli.site import DECIDERS

    def prepare(_: Connection) -> list[Job]:
        from db.imports.drawn import source_of
        from db.imports.maps import read_map

        return [Job(source_of(file), partial(_load_drawn, file)) for file in map(read_map, files)]

    how = How(max_rejects, dry_run, user, output_format)
    run_imports(load_settings(ctx.obj), how, DECIDERS, prepare)


@app.command("prices")
def prices(
    ctx: typer.Context,
    file: File,
    valid_from: Annotated[
        str | None, typer.Option(help="Day from which the prices hold (default: the date in the title).")
    ] = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    dry_run: DryRun = False,
    max_rejects: MaxRejects = 0,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Load the price list of the nursery. Whether $1.05 means 1,050 is proved by its crates, or refused.

    Example: demeter import prices price_list.csv --dry-run
    """
    from demeter_cli.importing import How, Job, run_imports
    from demeter_cli.settings import load_settings
    from demeter_cli.site import DECIDERS

    told = parse_day_option(valid_from, "--valid-from") if valid_from else None

    def prepare(connection: Connection) -> list[Job]:
        from sqlalchemy import select

        from db.imports.prices import judge_prices, load_prices
        from db.imports.read import read_rows
        from db.imports.staging import Source
        from db.models.catalog import PackagingCatalog

        read = read_rows(file, _options(encoding, delimiter))
        priced = judge_prices(read, connection.scalars(select(PackagingCatalog.sku)))
        start = told or priced.dated
        if start is None:
            raise typer.BadParameter(
                _("the list has no date in its title: say from when it holds"), param_hint="--valid-from"
            )
        notes = (*priced.notes, f"the prices hold from {start}")
        source = Source.of("prices", read, *notes)
        return [Job(source, lambda connection, _: (load_prices(connection, priced, start), ()))]

    how = How(max_rejects, dry_run, user, output_format)
    run_imports(load_settings(ctx.obj), how, DECIDERS, prepare)


@app.command("species")
def species(
    ctx: typer.Context,
    file: File,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    dry_run: DryRun = False,
    max_rejects: MaxRejects = 0,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Load the list of species by pot: pot code, genus, species, without a header. Adds genera and products.

    Example: demeter import species categories.csv --max-rejects 5
    """
    from demeter_cli.importing import How, Job, run_imports
    from demeter_cli.settings import load_settings
    from demeter_cli.site import DECIDERS

    def prepare(_: Connection) -> list[Job]:
        from db.imports.read import read_rows
        from db.imports.species import load_species
        from db.imports.staging import Source

        read = read_rows(file, _options(encoding, delimiter))
        return [Job(Source.of("species", read), lambda connection, _: load_species(connection, read))]

    how = How(max_rejects, dry_run, user, output_format)
    run_imports(load_settings(ctx.obj), how, DECIDERS, prepare)


@app.command("seedlings")
def seedlings(
    ctx: typer.Context,
    file: File,
    as_of: Annotated[str | None, typer.Option(help="Day of the inventory (default: today).")] = None,
    create_places: Annotated[
        bool, typer.Option("--create-places", help="Make the tunnels and houses that are not known yet.")
    ] = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    dry_run: DryRun = False,
    max_rejects: MaxRejects = 0,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Load the inventory of seedling trays, and book trays × cells as sown on the day of the inventory.

    Example: demeter import seedlings categories_2.csv --as-of 2025-09-01 --create-places
    """
    from demeter_cli.importing import How, Job, run_imports
    from demeter_cli.settings import load_settings
    from demeter_cli.site import WORKERS

    settings = load_settings(ctx.obj)
    zone = ZoneInfo(settings.timezone)
    now = dt.datetime.now(zone)
    day = parse_day_option(as_of, "--as-of") if as_of else now.date()
    if day > now.date():
        raise typer.BadParameter(_("{day} is in the future").format(day=day), param_hint="--as-of")
    moment = min(now, dt.datetime.combine(day, dt.time(23, 59), zone))

    def prepare(_: Connection) -> list[Job]:
        from db.imports.read import read_rows
        from db.imports.seedlings import Inventory, load_seedlings
        from db.imports.staging import Source

        read = read_rows(file, _options(encoding, delimiter))
        inventory = partial(Inventory, moment, create_places=create_places)
        return [
            Job(
                Source.of("seedlings", read),
                lambda connection, user_id: load_seedlings(connection, read, inventory(user_id)),
            )
        ]

    how = How(max_rejects, dry_run, user, output_format)
    run_imports(settings, how, (*WORKERS, "system"), prepare)


def _layer(file: ReadMap, layer: Layer) -> Job:
    from db.imports.places import load_layer, source_of
    from demeter_cli.importing import Job

    return Job(source_of(file, layer), lambda connection, _: load_layer(connection, file, layer))


def _load_drawn(file: ReadMap, connection: Connection, _: int) -> tuple[list[Judged], list[str]]:
    from db.imports.drawn import load_drawn

    return load_drawn(connection, file)


def parse_day_option(text: str, option: str) -> dt.date:
    """Raises BadParameter."""
    from db.imports.dates import parse_day

    try:
        return parse_day(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _options(encoding: str | None, delimiter: str | None) -> ReadOptions:
    from db.imports.read import ReadOptions

    return ReadOptions(encoding, {"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter))
