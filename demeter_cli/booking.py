"""One call of `demeter stock sow`, `sale`, `undo` …: from what was said to what is booked and printed."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import typer
from typer.core import TyperCommand

from demeter_cli.formats import Format
from demeter_cli.language import N_, _, number, told, why

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.movements import Booked
    from db.orders import Order
    from demeter_cli.settings import Settings

_NEGATIVE = re.compile(r"-(?=\d)")
LOT_COLUMNS = {"size": N_("size"), "state": N_("state"), "container": N_("in")}
COLUMNS = {
    "movement": N_("id"),
    "type": N_("type"),
    "place": N_("place"),
    "product": N_("product"),
    "packaging": N_("pot"),
    **LOT_COLUMNS,
    "quantity": N_("moved"),
    "before": N_("before"),
    "after": N_("after"),
}
CSV_COLUMNS = (
    *("movement", "type", "occurred_at", "place", "product", "sku", "state", "size", "packaging"),
    *("container", "quantity", "before", "after", "reason", "user"),
    *("unit_price", "total_price"),
)


class SignedCommand(TyperCommand):
    """A command whose arguments may be negative numbers: `-5` is no option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(
            ctx, [_NEGATIVE.sub("−", arg, count=1) if _NEGATIVE.match(arg) else arg for arg in args]
        )


@dataclass(frozen=True, slots=True)
class Way:
    """How to book: for real or not, in whose name, and how to print."""

    settings: Settings
    user: str | None
    dry_run: bool
    output_format: Format

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.settings.timezone)


def whole(text: str) -> int:
    """A quantity. Raises BadParameter."""
    if not re.fullmatch(r"[+−-]?\d{1,18}", text.strip()):
        raise typer.BadParameter(
            _("{text!r} is no whole number").format(text=text.replace("−", "-")), param_hint="QUANTITY"
        )
    return int(text.strip().replace("−", "-"))


def moment_of(date: str | None, way: Way) -> dt.datetime:
    """When it happened, as the clock at the site shows it. Raises BadParameter."""
    from db.moments import parse_moment

    now = dt.datetime.now(dt.UTC)
    if date is None:
        return now.astimezone(way.zone)
    try:
        return parse_moment(date, way.zone, now)
    except ValueError as error:
        raise typer.BadParameter(_("it {problem}").format(problem=why(error)), param_hint="--date") from error


def book_order(order: Order, way: Way) -> None:
    """Book one order, and print what became of it."""
    from db.codes import Codes
    from db.movements import book
    from db.orders import Desk, Kind
    from demeter_cli import output
    from demeter_cli.site import DECIDERS, WORKERS, actor

    notes: list[str] = []

    def work(connection: Connection) -> list[Booked]:
        adjusts = order.kind is Kind.ADJUST or order.replace
        who = actor(connection, way.settings, *(DECIDERS if adjusts else WORKERS), user=way.user)
        desk = Desk.open(connection, Codes.load(connection), filter(None, (order.place, order.to)), who)
        entries = desk.entries(order)
        notes[:] = desk.notes
        return book(connection, entries) if entries else []

    rows = _carry_out(work, way)
    _print_booked(rows, way)
    for note in notes:
        output.tell(_("Note: {note}.").format(note=told(note)))


def undo_movement(movement: int, reason: str | None, way: Way) -> None:
    """Take back one movement, and print what became of it."""
    from db.undoing import undo
    from demeter_cli.site import WORKERS, actor

    def work(connection: Connection) -> list[Booked]:
        return undo(connection, movement, actor(connection, way.settings, *WORKERS, user=way.user), reason)

    _print_booked(_carry_out(work, way), way)


def _carry_out(work: Callable[[Connection], list[Booked]], way: Way) -> list[dict[str, Any]]:
    """Rows that say what was booked, or would be. Times in errors are the site's."""
    from db.journal import Chosen, movements
    from demeter_cli import output
    from demeter_cli.site import booking, open_database

    with open_database(way.settings) as connection:

        def whole_work() -> list[dict[str, Any]]:
            booked = work(connection)
            lines = movements(connection, Chosen(ids=[one.id for one in booked]))
            told = {line.id: output.local(asdict(line), way.zone) for line in lines}
            return booked_rows(booked, told, dry_run=way.dry_run)

        return booking(connection, way.zone, whole_work, keep=not way.dry_run)


def booked_rows(
    booked: Sequence[Booked], lines: Mapping[int, Mapping[str, Any]], *, dry_run: bool
) -> list[dict[str, Any]]:
    """The stable JSON form of what was booked; see docs/stock.md."""
    return [
        {
            "movement": None if dry_run else one.id,
            **{name: value for name, value in lines[one.id].items() if name not in ("id", "undone_by")},
            "before": one.before,
            "after": one.after,
        }
        for one in booked
    ]


def _print_booked(rows: list[dict[str, Any]], way: Way) -> None:
    from demeter_cli import output

    match way.output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(rows, CSV_COLUMNS)
        case Format.TABLE if rows:
            shown = [row | {"quantity": output.signed(row["quantity"])} for row in rows]
            needed = output.parting(rows, LOT_COLUMNS)
            unknown = {"movement"} if way.dry_run else set()
            columns = {
                key: name
                for key, name in COLUMNS.items()
                if key not in unknown | LOT_COLUMNS.keys() - needed.keys()
            }
            droppable = ("packaging", "product", "type", *needed)
            output.print_table(shown, columns, droppable=droppable, figures=("quantity",))
        case Format.TABLE:
            output.say(_("Nothing to book: the stock is already as wanted."))
    if way.dry_run:
        output.tell(_("Dry run: nothing was booked."))
    elif rows and way.output_format is Format.TABLE:
        for sentence in _remarks(rows):
            output.say(sentence)


def _remarks(rows: list[dict[str, Any]]) -> list[str]:
    """How to take it back, and why the stock did not change by what was moved."""
    moved: dict[str, int] = {}
    for row in rows:
        moved[row["batch"]] = moved.get(row["batch"], 0) + row["quantity"]
    counted = any(row["after"] - row["before"] != moved[row["batch"]] for row in rows)
    sentences = [_("A later count stands; only what it explains has changed.")] if counted else []
    if rows[0]["type"] == "ventas":
        sentences.append(_price_of(rows[0]))
    if rows[0]["undoes"] is None:
        sentences.append(
            _("To take it back: {command}").format(command=f"demeter stock undo {rows[0]['movement']}")
        )
    return sentences


def _price_of(row: dict[str, Any]) -> str:
    """What a sale was worth, or that nobody knows."""
    if row["unit_price"] is None:
        return _("Without a price: the price list has none for that day; --price says one.")
    unit, total = (number(Decimal(row[name]), 2) for name in ("unit_price", "total_price"))
    return f"{number(abs(row['quantity']))} × {unit} = {total}"
