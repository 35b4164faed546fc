"""The stock with what it is worth."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from demeter_cli.language import N_, _, n_, number
from demeter_cli.pricing import amount

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.reports import StockRow
    from db.valuation import Totals, Valued

VALUE_COLUMNS = ("unit_price", "currency", "price_code", "price_rivals", "value", "potential", "unpriced")


def valued(connection: Connection, rows: list[StockRow], day: dt.date, currency: str) -> list[Valued]:
    """Each row of the stock with its price on that day."""
    from db.valuation import PriceBook

    book = PriceBook.load(connection, day, currency.upper())
    return [book.value(row) for row in rows]


def value_dict(one: Valued) -> dict[str, Any]:
    """A row of the stock as in docs/json.md, and its value. Without a price its plants are `unpriced`."""
    price = one.price
    return asdict(one.row) | {
        "unit_price": price and price.unit,
        "currency": price and price.currency,
        "price_code": price and price.code,
        "price_rivals": ", ".join(price.rivals) if price else None,
        "value": one.worth if one.sellable else None,
        "potential": None if one.sellable else one.worth,
        "unpriced": one.row.plants if price is None else 0,
    }


def print_values(found: list[Valued], title: str, currency: str) -> None:
    from db.valuation import totals
    from demeter_cli import output

    summed = totals(found)
    rows = [
        {
            "place": one.row.place,
            "product": one.row.product,
            "packaging": one.row.packaging,
            "state": one.row.state,
            "plants": one.row.plants,
            "price": amount(one.price.unit) + ("*" if one.price.rivals else "") if one.price else "",
            "value": _value(one),
        }
        for one in found
    ]
    columns = {
        "place": N_("place"),
        "product": N_("product"),
        "packaging": N_("pot"),
        "state": N_("state"),
        "plants": N_("plants"),
        "price": N_("price"),
        "value": _("value {currency}").format(currency=currency.upper()),
    }
    total = {"place": _("all"), "plants": sum(one.row.plants for one in found), "value": _sum(summed)}
    output.print_table(
        rows,
        columns,
        title=title,
        total=total,
        droppable=("state", "packaging", "price", "product"),
        figures=("price", "value"),
    )
    for line in _footnotes(summed, currency.upper()):
        output.say(line)


def _value(one: Valued) -> str:
    """A lot without a price has no value; on a narrow terminal the price's column is not there to say so."""
    if one.price is None:
        return _("no price")
    return amount(one.worth) if one.sellable else ""


def _sum(summed: Totals) -> str:
    return amount(summed.value) if summed.valued else ""


def _footnotes(summed: Totals, currency: str) -> list[str]:
    notes = []
    if summed.valued:
        worth = _("{plants} worth {amount} {currency}, wholesale, before VAT.")
        notes.append(
            worth.format(plants=_plants(summed.valued), amount=amount(summed.value), currency=currency)
        )
    if summed.waiting:
        young = _("{plants} not in a state to be sold yet: {amount} {currency}.")
        notes.append(
            young.format(plants=_plants(summed.waiting), amount=amount(summed.potential), currency=currency)
        )
    if summed.unpriced:
        notes.append(_("{plants} without a price, and in no sum.").format(plants=_plants(summed.unpriced)))
    if summed.ambiguous:
        doubtful = _("* {plants} whose price is ambiguous; the lowest was taken.")
        notes.append(doubtful.format(plants=_plants(summed.ambiguous)))
    return notes


def _plants(count: int) -> str:
    return n_("{n} plant", "{n} plants", count).format(n=number(count))
