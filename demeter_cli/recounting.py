"""One call of `demeter stock count`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from demeter_cli.booking import Way
from demeter_cli.formats import Format
from demeter_cli.language import N_, _

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.orders import LotWords

COLUMNS = {
    "count": N_("count"),
    "place": N_("place"),
    "counted_at": N_("counted on"),
    "counted": N_("plants"),
    "booked": N_("books changed by"),
}


def count_lot(given: tuple[str, int, dt.datetime], lot: LotWords, reason: str | None, way: Way) -> None:
    """Assert that so many plants of a lot stood at a place then, and print what that changed."""
    from db.batches import Spot, ensure_batches
    from db.codes import Codes
    from db.deciding import count_by_hand
    from db.orders import Desk, Kind, Order
    from demeter_cli import output
    from demeter_cli.site import WORKERS, actor, booking, open_database

    place, plants, moment = given

    def work(connection: Connection) -> tuple[int, int]:
        who = actor(connection, way.settings, *WORKERS, user=way.user)
        desk = Desk.open(connection, Codes.load(connection), [place], who)
        # Which lot is meant is found as for an adjustment, of which nothing else is used.
        meant = Order(kind=Kind.ADJUST, place=place, quantity=1, moment=moment, lot=lot, reason="counted")
        where = desk.entries(meant)[0].where
        batch = ensure_batches(connection, {where: moment})[where] if isinstance(where, Spot) else where
        return count_by_hand(connection, batch, (plants, moment), who, reason)

    with open_database(way.settings) as connection:
        count, changed = booking(connection, way.zone, lambda: work(connection), keep=not way.dry_run)
    row: dict[str, Any] = {
        "count": None if way.dry_run else count,
        "place": place.upper(),
        "counted_at": moment.astimezone(way.zone),
        "counted": plants,
        "booked": changed,
    }
    _print(row, way)
    if way.dry_run:
        output.tell(_("Dry run: nothing was booked."))
    elif way.output_format is Format.TABLE:
        output.say(
            _("To take it back: {command}").format(command=f"demeter stock uncount {count} --reason …")
        )


def take_back(count: int, reason: str, way: Way) -> None:
    """Let the books forget a count by hand, and print what that changed."""
    from db.hand_counts import TakenBack, uncount
    from demeter_cli import output
    from demeter_cli.site import WORKERS, actor, booking, open_database

    def work(connection: Connection) -> TakenBack:
        return uncount(connection, count, actor(connection, way.settings, *WORKERS, user=way.user), reason)

    with open_database(way.settings) as connection:
        done = booking(connection, way.zone, lambda: work(connection), keep=not way.dry_run)
    _print({"count": count, "place": done.place, "counted": done.plants, "booked": done.booked}, way)
    if way.dry_run:
        output.tell(_("Dry run: nothing was booked."))


def _print(row: dict[str, Any], way: Way) -> None:
    from demeter_cli import output

    columns = {name: heading for name, heading in COLUMNS.items() if row.get(name) is not None}
    match way.output_format:
        case Format.JSON:
            output.print_json([row])
        case Format.CSV:
            output.print_csv([row], tuple(row))
        case Format.TABLE:
            booked = output.signed(row["booked"])
            output.print_table(
                [row | {"booked": booked}], columns, droppable=("count", "counted_at"), figures=("booked",)
            )
