"""demeter prices: what plants cost, and from when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format, UserOption
from demeter_cli.language import _
from demeter_cli.pricing import (
    BackdateOption,
    CategoryOption,
    CodeOption,
    PackagingOption,
    ProductOption,
    YesOption,
    parse_amount,
    parse_day,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

app = typer.Typer(no_args_is_help=True)

FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]
DateOption = Annotated[str | None, typer.Option("--date", help="As it reads on this day (default: today).")]
FromOption = Annotated[str | None, typer.Option("--from", help="The first day (default: today).")]


@app.callback()
def prices() -> None:
    """Say what plants cost, and from when. Prices are without VAT. docs/catalogue.md explains the list.

    Example: demeter prices show MAM-BOC-001
    """


@contextmanager
def _pricing(ctx: typer.Context, user: str | None, yes: bool) -> Iterator[tuple[Connection, dt.date]]:
    """A transaction of somebody who may change prices, and today. A supervisor may with --yes."""
    from db.acting import acting, require_role
    from db.models.vocabulary import Role
    from demeter_cli.settings import load_settings, os_login
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    with (
        open_database(settings) as connection,
        acting(connection, user or settings.user, os_login()) as (actor, _),
    ):
        require_role(connection, actor, *([Role.SUPERVISOR] if yes else []))
        yield connection, settings.today(dt.datetime.now(dt.UTC))


@app.command("list")
def list_prices(
    ctx: typer.Context,
    category: CategoryOption = None,
    packaging: PackagingOption = None,
    product: ProductOption = None,
    code: CodeOption = None,
    date: DateOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Past and future prices too.")] = False,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """List the price list.

    Example: demeter prices list --category CACTUS --date 2026-03-31
    """
    from db.prices import Wanted, lines
    from demeter_cli import output, pricing
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    day = parse_day(date, "--date") or settings.today(dt.datetime.now(dt.UTC))
    with open_database(settings) as connection:
        wanted = Wanted(category, packaging, product, code)
        rows = [pricing.line_row(line) for line in lines(connection, wanted, None if everything else day)]
    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, tuple(rows[0]) if rows else tuple(pricing.LINE_COLUMNS))
        case Format.TABLE if rows:
            pricing.print_lines(rows, "Prices" if everything else f"Prices on {day}")
        case Format.TABLE:
            output.say(_("No price fits: `demeter prices set` and `demeter prices import` add some."))


@app.command("show")
def show(
    ctx: typer.Context,
    product: Annotated[str, typer.Argument(help="SKU of the product, such as MAM-BOC-001.")],
    packaging: PackagingOption = None,
    size: Annotated[str | None, typer.Option(help="Code of the size, such as M.")] = None,
    date: DateOption = None,
    currency: Annotated[str | None, typer.Option(help="ISO code (default: the nursery's).")] = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Say what a product in a pot costs on a day, and which line of the list says so.

    Example: demeter prices show MAM-BOC-001 --packaging MAC-R8-D
    """
    from db.errors import NotFound
    from db.prices import Wanted, require_known
    from db.pricing import money
    from db.site_settings import value_of
    from db.valuation import Lot, PriceBook
    from demeter_cli import output, pricing
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    day = parse_day(date, "--date") or settings.today(dt.datetime.now(dt.UTC))
    with open_database(settings) as connection:
        require_known(connection, Wanted(packaging=packaging, product=product))
        book = PriceBook.load(connection, day, (currency or value_of(connection, "currency")).upper())
        vat = Decimal(value_of(connection, "vat_percent"))
    sku, pot = product.upper(), packaging and packaging.upper()
    price = book.price(Lot(sku, book.categories[sku], pot, size and size.upper()))
    if price is None:
        raise NotFound(f"{sku} in {pot or 'no pot'} has no price on {day} in {book.currency}")
    if output_format is not Format.TABLE:
        row: dict[str, Any] = {"product": sku, "packaging": pot, "size": size, "date": day}
        row |= {"unit_price": price.unit, "currency": price.currency, "code": price.code}
        row["rivals"] = list(price.rivals)
        output.print_json(row) if output_format is Format.JSON else output.print_csv([row], tuple(row))
        return
    output.say(
        _("{sku} in {pot} costs {amount} {currency} on {day}.").format(
            sku=sku,
            pot=pot or _("no pot"),
            amount=pricing.amount(price.unit),
            currency=price.currency,
            day=day,
        )
    )
    gross = pricing.amount(money(price.unit * (100 + vat) / 100))
    output.say(
        _("By line {code}, after its discount and before VAT; with {vat} % VAT {gross}.").format(
            code=price.code, vat=vat, gross=gross
        )
    )
    if price.rivals:
        output.say(
            _(
                "Ambiguous: {list} would do as well, up to {amount}. The lowest is taken; a line"
                " that names the product would settle it."
            ).format(list=", ".join(price.rivals), amount=pricing.amount(price.highest))
        )


