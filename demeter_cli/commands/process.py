"""demeter process: count the plants in photos and book them."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from demeter_cli.formats import Format, WaitOption
from demeter_cli.language import N_, _, number
from demeter_cli.vocabulary import word

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy import Connection

    from demeter_cli.settings import Settings
    from demeter_cli.watching import Watch


def process(
    ctx: typer.Context,
    photos: Annotated[
        list[str] | None, typer.Argument(help="Photos, folders of photos, or patterns in quotes.")
    ] = None,
    pending: Annotated[
        bool, typer.Option("--pending", help="Instead of files, count what is stored and not counted yet.")
    ] = False,
    place: Annotated[
        str | None, typer.Option(help="Code of the place that all the photos show, such as N01-NORTE-C07.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Worker processes; 0 counts in this one (default: up to 2).")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try photos again that were set aside.")] = False,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept-doubtful",
            help="Book also what is or was refused, as if the settings gate_* said warn instead of refuse.",
        ),
    ] = False,
    wait: WaitOption = 0.0,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Print nothing when all is well, else one line (for cron)."),
    ] = False,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
) -> None:
    """Count the plants in PHOTOS and book them into the stock of the places they show.

    The place is taken from --place, from a label in the photo, from `places.csv` beside it, or from the name
    of the file or its folders (N01-NORTE-C07.jpg, N01/NORTE/C07/IMG_1.jpg); docs/photos.md tells what happens
    when these disagree. Photos counted before are not counted again.

    A photo that shows nothing to count is refused: it is kept, not booked, and told of with a sentence (see
    the settings gate_*). Take it again; or look at it, and if it is right after all, name it once more with
    --accept-doubtful: then it is booked with a warning, once, however often it is named.

    Example: demeter process examples
    """
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.watching import Watch, watching

    if pending == bool(photos):
        raise typer.BadParameter(_("name photos, or say --pending to count what is stored already"))
    settings = load_settings(ctx.obj)
    output.be_quiet(quiet)
    how = How(workers, dry_run, accept, wait, quiet, output_format)
    with watching(settings, "process") if not dry_run else nullcontext(Watch()) as watch:
        asked = Asked(tuple(photos or ()), place, retry, () if pending else None)
        raise typer.Exit(process_photos(settings, watch, asked, how))


@dataclass(frozen=True, slots=True)
class How:
    """The options that say how, not what."""

    workers: int | None
    dry_run: bool
    accept: bool
    wait: float
    quiet: bool
    output_format: Format


@dataclass(frozen=True, slots=True)
class Asked:
    """Which photos: files; or these images, which are stored; or with none of them named, all that are stored
    and not counted."""

    photos: tuple[str, ...] = ()
    place: str | None = None
    retry: bool = False
    images: tuple[UUID, ...] | None = None


def process_photos(settings: Settings, watch: Watch, asked: Asked, how: How) -> int:
    """Count, or say what would be; the exit code."""
    from db.stored import uncounted
    from demeter_cli.batch import Batch, Request, model_identity
    from demeter_cli.site import has_embedded_database, open_database, open_store, overlay_folder
    from pipeline.find import count_photos

    total = count_photos(asked.photos) if asked.images is None else len(asked.images) or MANY
    today = dt.datetime.now(ZoneInfo(settings.timezone)).date()
    store = open_store(settings)
    overlays = overlay_folder(settings, store, today)
    config = settings.pipeline(settings.workers_for(total, how.workers), overlays, keep_evidence=True)
    if how.accept:
        config = replace(config, gate=config.gate.accepting())
    if how.dry_run and settings.database_url is None and not has_embedded_database(settings):
        _plan_first_run(total, settings)
        return 0
    model = model_identity(config)  # A damaged model is found before a database is made.
    with open_database(settings) as connection:
        request = Request(list(asked.photos), asked.place, total, asked.retry, how.accept)
        if asked.images is not None:
            images = tuple(uncounted(connection, asked.images or None))
            connection.rollback()
            request = replace(request, images=images, total=len(images))
        batch = Batch(connection, settings, store, config, model, request, watch=watch, wait=how.wait)
        if how.dry_run:
            _print_plan(batch.plan(), how.output_format)
        elif how.quiet:
            _print_in_a_line(batch.run())
        else:
            shown = store.where(f"processed/{today.isoformat()}")
            _print(connection, batch.run(), (shown, ZoneInfo(settings.timezone)), how.output_format)
    return batch.exit_code


MANY = 1000  # photos, where their number is not known yet
FINE = frozenset({"completed", "warning"})


def _print_in_a_line(rows: list[dict[str, Any]]) -> None:
    """What somebody has to look at, in one line; nothing when that is nothing. Failures were told already."""
    from demeter_cli import output

    waiting = Counter(row["status"] for row in rows if row["status"] not in FINE)
    if waiting:
        told = ", ".join(f"{number(count)} {word(status)}" for status, count in sorted(waiting.items()))
        waits = _("{n} photos: {told}; `demeter photos list` shows what each waits for.")
        output.say(waits.format(n=number(len(rows)), told=told))


COLUMNS = {"photo": N_("photo"), "place": N_("place")}
CSV_COLUMNS = (
    *("photo", "sha256", "place", "seen", "hidden", "total", "low", "high", "seconds", "status"),
    *("known", "booked", "error", "correction", "audit"),
)


def _print(
    connection: Connection, rows: list[dict[str, Any]], shown: tuple[str, ZoneInfo], output_format: Format
) -> None:
    """`shown` is where the pictures are, and the site's time zone."""
    from demeter_cli import counted, output
    from demeter_cli.commands.report import print_stock, stock_rows, warn_of_expired

    overlays, zone = shown
    touched = {row["place"] for row in rows if row.get("place")}
    stock = [row for row in stock_rows(connection) if row["place"] in touched]
    warn_of_expired(connection, stock)
    if output_format is Format.CSV:
        output.print_csv(map(counted.flat, rows), (*CSV_COLUMNS, *counted.CSV_COLUMNS))
        return
    if output_format is Format.JSON:
        output.print_json({"photos": rows, "stock": stock, "overlays": overlays})
        return
    if not rows:
        output.say(_("No photo is stored that was not counted."))
        return
    columns, droppable = dict(COLUMNS), ["seconds", "neighbours", "hidden", "seen", "interval", "place"]
    if any(row["audit"] for row in rows):
        columns["corrected"] = N_("corrected")
        droppable.insert(4, "corrected")
    rows = [
        row
        | {
            "photo": Path(row["photo"]).name,
            "corrected": output.signed(row["correction"]),
        }
        for row in rows
    ]
    counted.print_counts(rows, columns, droppable)
    for hint in _hints(rows):
        output.say(hint)
    if stock:
        output.say("")
        print_stock(stock, _("Stock of these places"), zone)
    if any(row.get("overlay") and not row["known"] for row in rows):
        output.say("")
        output.say(_("Pictures of what was counted: {overlays}").format(overlays=overlays), wrap=False)


