"""demeter places: the bays, beds and places of the site, their maps and their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from demeter_cli.commands import places_config
from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format, UserOption
from demeter_cli.language import _, n_, number
from demeter_cli.vocabulary import word

if TYPE_CHECKING:
    from db.seeds import SeedReport

app = typer.Typer(no_args_is_help=True)
app.add_typer(places_config.app, name="config")

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]
Everything = Annotated[bool, typer.Option("--all", help="Also what was deactivated.")]


class LevelName(StrEnum):
    BAY = "bay"
    BED = "bed"
    PLACE = "place"


class SheetName(StrEnum):
    """Labels on a sheet of A4: 65 of 38 × 21 mm, 24 of 64 × 34 mm, 8 of 99 × 68 mm."""

    SMALL = "65"
    MEDIUM = "24"
    LARGE = "8"


@app.callback()
def places() -> None:
    """Look at the site, draw it, label it, say what grows where. docs/places.md explains how.

    Example: demeter places list N01
    """


@app.command("tree")
def tree(
    ctx: typer.Context,
    within: Annotated[str | None, typer.Argument(metavar="[BAY]", help="Only this bay or bed.")] = None,
    everything: Everything = False,
) -> None:
    """Draw the bays with their beds and places as a tree.

    Example: demeter places tree N01
    """
    from db.site_map import list_places, sites
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    with open_database(load_settings(ctx.obj)) as connection:
        bays = sites(connection, everything=everything)
        rows = list_places(connection, within, everything=everything)
    named = {row["bay"] for row in rows}
    shown = [bay for bay in bays if within is None or bay["code"] in named]
    if not shown:
        output.say(
            _("There are no places yet: `demeter import places` or `demeter places import` loads them.")
        )
    for bay in shown:
        output.say(_bay_line(bay))
        for line in _branches([row for row in rows if row["bay"] == bay["code"]]):
            output.say(line)


def _bay_line(bay: Mapping[str, Any]) -> str:
    source = _(", {source} map").format(source=bay["source"]) if bay["source"] else ""
    return f"{bay['code']}  {bay['name']} ({word(bay['type'])}{source}), {_places(bay['places'])}"


def _places(count: int) -> str:
    return n_("{n} place", "{n} places", count).format(n=number(count))


def _branches(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    beds: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        beds.setdefault(row["bed"], []).append(row)
    lines = []
    for bed, inside in beds.items():
        last_bed = bed == list(beds)[-1]
        lines.append(f"{'└' if last_bed else '├'}─ {bed}, {_places(len(inside))}")
        stem = "   " if last_bed else "│  "
        for row in inside:
            branch = "└" if row is inside[-1] else "├"
            crop = f"  {row['product']}" if row["product"] else ""
            plants = _(", {n} plants").format(n=number(row["plants"])) if row["plants"] else ""
            lines.append(f"{stem}{branch}─ {row['code'].removeprefix(bed + '-')}{crop}{plants}")
    return lines


@app.command("list")
def list_all(
    ctx: typer.Context,
    within: Annotated[
        str | None, typer.Argument(metavar="[PLACE]", help="Only this bay, bed or place (default: the bays).")
    ] = None,
    everything: Everything = False,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """List the bays, or the places of one with what grows there.

    Example: demeter places list N01-NORTE
    """
    from db.site_map import list_places, sites
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection:
        rows = (
            sites(connection, everything=everything)
            if within is None
            else list_places(connection, within, everything=everything)
        )
    if within is None:
        columns = {name: name for name in ("code", "name", "type", "source", "beds", "places", "plants")}
        droppable: tuple[str, ...] = ("source", "type", "name", "beds")
    else:
        columns = {name: name for name in ("code", "product", "packaging", "since", "plants", "qr_code")}
        droppable = ("qr_code", "since", "packaging")
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(rows[0]) if rows else tuple(columns))
        case Format.TABLE if rows:
            local = places_config.at_site(rows, ("since",), ZoneInfo(settings.timezone))
            output.print_table(local, columns, droppable=droppable)
        case Format.TABLE:
            output.say(_("There are none."))


@app.command("show")
def show(
    ctx: typer.Context,
    place: Annotated[str, typer.Argument(help="Code of a place: N01-NORTE-C07.")],
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Show a place: where it lies, what grew there, what touches it.

    Example: demeter places show N01-NORTE-C07
    """
    from db.place_config import history
    from db.places import PlaceIndex
    from db.site_map import list_places, neighbours_of
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection:
        code = PlaceIndex.load(connection).named(place).code
        [about] = list_places(connection, code)
        crops, beside = history(connection, code), neighbours_of(connection, code)
    if output_format is not Format.TABLE:
        details = {**about, "neighbours": beside, "configurations": [places_config.plain(c) for c in crops]}
        if output_format is Format.JSON:
            output.print_json(details)
        else:
            output.print_csv([about], tuple(about))
        return
    output.say(f"{about['code']}  {about['name']}")
    output.say("  " + _("bed {bed} of bay {bay}").format(bed=about["bed"], bay=about["bay"]))
    if about["area_m2"] is not None:
        output.say(
            "  "
            + _("{area_m2} m² at {centroid_lat:.6f}, {centroid_lon:.6f}").format(
                area_m2=about["area_m2"],
                centroid_lat=about["centroid_lat"],
                centroid_lon=about["centroid_lon"],
            )
        )
    code = about["qr_code"] or _("(none: labels bear the code itself)")
    output.say("  " + _("QR code {code}").format(code=code))
    output.say("  " + _("{plants} plants in stock").format(plants=number(about["plants"])))
    touching = ", ".join(f"{row['code']} ({row['shared_m']} m)" for row in beside)
    output.say("  " + _("touches {places}").format(places=touching or _("nothing known")))
    places_config.print_history(crops, ZoneInfo(settings.timezone))


