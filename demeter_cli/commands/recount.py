"""demeter stock count, uncount: what a person counted."""

from __future__ import annotations

from typing import Annotated

import typer

from demeter_cli.commands.stock import (
    Container,
    Date,
    DryRun,
    FormatOption,
    Packaging,
    Place,
    Product,
    Reason,
    Size,
    State,
)
from demeter_cli.formats import Format, UserOption
from demeter_cli.language import _


def count(
    ctx: typer.Context,
    place: Place,
    quantity: Annotated[str, typer.Argument(help="How many there were: pots, or plants in trays.")],
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
    """Book a count by hand of a lot: from then on the stock is what was counted, and what moved since.

    Like a photo's, it is the end of one month and the beginning of the next: `demeter reconcile` tells what
    became of the difference.

    Example: demeter stock count N01-NORTE-C07 480 --date 2026-03-31T09:30
    """
    from db.orders import LotWords
    from demeter_cli.booking import Way, moment_of, whole
    from demeter_cli.recounting import count_lot
    from demeter_cli.settings import load_settings

    way = Way(load_settings(ctx.obj), user, dry_run, output_format)
    lot = LotWords(product=product, state=state, size=size, packaging=packaging, container=container)
    plants = whole(quantity)
    if not 0 <= plants <= 1_000_000:
        raise typer.BadParameter(
            _("{plants} is no number of plants like 480").format(plants=plants), param_hint="QUANTITY"
        )
    count_lot((place, plants, moment_of(date, way)), lot, reason, way)


def uncount(
    ctx: typer.Context,
    count: Annotated[int, typer.Argument(help="Its number, as printed when it was booked, and by explain.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; kept with the decision.")],
    dry_run: DryRun = False,
    user: UserOption = None,
    output_format: FormatOption = Format.TABLE,
) -> None:
    """Take back a count by hand that was wrong: the books forget it, and it stays on record.

    What somebody else counted is a supervisor's to take back.

    Example: demeter stock uncount 12 --reason "that was the neighbouring place"
    """
    from demeter_cli.booking import Way
    from demeter_cli.recounting import take_back
    from demeter_cli.settings import load_settings

    if not reason.strip():
        raise typer.BadParameter(_("say why"), param_hint="--reason")
    take_back(count, reason, Way(load_settings(ctx.obj), user, dry_run, output_format))
