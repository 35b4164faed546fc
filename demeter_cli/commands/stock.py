"""demeter stock: book what happens to plants."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from demeter_cli.booking import SignedCommand
from demeter_cli.formats import Format, UserOption
from demeter_cli.language import _

if TYPE_CHECKING:
    from demeter_cli.booking import Way

app = typer.Typer(no_args_is_help=True)

Place = Annotated[str, typer.Argument(help="Place, such as N01-NORTE-C07.")]
Quantity = Annotated[str, typer.Argument(help="How many: pots, or plants in trays.")]
Date = Annotated[
    str | None,
    typer.Option("--date", "-d", help="When: 2026-03-31 (its end) or 2026-03-31T09:30. Default: now."),
]
Product = Annotated[str | None, typer.Option(help="SKU of the product. Default: the one there.")]
State = Annotated[str | None, typer.Option(help="State of the plants. Default: the one there.")]
Size = Annotated[str | None, typer.Option(help="Size of the plants. Default: the one there.")]
Packaging = Annotated[str | None, typer.Option(help="SKU of the pot, or none. Default: the one there.")]
Container = Annotated[str | None, typer.Option(help="segment, box, plug, seedling_tray or pot.")]
Reason = Annotated[str | None, typer.Option("--reason", "-r", help="Why; kept with the movement.")]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Say what would be booked, and do nothing.")]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]


@app.callback()
def stock() -> None:
    """Book what happens to plants, and look it up. Nothing booked is changed: undo books the opposite.

    Example: demeter stock death N01-NORTE-C01 3
    """


def _way(ctx: typer.Context, user: str | None, dry_run: bool, output_format: Format) -> Way:
    from demeter_cli.booking import Way
    from demeter_cli.settings import load_settings

    return Way(load_settings(ctx.obj), user, dry_run, output_format)


def _book(way: Way, kind: str, where: tuple[str, str], date: str | None, **said: Any) -> None:
    from db.orders import Kind, Order
    from demeter_cli.booking import book_order, moment_of, whole

    place, quantity = where
    order = Order(kind=Kind(kind), place=place, quantity=whole(quantity), moment=moment_of(date, way), **said)
    book_order(order, way)


def _lot(
    product: str | None, state: str | None, size: str | None, packaging: str | None, container: str | None
) -> Any:
    from db.orders import LotWords

    return LotWords(product=product, state=state, size=size, packaging=packaging, container=container)


@app.command("sow", cls=SignedCommand)
def sow(
    ctx: typer.Context,
    place: Place,
    quantity: Quantity,
    date: Date = None,
    product: Product = None,
    state: State = None,
    size: Size = None,
    packaging: Packaging = None,
    container: Container = None,
    reason: Reason = None,
    dry_run: DryRun = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Book seeds or cuttings that were sown, into trays unless a container is named.

    Example: demeter stock sow N02-SUR-C05 288 --product MAM-BOC-001 --date 2026-11-20
    """
    lot = _lot(product, state, size, packaging, container)
    _book(_way(ctx, user, dry_run, output_format), "sow", (place, quantity), date, lot=lot, reason=reason)


