"""What the commands about prices share: filters, terms typed on a command line, and tables of lines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from demeter_cli.formats import Format
from demeter_cli.language import N_, _
from demeter_cli.language import number as written

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.price_changes import Planned
    from db.prices import Line, Outcome
    from db.pricing import Terms

CategoryOption = Annotated[str | None, typer.Option(help="Category of products, such as CACTUS.")]
PackagingOption = Annotated[str | None, typer.Option(help="SKU of the pot, such as MAC-R8-D.")]
ProductOption = Annotated[str | None, typer.Option(help="SKU of the product.")]
CodeOption = Annotated[str | None, typer.Option(help="Codes that begin so.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it.")]
BackdateOption = Annotated[
    bool, typer.Option("--backdate", help="Also change what held on days that are over.")
]

LINE_COLUMNS = {
    "code": N_("code"),
    "category": N_("category"),
    "packaging": N_("pot"),
    "product": N_("product"),
    "wholesale": N_("wholesale"),
    "discount_percent": "−%",
    "effective": N_("price"),
    "units_per_box": N_("box"),
    "availability": N_("availability"),
    "valid_from": N_("from"),
    "valid_to": N_("until"),
}
DROPPABLE = ("availability", "product", "units_per_box", "wholesale", "valid_to", "category", "valid_from")


def line_row(line: Line) -> dict[str, Any]:
    """The stable JSON form of a line of the price list; see docs/json.md."""
    from db.pricing import box_price, effective

    terms = line.span.terms
    return {
        "sku": line.sku,
        "code": line.item.code,
        "category": line.item.category,
        "packaging": line.item.packaging,
        "product": line.item.product,
        "size": line.item.size,
        "description": line.item.description,
        "wholesale": terms.wholesale,
        "retail": terms.retail,
        "units_per_box": terms.units_per_box,
        "box_price": box_price(terms),
        "discount_percent": terms.discount_percent,
        "effective": None if terms.wholesale is None else effective(terms.wholesale, terms.discount_percent),
        "availability": terms.availability,
        "currency": terms.currency,
        "observations": terms.observations,
        "valid_from": line.span.start,
        "valid_to": line.span.stop,
    }


def print_lines(rows: Iterable[dict[str, Any]], title: str) -> None:
    from demeter_cli import output

    shown = [
        {
            **row,
            "wholesale": amount(row["wholesale"]),
            "effective": amount(row["effective"]) or "no price",
            "discount_percent": f"{row['discount_percent'].normalize():f}" if row["discount_percent"] else "",
            "valid_to": "" if row["valid_to"] is None else str(row["valid_to"] - dt.timedelta(days=1)),
        }
        for row in rows
    ]
    columns = {key: heading for key, heading in LINE_COLUMNS.items() if any(row[key] for row in shown)}
    figures = ("wholesale", "effective", "discount_percent")
    output.print_table(shown, columns, title=title, droppable=DROPPABLE, figures=figures)


def amount(money: Decimal | None) -> str:
    """For people: 12,345.50, or 12.345,50. Machines get the plain number."""
    return "" if money is None else written(money, 2)


def parse_amount(text: str, option: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise typer.BadParameter(
            _("{text!r} is no number like 1050 or 1050.50").format(text=text), param_hint=option
        )
    return number


def parse_day(text: str | None, option: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError as error:
        raise typer.BadParameter(
            _("{text!r} is no day like 2026-03-31").format(text=text), param_hint=option
        ) from error


def with_options(terms: Terms, given: dict[str, str | None]) -> Terms:
    """The terms with what was typed; 'none' takes a value away, and None leaves it."""
    changes: dict[str, Any] = {}
    for name, text in given.items():
        if text is None:
            continue
        option = f"--{name.replace('_', '-')}"
        changes[name] = None if text.lower() == "none" else _parse(name, text, option)
    if "discount_percent" in changes and changes["discount_percent"] is None:
        changes["discount_percent"] = Decimal(0)
    return replace(terms, **changes)


def _parse(name: str, text: str, option: str) -> Any:
    match name:
        case "availability" | "observations":
            return text
        case "currency":
            return text.upper()
        case "units_per_box":
            if not text.isdecimal():
                raise typer.BadParameter(
                    _("{text!r} is no whole number").format(text=text), param_hint=option
                )
            return int(text)
        case _:
            return parse_amount(text, option)


def set_one(
    connection: Connection,
    told: tuple[str, dict[str, str | None], dict[str, str | None]],
    days: tuple[dt.date, dt.date | None],
    today: dt.date | None,
) -> Outcome:
    """Set a price as typed: `told` is the code, what it is about, and its terms; the rest stays as it is."""
    from db.prices import Item, Wanted, lines
    from db.prices import set_price as save
    from db.pricing import Terms, sku_of, terms_at
    from db.site_settings import value_of

    code, about, given = told
    held = [line for line in lines(connection, Wanted(code=code), None) if line.sku == sku_of(code)]
    old = held[-1].item if held else Item(code, about["category"] or "")
    if not old.category:
        raise typer.BadParameter(
            _("{code} is new: say its category").format(code=code), param_hint="--category"
        )
    said = {name: text for name, text in about.items() if text is not None}
    changes: dict[str, Any] = {name: None if text == "none" else text for name, text in said.items()}
    item = replace(old, **changes)
    terms = terms_at((line.span for line in held), days[0]) or Terms(
        currency=value_of(connection, "currency")
    )
    return save(connection, item, with_options(terms, given), *days, today=today)


def print_planned(planned: list[Planned], output_format: Format, title: str) -> None:
    """What a change does to each line: its price before and after, and the difference."""
    from demeter_cli import output

    rows = [_planned_row(one) for one in planned]
    names = ("code", "category", "packaging", "wholesale", "new_wholesale", "retail", "new_retail")
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, (*names, "new_discount_percent", "new_availability"))
        case Format.TABLE if rows:
            shown = [
                {
                    key: (amount(cell) if isinstance(cell, Decimal) and cell else cell) or ""
                    for key, cell in row.items()
                }
                for row in rows
            ]
            headings = {
                "code": "code",
                "packaging": "pot",
                "wholesale": "wholesale",
                "new_wholesale": "new",
                "retail": "retail",
                "new_retail": "new retail",
                "new_discount_percent": "new −%",
                "new_availability": "new availability",
            }
            columns = {key: words for key, words in headings.items() if any(row[key] for row in shown)}
            figures = ("wholesale", "new_wholesale", "retail", "new_retail", "new_discount_percent")
            output.print_table(shown, columns, title=title, figures=figures, droppable=("packaging",))
        case Format.TABLE:
            output.say(_("Nothing would change."))


def _planned_row(one: Planned) -> dict[str, Any]:
    old = one.line.span.terms
    return {
        "code": one.line.item.code,
        "category": one.line.item.category,
        "packaging": one.line.item.packaging,
        "wholesale": old.wholesale,
        "new_wholesale": one.new.wholesale,
        "retail": old.retail,
        "new_retail": one.new.retail,
        "new_discount_percent": _if_new(old.discount_percent, one.new.discount_percent),
        "new_availability": _if_new(old.availability, one.new.availability),
    }


def _if_new(old: object, new: object) -> object:
    return new if new != old else None