@app.command("export")
def export(
    ctx: typer.Context,
    level: Annotated[
        list[LevelName] | None, typer.Option("--level", help="Only bays, beds or places (default: all).")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write (default: standard output).")
    ] = None,
) -> None:
    """Write bays, beds and places as GeoJSON, which QGIS reads and `demeter places import` takes back.

    Example: demeter places export -o site.geojson
    """
    from db.site_map import LEVELS, export_map
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    wanted = [each.value for each in level or LevelName]
    with open_database(load_settings(ctx.obj)) as connection:
        document = export_map(connection, [each.name for each in LEVELS if each.name in wanted])
    if to is None:
        output.print_json(document)
        return
    output.save_json(to, document)
    output.say(_("{n} features in {to}").format(n=len(document["features"]), to=to), wrap=False)


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="GeoJSON with the codes of bays, beds and places.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change; change nothing.")
    ] = False,
    max_rejects: Annotated[
        int, typer.Option("--max-rejects", min=0, metavar="N", help="Load although up to N are rejected.")
    ] = 0,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Add or change bays, beds and places by their codes. A grid without codes: `demeter import places`.

    Example: demeter places import site.geojson --dry-run
    """
    from db.site_map import import_map
    from demeter_cli.settings import load_settings
    from demeter_cli.site import DECIDERS, actor, open_database

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection, connection.begin() as transaction:
        actor(connection, settings, *DECIDERS, user=user)
        reports = import_map(connection, file)
        rejects = sum(len(report.rejected) for report in reports)
        refused = rejects > max_rejects
        if dry_run or refused:
            transaction.rollback()
    _print_reports(reports, output_format, "would be" if dry_run else "was" if refused else "")
    if refused:
        raise typer.Exit(ExitCode.PARTIAL)


def _print_reports(reports: Sequence[SeedReport], output_format: Format, nothing: str) -> None:
    from demeter_cli import output

    figures = ("read", "inserted", "updated", "unchanged")
    rows = [
        {"level": r.file, **{name: getattr(r, name) for name in figures}, "rejected": len(r.rejected)}
        for r in reports
    ]
    columns = {name: name for name in ("level", *figures, "rejected")}
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(columns))
        case Format.TABLE:
            output.print_table(rows, columns, droppable=("unchanged", "read"))
    for report in reports:
        for line, reason in report.rejected:
            output.tell(_("{file}, line {line}: {reason}").format(file=report.file, line=line, reason=reason))
    if nothing:
        output.tell(_("Nothing was changed.") if nothing == "was" else _("Nothing is changed."))


@app.command("labels")
def labels(
    ctx: typer.Context,
    within: Annotated[
        list[str] | None, typer.Argument(metavar="[PLACE]...", help="Bays, beds or places (default: all).")
    ] = None,
    to: Annotated[
        Path, typer.Option("--output", "-o", help="File to write: .pdf, or .png for a picture of each sheet.")
    ] = Path("labels.pdf"),
    sheet: Annotated[
        SheetName, typer.Option(help="Labels on a sheet of A4: 65 (38 × 21 mm), 24 (64 × 34) or 8 (99 × 68).")
    ] = SheetName.MEDIUM,
    skip: Annotated[int, typer.Option(min=0, help="Labels that are gone from the first sheet.")] = 0,
    no_lines: Annotated[
        bool, typer.Option("--no-lines", help="Draw no lines to cut along: for sheets of labels.")
    ] = False,
) -> None:
    """Make sheets of labels to print: code, name and QR code of each place.

    Example: demeter places labels N01 --output N01.pdf
    """
    from db.place_config import places_within
    from db.site_map import list_places
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database
    from pipeline.labels import SHEETS, Label, save_labels

    if to.suffix.lower() not in {".pdf", ".png"}:
        raise typer.BadParameter(
            _("{name!r} ends neither in .pdf nor in .png").format(name=to.name), param_hint="--output"
        )
    with open_database(load_settings(ctx.obj)) as connection:
        wanted = set(places_within(connection, within)) if within else None
        rows = [row for row in list_places(connection) if wanted is None or row["code"] in wanted]
    if not rows:
        output.say(_("There are no places to label."))
        return
    made = [Label(row["code"], row["name"], row["qr_code"] or row["code"]) for row in rows]
    title = _("Demeter: labels of places")
    files = save_labels(to, made, SHEETS[sheet.value], title=title, skip=skip, lines=not no_lines)
    said = n_("{n} label in {files}", "{n} labels in {files}", len(made))
    output.say(said.format(n=len(made), files=", ".join(map(str, files))), wrap=False)
