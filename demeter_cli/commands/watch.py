"""demeter watch: count photos as they arrive in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from demeter_cli.formats import Format
from demeter_cli.language import _, number
from pipeline.printable import printable

if TYPE_CHECKING:
    from demeter_cli.settings import Settings


def watch(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The folder in which photos arrive.")],
    place: Annotated[
        str | None, typer.Option(help="Code of the place that all the photos show, such as N01-NORTE-C07.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Count what is there whole, and end (for cron).")
    ] = False,
    interval: Annotated[
        float | None,
        typer.Option(min=0.1, help="Seconds between two looks (default: the setting watch_interval)."),
    ] = None,
    stable: Annotated[
        float | None,
        typer.Option(
            min=0, help="Seconds that a file must not have changed (default: the setting watch_stable)."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Worker processes; 0 counts in this one (default: up to 2).")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Tell only of what somebody has to look at.")
    ] = False,
    output_format: Annotated[
        Format, typer.Option("--format", "-f", help="How to print; JSON is an object per line.")
    ] = Format.TABLE,
) -> None:
    """Count and book photos as they arrive in FOLDER, until a signal ends it.

    It looks at the folder now and again, so network shares will do. A photo is taken when it has not
    changed for a while and is whole; one that is still arriving is looked at again. The database, the store
    or the folder may go away and come back.

    Example: demeter watch /srv/photos --once --stable 0
    """
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.standby import Standby
    from pipeline.arrivals import Arrivals
    from pipeline.errors import NoPhotos

    settings = load_settings(ctx.obj)
    changed = {"watch_interval": interval, "watch_stable": stable}
    settings = settings.model_copy(
        update={name: value for name, value in changed.items() if value is not None}
    )
    if not folder.is_dir():
        raise NoPhotos(f"There is no folder {folder}: make it, or check the spelling.")
    if place is not None:
        _require_place(settings, place)
    output.be_quiet(quiet)
    arrivals = Arrivals(folder, settings.watch_stable, settings.watch_patience)
    standby = Standby(settings, arrivals, place, workers, _Printer(output_format, quiet).show)
    if once:
        raise typer.Exit(standby.run_once())
    told = _("Watching {folder} every {seconds} s; Ctrl-C ends it.")
    output.tell(told.format(folder=printable(folder), seconds=f"{settings.watch_interval:g}"))
    standby.run()


def _require_place(settings: Settings, place: str) -> None:
    """Raises NotFound at once, not with the first photo."""
    from db.places import PlaceIndex
    from demeter_cli.site import open_database

    with open_database(settings) as connection:
        PlaceIndex.load(connection).named(place)


class _Printer:
    """Rows as they come, a line each."""

    def __init__(self, output_format: Format, quiet: bool) -> None:
        self._format, self._quiet, self._begun = output_format, quiet, False

    def show(self, rows: list[dict[str, Any]]) -> None:
        from demeter_cli import counted, output
        from demeter_cli.commands.process import CSV_COLUMNS, FINE

        match self._format:
            case Format.JSON:
                for row in rows:
                    output.print_json_line(row)
            case Format.CSV:
                columns = (*CSV_COLUMNS, *counted.CSV_COLUMNS)
                output.print_csv(map(counted.flat, rows), columns, heading=not self._begun)
                self._begun = True
            case Format.TABLE:
                for row in rows:
                    if not (row["known"] or (self._quiet and row["status"] in FINE)):
                        output.say(_line(row))


def _line(row: dict[str, Any]) -> str:
    from demeter_cli.output import signed
    from demeter_cli.vocabulary import word

    name, where = Path(row["photo"]).name, row["place"] or _("no place")
    if row["status"] == "failed":
        return f"{name}: {row['error']}"
    total = None if row["total"] is None else (row["main"] or row)["total"]
    plants = _("not counted") if total is None else _("{n} plants").format(n=number(total))
    parts = [where, plants, word(row["status"])]
    if row["booked"] is not None:
        parts.append(_("books {change}").format(change=signed(row["booked"])))
    return f"{name}: {', '.join(parts)}"
