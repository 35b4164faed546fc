"""One call of `demeter stock count`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from demeter_cli.booking import Way
from demeter_cli.formats import Format

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.orders import LotWords


def count_lot(given: tuple[str, int, dt.datetime], lot: LotWords, reason: str | None, way: Way) -> None:
    """Assert that so many plants of a lot stood at a place then, and print what that changed."""
    from db.batches import Spot, ensure_batches
    from db.codes import Codes
    from db.deciding import count_by_hand
    from db.orders import Desk, Kind, Order
    from demeter_cli import output
    from demeter_cli.site import WORKERS, actor, booking, open_database

    place, plants, moment = given

    def work(connection: Connection) -> int:
        who = actor(connection, way.settings, *WORKERS, user=way.user)
        desk = Desk.open(connection, Codes.load(connection), [place], who)
        # Which lot is meant is found as for an adjustment, of which nothing else is used.
        meant = Order(kind=Kind.ADJUST, place=place, quantity=1, moment=moment, lot=lot, reason="counted")
        where = desk.entries(meant)[0].where
        batch = ensure_batches(connection, {where: moment})[where] if isinstance(where, Spot) else where
        return count_by_hand(connection, batch, (plants, moment), who, reason)

    with open_database(way.settings) as connection:
        changed = booking(connection, way.zone, lambda: work(connection))
    row: dict[str, Any] = {
        "place": place.upper(),
        "counted_at": moment.astimezone(way.zone),
        "counted": plants,
        "booked": changed,
    }
    columns = {
        "place": "place",
        "counted_at": "counted on",
        "counted": "plants",
        "booked": "books changed by",
    }
    match way.output_format:
        case Format.JSON:
            output.print_json([row])
        case Format.CSV:
            output.print_csv([row], tuple(columns))
        case Format.TABLE:
            output.print_table([row | {"booked": f"{changed:+d}"}], columns, figures=("booked",))