@app.command("plant", cls=SignedCommand)
def plant(
    ctx: typer.Context,
    place: Place,
    quantity: Quantity,
    date: Date = None,
    product: Product = None,
    state: State = None,
    size: Size = None,
    packaging: Packaging = None,
    container: Container = None,
    reason: Reason = None,
    dry_run: DryRun = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Book plants that came to a place from outside, such as bought ones.

    What is not said is as configured for the place.

    Example: demeter stock plant N01-NORTE-C01 500
    """
    lot = _lot(product, state, size, packaging, container)
    _book(_way(ctx, user, dry_run, output_format), "plant", (place, quantity), date, lot=lot, reason=reason)


@app.command("transplant", cls=SignedCommand)
def transplant(
    ctx: typer.Context,
    place: Place,
    quantity: Quantity,
    to: Annotated[str | None, typer.Option(help="Where to. Default: they stay at the place.")] = None,
    date: Date = None,
    to_packaging: Annotated[str | None, typer.Option(help="SKU of the new pot, or none.")] = None,
    to_size: Annotated[str | None, typer.Option(help="Their size now.")] = None,
    to_state: Annotated[str | None, typer.Option(help="Their state now.")] = None,
    to_container: Annotated[str | None, typer.Option(help="The new kind of container.")] = None,
    plants_per_pot: Annotated[int, typer.Option(help="Plants in each new pot.")] = 1,
    from_plants_per_pot: Annotated[int, typer.Option(help="Plants in each old pot.")] = 1,
    deaths: Annotated[int, typer.Option(help="Of the quantity, how many died on the way.")] = 0,
    product: Product = None,
    state: State = None,
    size: Size = None,
    packaging: Packaging = None,
    container: Container = None,
    reason: Reason = None,
    dry_run: DryRun = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Book plants that get another pot, size or state, here or at another place. No plant is lost or made.

    The options without `to` say which lot is meant, where a place holds several.

    Example: demeter stock transplant N02-SUR-C05 288 --to N01-NORTE-C01 --to-packaging MAC-R8-T --deaths 6
    """
    _book(
        _way(ctx, user, dry_run, output_format),
        "transplant",
        (place, quantity),
        date,
        lot=_lot(product, state, size, packaging, container),
        becomes=_lot(None, to_state, to_size, to_packaging, to_container),
        to=to,
        per_pot=plants_per_pot,
        from_per_pot=from_plants_per_pot,
        deaths=deaths,
        reason=reason,
    )


@app.command("move", cls=SignedCommand)
def move(
    ctx: typer.Context,
    place: Place,
    to: Annotated[str, typer.Argument(help="Where to.")],
    quantity: Quantity,
    date: Date = None,
    deaths: Annotated[int, typer.Option(help="Of the quantity, how many died on the way.")] = 0,
    product: Product = None,
    state: State = None,
    size: Size = None,
    packaging: Packaging = None,
    container: Container = None,
    reason: Reason = None,
    dry_run: DryRun = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Book plants that are carried to another place as they are.

    Example: demeter stock move N01-NORTE-C01 N01-NORTE-C02 200
    """
    lot = _lot(product, state, size, packaging, container)
    way = _way(ctx, user, dry_run, output_format)
    _book(way, "move", (place, quantity), date, lot=lot, to=to, deaths=deaths, reason=reason)


@app.command("death", cls=SignedCommand)
def death(
    ctx: typer.Context,
    place: Place,
    quantity: Quantity,
    date: Date = None,
    product: Product = None,
    state: State = None,
    size: Size = None,
    packaging: Packaging = None,
    container: Container = None,
    reason: Reason = None,
    dry_run: DryRun = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Book plants that died. Their pots are kept as empty ones.

    Example: demeter stock death N01-NORTE-C01 12 --reason "rot after the storm"
    """
    lot = _lot(product, state, size, packaging, container)
    _book(_way(ctx, user, dry_run, output_format), "death", (place, quantity), date, lot=lot, reason=reason)


@app.command("sale", cls=SignedCommand)
def sale(
    ctx: typer.Context,
    place: Place,
    quantity: Quantity,
    date: Date = None,
    price: Annotated[str | None, typer.Option(help="What one costs, such as 1250.50.")] = None,
    product: Product = None,
    state: State = None,
    size: Size = None,
    packaging: Packaging = None,
    container: Container = None,
    reason: Reason = None,
    dry_run: DryRun = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Book plants that were sold. Trays are never sold.

    Example: demeter stock sale N01-NORTE-C01 40 --date 2026-11-20 --price 1250.50
    """
    lot = _lot(product, state, size, packaging, container)
    way = _way(ctx, user, dry_run, output_format)
    _book(way, "sale", (place, quantity), date, lot=lot, price=_money(price), reason=reason)


@app.command("adjust", cls=SignedCommand)
def adjust(
    ctx: typer.Context,
    place: Place,
    quantity: Annotated[str, typer.Argument(help="What to add, or with a minus, to take away.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept with the movement.")],
    date: Date = None,
    product: Product = None,
    state: State = None,
    size: Size = None,
    packaging: Packaging = None,
    container: Container = None,
    dry_run: DryRun = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Correct the stock where nothing else explains the difference. A supervisor's.

    Example: demeter stock adjust N01-NORTE-C01 -5 --reason "broken by the fork lift"
    """
    lot = _lot(product, state, size, packaging, container)
    _book(_way(ctx, user, dry_run, output_format), "adjust", (place, quantity), date, lot=lot, reason=reason)


@app.command("init", cls=SignedCommand)
def init(
    ctx: typer.Context,
    place: Place,
    quantity: Quantity,
    date: Date = None,
    product: Product = None,
    state: State = None,
    size: Size = None,
    packaging: Packaging = None,
    container: Container = None,
    reason: Reason = None,
    override: Annotated[
        bool, typer.Option("--override", help="Though the place is configured otherwise, or not at all.")
    ] = False,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Where the books hold some already, adjust them to this quantity."),
    ] = False,
    dry_run: DryRun = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Book what was counted by hand where the books hold nothing yet. It counts as the place's first count.

    Product and pot must be those configured for the place.

    Example: demeter stock init N01-NORTE-C01 1200 --date 2026-11-01
    """
    lot = _lot(product, state, size, packaging, container)
    way = _way(ctx, user, dry_run, output_format)
    _book(way, "init", (place, quantity), date, lot=lot, reason=reason, override=override, replace=replace)


@app.command("undo")
def undo(
    ctx: typer.Context,
    movement: Annotated[int, typer.Argument(help="Its id, as printed when it was booked, and by list.")],
    reason: Reason = None,
    dry_run: DryRun = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Take back a movement, once, by booking the opposite; of a transplant, all that belongs to it.

    It is dated as what it takes back, or where that month is closed, at the beginning of the open one.

    Example: demeter stock undo 42 --reason "typed twice"
    """
    from demeter_cli.booking import undo_movement

    undo_movement(movement, reason, _way(ctx, user, dry_run, output_format))


def _money(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise typer.BadParameter(
            _("{text!r} is no price like 1250.50").format(text=text), param_hint="--price"
        ) from error
    if not amount.is_finite():
        raise typer.BadParameter(
            _("{text!r} is no price like 1250.50").format(text=text), param_hint="--price"
        )
    return amount
