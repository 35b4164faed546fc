"""demeter estimate: work counts out again, without looking at the photos."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format, WaitOption
from demeter_cli.language import N_, _

if TYPE_CHECKING:
    from db.standing import Choice


def estimate(
    ctx: typer.Context,
    sessions: Annotated[
        list[str] | None, typer.Argument(metavar="SESSION", help="Numbers of counts (default: all).")
    ] = None,
    place: Annotated[
        list[str] | None,
        typer.Option(help="Only this place, bed or bay: N01-NORTE-C07; give it several times."),
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only photos taken on this day or later.")] = None,
    until: Annotated[str | None, typer.Option(help="Only photos taken on this day or earlier.")] = None,
    method: Annotated[
        str | None,
        typer.Option(help="Another way to estimate than the setting `estimator` says, such as perspective."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")
    ] = False,
    wait: WaitOption = 0.0,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
) -> None:
    """Estimate again what is hidden in photos counted before, and book the difference.

    It starts from the evidence kept with each photo, so it takes seconds. Use it after a calibration, or with
    another method. Of a photo that was counted several times, the last count is meant.

    Example: demeter estimate --place N01 --method perspective --dry-run
    """
    from demeter_cli.batch import model_identity
    from demeter_cli.restating import Restating
    from demeter_cli.settings import load_settings
    from demeter_cli.site import has_embedded_database, open_database, open_store
    from pipeline.config import ESTIMATORS
    from pipeline.detect import detector_card

    settings = load_settings(ctx.obj)
    if method is not None and method not in ESTIMATORS:
        raise typer.BadParameter(
            _("{method!r} is none of {list}").format(method=method, list=", ".join(ESTIMATORS)),
            param_hint="--method",
        )
    choice = _choice((sessions or [], place or []), (since, until), ZoneInfo(settings.timezone))
    config = settings.pipeline(0)
    config = replace(config, estimator=method or config.estimator)
    card, model = detector_card(config), model_identity(config)
    if settings.database_url is None and not has_embedded_database(settings):
        _print([], output_format, dry_run=dry_run)
        return
    with open_database(settings) as connection:
        restating = Restating(connection, settings, open_store(settings), config, card)
        rows = restating.plan(choice) if dry_run else restating.run(choice, model, wait)
    _print(rows, output_format, dry_run=dry_run)
    failed = sum(row["outcome"] == "failed" for row in rows)
    if failed:
        raise typer.Exit(ExitCode.STORAGE if failed == len(rows) else ExitCode.PARTIAL)


def _choice(
    named: tuple[list[str], list[str]], days: tuple[str | None, str | None], zone: ZoneInfo
) -> Choice:
    """Raises BadParameter for what is no day."""
    from db.standing import Choice

    bounds = []
    for text, option, time in zip(days, ("--since", "--until"), (dt.time.min, dt.time.max), strict=True):
        try:
            day = dt.date.fromisoformat(text) if text else None
        except ValueError as error:
            raise typer.BadParameter(
                _("{text!r} is no day like 2026-03-31").format(text=text), param_hint=option
            ) from error
        bounds.append(dt.datetime.combine(day, time, zone) if day else None)
    return Choice(tuple(named[0]), tuple(named[1]), *bounds)


CSV_COLUMNS = (
    *("session", "photo", "place", "outcome", "method_before", "seen_before", "hidden_before"),
    *("total_before", "low_before", "high_before", "method", "version", "seen", "hidden", "total"),
    *("low", "high", "booked", "error"),
)
COLUMNS = {
    "session": N_("session"),
    "photo": N_("photo"),
    "place": N_("place"),
    "total_before": N_("before"),
    "range_before": N_("90% range"),
    "total": N_("after"),
    "range": N_("90% range"),
    "booked": N_("booked"),
    "method": N_("method"),
    "outcome": N_("outcome"),
}


def _print(rows: list[dict[str, Any]], output_format: Format, *, dry_run: bool) -> None:
    from demeter_cli import output

    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, CSV_COLUMNS)
        case Format.TABLE if rows:
            shown = [
                {
                    **row,
                    "range_before": output.interval(row["low_before"], row["high_before"]),
                    "range": output.interval(row["low"], row["high"]),
                }
                for row in rows
            ]
            droppable = ("method", "place", "range_before", "photo", "booked", "range")
            output.print_table(shown, COLUMNS, droppable=droppable, figures=("range_before", "range"))
            if dry_run and any(row["outcome"] == "would change" for row in rows):
                output.say(_("Nothing was changed; without --dry-run it would be."))
        case Format.TABLE:
            output.say(_("No count of a photo matches; nothing was estimated."))