@app.command("set")
def set_one(
    ctx: typer.Context,
    code: Annotated[str, typer.Argument(help="The client's code; spaces and hyphens do not matter.")],
    category: CategoryOption = None,
    packaging: PackagingOption = None,
    product: ProductOption = None,
    size: Annotated[str | None, typer.Option(help="Only for this size.")] = None,
    description: Annotated[str | None, typer.Option(help="What the line is about.")] = None,
    wholesale: Annotated[str | None, typer.Option(help="Price of one, without VAT; 'none' for none.")] = None,
    retail: Annotated[str | None, typer.Option(help="Retail price of one.")] = None,
    units_per_box: Annotated[str | None, typer.Option(help="How many a box holds.")] = None,
    box_price: Annotated[str | None, typer.Option(help="Price of a box, if not price times units.")] = None,
    discount_percent: Annotated[str | None, typer.Option("--discount", help="Percent off.")] = None,
    availability: Annotated[
        str | None,
        typer.Option(help="available, limited, while_stocks_last, out_of_stock or discontinued."),
    ] = None,
    currency: Annotated[str | None, typer.Option(help="ISO code (a new line: ARS).")] = None,
    observations: Annotated[str | None, typer.Option(help="Anything else.")] = None,
    start: FromOption = None,
    stop: Annotated[str | None, typer.Option("--until", help="The last day; then it is as before.")] = None,
    backdate: BackdateOption = False,
    yes: YesOption = False,
    user: UserOption = None,
) -> None:
    """Set a price from a day on. What is not given stays as it is on that day.

    It takes an admin, or a supervisor with --yes.

    Example: demeter prices set "C R8 D -1" --category CACTUS --packaging MAC-R8-D --wholesale 950
    """
    from demeter_cli import output, pricing

    given = {
        "wholesale": wholesale,
        "retail": retail,
        "units_per_box": units_per_box,
        "box_price": box_price,
        "discount_percent": discount_percent,
        "availability": availability,
        "currency": currency,
        "observations": observations,
    }
    about = {
        "category": category,
        "packaging": packaging,
        "product": product,
        "size": size,
        "description": description,
    }
    last = parse_day(stop, "--until")
    with _pricing(ctx, user, yes) as (connection, today):
        first = parse_day(start, "--from") or today
        after = last + dt.timedelta(days=1) if last else None
        outcome = pricing.set_one(
            connection, (code, about, given), (first, after), None if backdate else today
        )
    until = _(" until {day}").format(day=last) if last else ""
    told = _("{code}: {outcome}, from {first}{until}.")
    output.say(told.format(code=code, outcome=outcome, first=first, until=until))


@app.command("end")
def end(
    ctx: typer.Context,
    code: Annotated[str, typer.Argument(help="The client's code.")],
    start: FromOption = None,
    backdate: BackdateOption = False,
    yes: YesOption = False,
    user: UserOption = None,
) -> None:
    """Let a code have no price from a day on. What it cost before is kept.

    Example: demeter prices end "C R8 T -1" --from 2026-12-01
    """
    from db.prices import end_price
    from demeter_cli import output

    with _pricing(ctx, user, yes) as (connection, today):
        first = parse_day(start, "--from") or today
        outcome = end_price(connection, code, first, today=None if backdate else today)
    output.say(
        _("{code}: {outcome}, no price from {first} on.").format(code=code, outcome=outcome, first=first)
    )


