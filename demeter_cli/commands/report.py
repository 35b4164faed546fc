"""demeter report: what stands where."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from demeter_cli.formats import Format
from demeter_cli.language import N_, _, day, number
from demeter_cli.language import moment as written
from demeter_cli.vocabulary import word

if TYPE_CHECKING:
    from sqlalchemy import Connection

app = typer.Typer(no_args_is_help=True)


@app.callback()
def report() -> None:
    """Print what the books say.

    Example: demeter report stock
    """


@app.command("stock")
def stock(
    ctx: typer.Context,
    place: Annotated[
        str | None, typer.Option(help="Only this place, bed or bay: N01-NORTE-C07, N01-NORTE or N01.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(help="The stock at the end of a day (2026-03-31) or at 2026-03-31T12:00."),
    ] = None,
    value: Annotated[
        bool, typer.Option("--value", help="With prices of that day, and what the stock is worth.")
    ] = False,
    currency: Annotated[
        str | None, typer.Option(help="ISO code of the currency of --value (default: the nursery's).")
    ] = None,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
) -> None:
    """Print the stock by place, product and packaging, with how sure it is.

    With --value: plants in a state to be sold, at wholesale less discount, before VAT. Plants without a
    price are counted apart, never as worth nothing.

    Example: demeter report stock --place N01 --as-of 2026-03-31
    """
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    moment = parse_moment(as_of, ZoneInfo(settings.timezone)) if as_of else None
    with open_database(settings) as connection:
        rows = stock_rows(connection, moment, place)
        warn_of_expired(connection, rows)
        if value:
            on = settings.today(moment or dt.datetime.now(dt.UTC))
            print_value(connection, (moment, place), (on, currency), output_format)
            return
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, CSV_COLUMNS)
        case Format.TABLE if rows:
            title = _("Stock as of {moment}").format(moment=written(moment)) if moment else _("Stock")
            print_stock(rows, title, ZoneInfo(settings.timezone))
        case Format.TABLE:
            output.say(
                _("No stock: nothing had been booked until then.")
                if moment
                else _("No stock: nothing has been booked yet.")
            )


CSV_COLUMNS = (
    *("place", "product", "sku", "state", "size", "packaging", "plants", "low", "high", "counted_at"),
    *("correction", "factor", "audit"),
)


def stock_rows(
    connection: Connection, as_of: dt.datetime | None = None, place: str | None = None
) -> list[dict[str, Any]]:
    """The stable JSON form of the stock; see docs/json.md."""
    from db import reports

    return [asdict(row) for row in reports.stock(connection, as_of, place)]


def print_value(
    connection: Connection,
    wanted: tuple[dt.datetime | None, str | None],
    at: tuple[dt.date, str | None],
    output_format: Format,
) -> None:
    """The stock of a moment and place at the prices of a day, in a currency."""
    from db import reports
    from db.site_settings import value_of
    from demeter_cli import output, valuing

    on = at[0]
    currency = (at[1] or value_of(connection, "currency")).upper()
    found = valuing.valued(connection, reports.stock(connection, *wanted), on, currency)
    rows = [valuing.value_dict(one) for one in found]
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, (*CSV_COLUMNS, *valuing.VALUE_COLUMNS))
        case Format.TABLE if found:
            valuing.print_values(found, _("Stock at the prices of {day}").format(day=day(on)), currency)
        case Format.TABLE:
            output.say(_("No stock: nothing has been booked."))


def print_stock(rows: list[dict[str, Any]], title: str, zone: ZoneInfo) -> None:
    """Times are those of the clock at the site."""
    from demeter_cli import output

    columns = {
        "place": N_("place"),
        "product": N_("product"),
        "packaging": N_("packaging"),
        "plants": N_("plants"),
        "interval": N_("90% range"),
        "counted_at": N_("counted"),
    }
    corrected = [row for row in rows if row["audit"]]
    if corrected:
        columns["corrected"] = N_("corrected")
    shown = [
        {
            **output.local(row, zone),
            "interval": output.interval(row["low"], row["high"]),
            "corrected": output.signed(row["correction"]),
        }
        for row in rows
    ]
    total = {"place": _("all"), "plants": sum(row["plants"] for row in rows), "interval": _interval(rows)}
    droppable = ("counted_at", "packaging", "interval", "corrected")
    output.print_table(shown, columns, title=title, total=total, droppable=droppable, figures=("corrected",))
    for line in _footnotes(corrected):
        output.say(line)


def _footnotes(corrected: list[dict[str, Any]]) -> list[str]:
    """Which audit corrected which product, and by how much; also where the column found no room."""
    notes = {(row["audit"], row["product"], row["factor"]): None for row in corrected}
    return [
        (
            _("{product}: corrected by several factors after {audit}")
            if factor is None
            else _("{product}: corrected ×{factor} after {audit}")
        ).format(product=product, factor=number(factor or 0, 3), audit=audit)
        for audit, product, factor in notes
    ]


def warn_of_expired(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """On stderr: the products here whose counts are no longer corrected, since their audit is too old."""
    from db.holding import has_corrections
    from demeter_cli import output

    if not has_corrections(connection):
        return
    from db.corrections import expired

    for row in expired(connection, {row["sku"] for row in rows}, dt.datetime.now(dt.UTC)):
        output.tell(
            _(
                "{audit} expired on {until}: counts of {product} ({months}) are"
                " no longer corrected. Start another audit, or end this one with `demeter model"
                " audit withdraw {audit}`."
            ).format(
                audit=row.audit,
                until=day(row.valid_until),
                product=row.product,
                months=word(row.season.months),
            )
        )


def _interval(rows: list[dict[str, Any]]) -> str:
    """Of the sum; empty where a row was never counted."""
    from demeter_cli import output
    from pipeline.interval import add

    if any(row["low"] is None for row in rows):
        return ""
    return output.interval(*add((row["plants"], row["low"], row["high"]) for row in rows))


def parse_moment(text: str, zone: ZoneInfo, option: str = "--as-of", *, start: bool = False) -> dt.datetime:
    """A day means its end, or its start; a moment without a zone is in the site's."""
    try:
        if len(text) <= 10:
            on = dt.date.fromisoformat(text)
            return dt.datetime.combine(on, dt.time.min if start else dt.time.max, zone)
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            _("{text!r} is no date like 2026-03-31 and no moment like 2026-03-31T12:00").format(text=text),
            param_hint=option,
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
