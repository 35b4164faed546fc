"""demeter photos draw: pictures of what was counted, from the stored photos and their evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from demeter_cli.commands.photos import FormatOption, Numbers
from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format
from demeter_cli.language import _

if TYPE_CHECKING:
    from db.standing import Standing
    from demeter_cli.restating import Restating

Kind = Literal["count", "detections", "containers", "hidden", "confidence", "all"]


def draw(
    ctx: typer.Context,
    numbers: Numbers,
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for the pictures.")],
    kind: Annotated[
        Kind,
        typer.Option(
            help="What is drawn: plants and containers, only one of them, hidden plants, how sure, or all."
        ),
    ] = "count",
    force: Annotated[bool, typer.Option("--force", help="Replace pictures that are there already.")] = False,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Draw what was counted into photos, at their full size.

    It starts from the stored photo and the evidence kept with it, so no network runs. A photo whose evidence
    is gone is named, and the others are drawn.

    Example: demeter photos draw 12 --kind hidden --out pictures
    """
    from db.standing import Choice, standing_sessions
    from demeter_cli import output
    from demeter_cli.restating import Restating
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database, open_store
    from pipeline.detect import detector_card
    from pipeline.errors import PhotoError, StorageError
    from pipeline.find import own_folder

    settings = load_settings(ctx.obj)
    config = settings.pipeline(0)
    rows: list[dict[str, Any]] = []
    own_folder(out)
    with open_database(settings) as connection:
        names = tuple(str(number) for number in dict.fromkeys(numbers))
        standing = standing_sessions(connection, Choice(sessions=names))
        connection.rollback()
        restating = Restating(connection, settings, open_store(settings), config, detector_card(config))
        for one in standing:
            try:
                row = {"file": str(_drawn(restating, one, (kind, out, force))), "error": None}
            except (StorageError, PhotoError) as error:
                output.report_problem(str(error))
                row = {"file": None, "error": str(error)}
            rows.append({"session": one.id, "place": one.place, **row})
    columns = {"session": _("photo"), "place": _("place"), "file": _("picture")}
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, ("session", "place", "file", "error"))
        case Format.TABLE:
            output.print_table(rows, columns, droppable=("place",))
    if any(row["error"] for row in rows):
        raise typer.Exit(ExitCode.PARTIAL)


def _drawn(restating: Restating, standing: Standing, how: tuple[str, Path, bool]) -> Path:
    """The picture of one photo. Raises StorageError and PhotoError."""
    from db.worklist import details
    from pipeline.decode import decode, save_image
    from pipeline.draw import Shown, draw_overlay, overlay_name
    from pipeline.errors import StorageError
    from pipeline.storage import as_file

    kind, folder, force = how
    row = details(restating.connection, standing.id)
    restating.connection.rollback()
    name = overlay_name(standing.photo)
    path = folder / f"{Path(name).stem}-{kind}.jpg"
    if path.exists() and not force:
        raise StorageError(f"{path} is there already; --force replaces it")
    if row["storage_key"] is None:
        raise StorageError(f"the original of photo {standing.id} is lost")
    result = restating.recounted(standing)
    if isinstance(result, str):
        raise StorageError(f"photo {standing.id}: {result}")
    most = int(restating.settings.max_megapixels * 1e6)
    with as_file(restating.store, row["storage_key"], row["sha256"]) as original:
        pixels = decode(original, max_pixels=most, min_side=1, sha256=None)
    save_image(path, draw_overlay(pixels, result, Shown(kind), None))
    return path
