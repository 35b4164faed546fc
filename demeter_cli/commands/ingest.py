"""demeter ingest: store photos without counting them."""

from __future__ import annotations

from typing import Annotated

import typer

from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format, UserOption
from demeter_cli.language import N_, _

COLUMNS = {"photo": N_("photo"), "place": N_("place"), "located_by": N_("known by"), "status": N_("status")}
CSV_COLUMNS = ("photo", "sha256", "place", "located_by", "status", "error")


def ingest(
    ctx: typer.Context,
    photos: Annotated[list[str], typer.Argument(help="Photos, folders of photos, or patterns in quotes.")],
    place: Annotated[
        str | None, typer.Option(help="Code of the place that all the photos show, such as N01-NORTE-C07.")
    ] = None,
    user: UserOption = None,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
) -> None:
    """Store PHOTOS and find out which places they show, without counting; the files stay as they are.

    `demeter process --pending` counts them later, on this machine or on another one with the same store and
    database. What is stored already is not stored again.

    Example: demeter ingest examples
    """
    from pathlib import Path

    from db.places import PlaceIndex
    from demeter_cli import output
    from demeter_cli.ingesting import Ingest
    from demeter_cli.locating import Locator, compiled
    from demeter_cli.settings import load_settings
    from demeter_cli.site import COUNTERS, actor, open_database, open_store

    settings = load_settings(ctx.obj)
    with open_database(settings) as connection:
        places = PlaceIndex.load(connection)
        fixed = places.named(place) if place else None
        who = actor(connection, settings, *COUNTERS, user=user)
        connection.rollback()
        locator = Locator(places, fixed, compiled(settings.place_patterns))
        job = Ingest(connection, settings, open_store(settings), locator, who)
        job.run(photos)
    match output_format:
        case Format.JSON:
            output.print_json(job.rows)
        case Format.CSV:
            output.print_csv(job.rows, CSV_COLUMNS)
        case Format.TABLE:
            shown = [row | {"photo": Path(row["photo"]).name} for row in job.rows]
            columns = {key: _(heading) for key, heading in COLUMNS.items()}
            output.print_table(shown, columns, droppable=("located_by",))
            output.print_warnings(shown)
            new = sum(row["status"] == "stored" for row in job.rows)
            output.say(_("{new} of {all} photos were stored.").format(new=new, all=len(job.rows)))
    if any(row["status"] == "failed" for row in job.rows):
        raise typer.Exit(ExitCode.PARTIAL)