@app.command("import")
def import_prices(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV, XLSX, XLS or ODS with the columns that export writes.")],
    start: Annotated[
        str | None, typer.Option("--from", help="The first day, whatever the file's valid_from says.")
    ] = None,
    decimal: Annotated[
        str | None, typer.Option(help="The sign that marks decimals, '.' or ',', if the file leaves it open.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")] = False,
    backdate: BackdateOption = False,
    yes: YesOption = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Set prices from a file: all of it or, if a line cannot be meant, nothing.

    Columns that the file lacks stay as they are. It takes an admin, or a supervisor with --yes.

    Example: demeter prices import prices.csv --from 2026-04-01 --dry-run
    """
    from db.price_files import read_prices, save_prices
    from db.site_settings import value_of
    from demeter_cli import output

    if decimal not in (None, ".", ","):
        raise typer.BadParameter(_("a dot or a comma marks decimals"), param_hint="--decimal")
    with _pricing(ctx, user, yes or dry_run) as (connection, today):
        currency = value_of(connection, "currency")
        first = parse_day(start, "--from")
        told = read_prices(file, today, start=first, decimal=decimal, currency=currency)
        counted, refused = save_prices(connection, told.rows, today=None if backdate else today)
        rejects = sorted([*told.rejects, *refused])
        if rejects or dry_run:
            connection.rollback()
    for note in told.notes:
        output.tell(f"{file.name}: {note}")
    row: dict[str, Any] = {"file": file.name, "read": len(told.rows) + len(told.rejects)}
    row |= {outcome.value: number for outcome, number in counted.items()} | {"rejected": len(rejects)}
    match output_format:
        case Format.JSON:
            output.print_json(row)
        case Format.CSV:
            output.print_csv([row], tuple(row))
        case Format.TABLE:
            output.print_table([row], {name: name for name in row}, droppable=("file",))
    for reject in rejects:
        output.report_problem(f"{file.name}, line {reject.line}: {reject.reason}")
    if rejects:
        output.tell(_("Nothing was loaded: put these lines right and import the file again."))
        raise typer.Exit(ExitCode.MISMATCH)
    if dry_run:
        output.tell(_("Nothing was loaded: that is what would be."))


@app.command("export")
def export(
    ctx: typer.Context,
    out: Annotated[Path | None, typer.Option(help="File to write (default: the terminal).")] = None,
    date: DateOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Past and future prices too.")] = False,
) -> None:
    """Write the price list as CSV, which import reads back.

    Example: demeter prices export
    """
    from db.price_files import write_prices
    from db.prices import Wanted, lines
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from demeter_cli.site import open_database

    settings = load_settings(ctx.obj)
    day = parse_day(date, "--date") or settings.today(dt.datetime.now(dt.UTC))
    with open_database(settings) as connection:
        found = lines(connection, Wanted(), None if everything else day)
    output.save_text(write_prices(found), out)
    if out is not None:
        output.tell(_("{out}: {n} lines.").format(out=out, n=len(found)))


@app.command("change")
def change(
    ctx: typer.Context,
    percent: Annotated[str | None, typer.Option(help="Percent up, or down: 10, -5.5.")] = None,
    amount: Annotated[str | None, typer.Option(help="Up or down by so much: 50, -20.")] = None,
    step: Annotated[
        str | None, typer.Option(help="Round to multiples of this, halves up (default: the nursery's).")
    ] = None,
    discount: Annotated[str | None, typer.Option(help="Set the discount, in percent.")] = None,
    availability: Annotated[str | None, typer.Option(help="Set the availability.")] = None,
    category: CategoryOption = None,
    packaging: PackagingOption = None,
    product: ProductOption = None,
    code: CodeOption = None,
    start: FromOption = None,
    yes: YesOption = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Change many prices at once. Without --yes it only shows what would change.

    Example: demeter prices change --category CACTUS --percent 12 --step 10 --from 2026-04-01
    """
    from db.price_changes import Raise, carry_out, plan
    from db.prices import Wanted
    from db.site_settings import value_of
    from demeter_cli import output, pricing

    if not any((percent, amount, discount, availability)):
        raise typer.BadParameter(_("say what to change: --percent, --amount, --discount or --availability"))
    with _pricing(ctx, user, True) as (connection, today):
        first = parse_day(start, "--from") or today
        if first < today:
            raise typer.BadParameter(_("prices of days that are over stay as they are"), param_hint="--from")
        wanted_change = Raise(
            parse_amount(percent or "0", "--percent"),
            parse_amount(amount or "0", "--amount"),
            parse_amount(step or value_of(connection, "price_step"), "--step"),
            parse_amount(discount, "--discount") if discount else None,
            availability,
        )
        planned = plan(connection, Wanted(category, packaging, product, code), wanted_change, first)
        if yes:
            carry_out(connection, planned, first)
    pricing.print_planned(planned, output_format, f"Prices from {first} on")
    if not yes and planned:
        output.tell(_("Nothing was changed: the same command with --yes does it."))