def _hints(rows: list[dict[str, Any]]) -> Iterator[str]:
    """What a technician can do about photos that wait for a fact."""
    known = sum(bool(row["known"]) for row in rows)
    if known:
        before = _("{n} of {all} photos were counted before and were not counted again.")
        yield before.format(n=number(known), all=number(len(rows)))
    for row in rows:
        photo = row["photo"]
        if row["status"] == "needs_location":
            where = _("{photo}: counted, not booked; which place is it? run again with --place CODE")
            yield where.format(photo=photo)
        if row["status"] == "needs_config":
            grows = _("{photo}: counted, not booked; nothing is configured to grow at {place}")
            yield grows.format(photo=photo, place=row["place"])
        if row["status"] == "refused":
            yield _("{photo}: refused, not booked; {remedy}").format(photo=photo, remedy=_better(row))
        elif row["place"] and row["main"] and not row["main"]["total"]:
            none = _("{photo}: not booked; no plant was counted in the photographed bed")
            yield none.format(photo=photo)


def _better(row: dict[str, Any]) -> str:
    """What to do about a refused photo. Without a plant it would not be booked if it were accepted."""
    if row["main"] and not row["main"]["total"]:
        return _("take it again, if plants stand there")
    return _("take it again, or if it is right after all, run again with --accept-doubtful")


def _plan_first_run(total: int, settings: Settings) -> None:
    from demeter_cli import output

    output.say(
        _(
            "A run would create a database in {data_dir}, load the demo nursery and count {total} photos."
        ).format(data_dir=settings.data_dir, total=total)
    )


def _print_plan(rows: list[dict[str, Any]], output_format: Format) -> None:
    from demeter_cli import output

    columns = {"photo": N_("photo"), "place": N_("place"), "plan": N_("what a run would do")}
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(columns))
        case Format.TABLE:
            output.print_table([{**row, "photo": Path(row["photo"]).name} for row in rows], columns)
