"""demeter stock show, demeter explain: what stands at a place, and where the figures come from."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from demeter_cli.formats import Format
from demeter_cli.language import N_, _, why

if TYPE_CHECKING:
    from db.evidence import AsOf
    from demeter_cli.settings import Settings

Place = Annotated[str, typer.Argument(help="Place, bed or bay: N01-NORTE-C07, N01-NORTE or N01.")]
Moment = Annotated[
    str | None, typer.Option("--as-of", help="At the end of a day (2026-03-31) or at 2026-03-31T12:00.")
]
KnownAt = Annotated[
    str | None,
    typer.Option("--known-at", help="By what was written down until then, whatever came to light later."),
]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]

LOT_COLUMNS = {"size": N_("size"), "state": N_("state"), "category": N_("in")}
COLUMNS = {
    "place": N_("place"),
    "product": N_("product"),
    "packaging": N_("pot"),
    **LOT_COLUMNS,
    "plants": N_("plants"),
    "interval": N_("90% range"),
    "counted": N_("counted"),
    "counted_at": N_("on"),
    "moved": N_("since"),
}
CSV_COLUMNS = (
    *("place", "category", "product", "sku", "state", "size", "packaging", "batch"),
    *("plants", "low", "high", "counted", "counted_at", "moved", "count_id"),
)


def show(
    ctx: typer.Context,
    place: Place,
    as_of: Moment = None,
    known_at: KnownAt = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Print what stands at a place, lot by lot: the last count and what moved since.

    --as-of asks for the stock of an earlier moment as the books say it today, --known-at as they said it
    then; `demeter explain` shows what a figure rests on.

    Example: demeter stock show N01-NORTE --as-of 2026-03-31
    """
    from db.evidence import stock_at
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    zone, when = ZoneInfo(settings.timezone), as_of_moments(as_of, known_at, settings)
    with open_database(settings) as connection:
        lots = stock_at(connection, place, when)
    rows = [output.local(asdict(lot) | {"moved": lot.moved}, zone) for lot in lots]
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, CSV_COLUMNS)
        case Format.TABLE if rows:
            shown = [
                row
                | {
                    "interval": output.interval(row["low"], row["high"]),
                    "moved": output.signed(row["moved"]),
                }
                for row in rows
            ]
            total = {"place": _("all"), "plants": sum(row["plants"] for row in rows)}
            needed = output.parting(rows, LOT_COLUMNS)
            columns = {key: name for key, name in COLUMNS.items() if key in needed or key not in LOT_COLUMNS}
            droppable = ("counted_at", "packaging", "counted", "moved", "product", "interval", *needed)
            output.print_table(shown, columns, total=total, droppable=droppable, figures=("moved",))
        case Format.TABLE:
            nothing = (
                _("Nothing stood at {place} then.") if as_of or known_at else _("Nothing stands at {place}.")
            )
            output.say(nothing.format(place=place.upper()))


def explain(
    ctx: typer.Context,
    place: Place,
    as_of: Moment = None,
    known_at: KnownAt = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Print what a stock figure rests on: the count, its photo, models and files, and every movement since.

    Example: demeter explain N01-NORTE-C01
    """
    from db.evidence import explain as explain_stock
    from demeter_cli.explained import print_csv, print_tree, tree
    from demeter_cli.output import print_json, say
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database, open_store

    settings = load_settings(ctx.obj)
    when = as_of_moments(as_of, known_at, settings)
    with open_database(settings) as connection:
        found = explain_stock(connection, place, when)
    store = open_store(settings)
    trees = [tree(one, store, ZoneInfo(settings.timezone)) for one in found]
    match output_format:
        case Format.JSON:
            print_json(trees)
        case Format.CSV:
            print_csv(trees)
        case Format.TABLE if trees:
            for one in trees:
                print_tree(one)
        case Format.TABLE:
            nothing = (
                _("Nothing stood at {place} then.") if as_of or known_at else _("Nothing stands at {place}.")
            )
            say(nothing.format(place=place.upper()))


def as_of_moments(as_of: str | None, known_at: str | None, settings: Settings) -> AsOf:
    """What was asked for, in the site's zone. Raises BadParameter."""
    from db.evidence import AsOf

    return AsOf(_moment(as_of, "--as-of", settings), _moment(known_at, "--known-at", settings))


def _moment(text: str | None, option: str, settings: Settings) -> dt.datetime | None:
    from db.moments import parse_moment

    if text is None:
        return None
    try:
        return parse_moment(text, ZoneInfo(settings.timezone), dt.datetime.now(dt.UTC))
    except ValueError as error:
        raise typer.BadParameter(_("it {problem}").format(problem=why(error)), param_hint=option) from error
