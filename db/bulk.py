"""A file of movements, one a line, booked whole in one transaction.

A line is known by the sha256 of its file and its number, so the same file books nothing twice, and a run that
was interrupted can be repeated.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from db.codes import Codes
from db.errors import InsufficientStock, LedgerRefused, NotFound, Unclear
from db.imports.numbers import NumberFormat, detect_format, parse_count, parse_number
from db.imports.read import ReadFile
from db.imports.tables import Columns, Record, records
from db.imports.words import key, nearest
from db.moments import parse_moment
from db.movements import Booked, Entry, batches_of, book, booked_under
from db.orders import Desk, Kind, LotWords, Order
from db.periods import hold_periods
from pipeline.words import Sentence

COLUMNS = Columns(
    required=("place", "quantity"),
    optional=(
        *("type", "date", "product", "state", "size", "packaging", "container", "to_place", "to_state"),
        *("to_size", "to_packaging", "to_container", "plants_per_pot", "from_plants_per_pot", "deaths"),
        *("price", "reason"),
    ),
    spellings={
        "tipo": "type",
        "fecha": "date",
        "claro": "place",
        "lugar": "place",
        "location_code": "place",
        "cantidad": "quantity",
        "producto": "product",
        "product_sku": "product",
        "sku": "product",
        "estado": "state",
        "tamaño": "size",
        "maceta": "packaging",
        "envase": "packaging",
        "packaging_sku": "packaging",
        "destino": "to_place",
        "muertes": "deaths",
        "precio": "price",
        "motivo": "reason",
        "contenedor": "container",
    },
)
_WORDS = {
    **{key(kind): kind for kind in Kind},
    "sembrar": Kind.SOW,
    "siembra": Kind.SOW,
    "plantar": Kind.PLANT,
    "plantado": Kind.PLANT,
    "transplante": Kind.TRANSPLANT,
    "trasplante": Kind.TRANSPLANT,
    "mover": Kind.MOVE,
    "muerte": Kind.DEATH,
    "venta": Kind.SALE,
    "ventas": Kind.SALE,
    "ajuste": Kind.ADJUST,
    "manualinit": Kind.INIT,
    "inicial": Kind.INIT,
}
T = TypeVar("T")
_ROUNDS = 25  # of leaving out lines for which there are not enough plants


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all lines, and how they are read."""

    kind: Kind | None  # of lines that name none
    zone: ZoneInfo
    now: dt.datetime
    override: bool = False
    partial: bool = False  # book the good lines though others are rejected


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line was rejected."""

    line: int
    problem: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a file: the movements that it made, of how many of its lines, and the rest."""

    lines: int
    booked: Sequence[Booked]
    booked_lines: int
    known_lines: int  # booked by an earlier import of the same file
    problems: Sequence[Problem]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Listed:
    """The orders of a file by line, and the lines that are none."""

    orders: Mapping[int, Order]
    problems: Sequence[Problem]
    notes: Sequence[str]


def orders_of(file: ReadFile, terms: Terms) -> Listed:
    """Read every line. Raises UnreadableFile where the header is wrong."""
    rows = records(file, COLUMNS)
    style = detect_format(
        row.cells[name] for row in rows for name in ("quantity", "price") if name in row.cells
    )
    orders: dict[int, Order] = {}
    problems: list[Problem] = []
    for number, row in enumerate(rows, start=1):
        try:
            order = _order(row, style, terms)
        except (ValueError, Unclear) as error:
            problems.append(Problem(row.line, str(error)))
        else:
            # What happens now happens line by line, so that a count does not include the line after it.
            now = terms.now - dt.timedelta(microseconds=len(rows) - number)
            orders[row.line] = replace(
                order, moment=min(order.moment, now), key=f"import:{file.sha256}:{row.line}"
            )
    return Listed(orders, problems, file.notes)


def load(connection: Connection, listed: Listed, user_id: int, terms: Terms) -> Loaded:
    """Book the orders in the caller's transaction; all of them, or with `partial` those that can be."""
    problems = list(listed.problems)
    known = booked_under(connection, [order.key for order in listed.orders.values() if order.key])
    fresh = {line: order for line, order in listed.orders.items() if order.key not in known}
    places = {place for order in fresh.values() for place in (order.place, order.to) if place}
    desk = Desk.open(connection, Codes.load(connection), places, user_id)
    made = dict(_entries(connection, desk, fresh, problems))
    booked: list[Booked] = []
    if terms.partial or not problems:
        booked = _booked(connection, made, terms, problems)
    problems.sort(key=lambda one: one.line)
    lines = len(listed.orders) + len(listed.problems)
    notes = (*listed.notes, *dict.fromkeys(desk.notes))
    return Loaded(lines, booked, len(made) if booked else 0, len(known), problems, notes)


def _order(row: Record, style: NumberFormat, terms: Terms) -> Order:
    """Raises ValueError and Unclear with a sentence."""
    if row.problem:
        raise ValueError(Sentence("the line {problem}", problem=row.problem))
    cells = {name: cell for name, cell in row.cells.items() if cell}
    if "place" not in cells:
        raise ValueError(Sentence("the place is missing"))

    def count(name: str, otherwise: int | None = None) -> int:
        if name not in cells and otherwise is not None:
            return otherwise
        return _read(name, lambda: parse_count(cells.get(name, ""), style, exact=name in row.exact))

    def number(name: str) -> Decimal:
        return _read(name, lambda: parse_number(cells[name], style, exact=name in row.exact))

    return Order(
        kind=kind_of(cells.get("type"), terms.kind),
        place=cells["place"],
        quantity=count("quantity"),
        moment=_read("date", lambda: parse_moment(cells["date"], terms.zone, terms.now))
        if "date" in cells
        else terms.now,
        lot=_words(cells, ""),
        to=cells.get("to_place"),
        becomes=_words(cells, "to_"),
        per_pot=count("plants_per_pot", 1),
        from_per_pot=count("from_plants_per_pot", 1),
        deaths=count("deaths", 0),
        reason=cells.get("reason"),
        price=number("price") if "price" in cells else None,
        override=terms.override,
    )


def _read(name: str, parse: Callable[[], T]) -> T:
    """Raises ValueError that names the column."""
    try:
        return parse()
    except ValueError as error:
        raise ValueError(Sentence("the {name} {error}", name=name, error=error)) from error


def _words(cells: Mapping[str, str], prefix: str) -> LotWords:
    names = ("product", "state", "size", "packaging", "container")
    return LotWords(**{name: cells.get(f"{prefix}{name}") for name in names})


def kind_of(word: str | None, otherwise: Kind | None = None) -> Kind:
    """What a word of the commands, or of the books, means. Raises ValueError."""
    if word is None and otherwise is None:
        raise ValueError(Sentence("the type is missing: name it in a column, or say --type"))
    if word is None and otherwise is not None:
        return otherwise
    found = _WORDS.get(key(word or ""))
    if found is None:
        raise ValueError(
            Sentence(
                "there is no type {word!r}{nearest}", word=word, nearest=nearest(word or "", list(_WORDS))
            )
        )
    return found


def _entries(
    connection: Connection, desk: Desk, orders: Mapping[int, Order], problems: list[Problem]
) -> Iterator[tuple[int, list[Entry]]]:
    """The entries of each line that can be ordered."""
    open_from = hold_periods(connection)
    for line, order in orders.items():
        if open_from is not None and order.moment < open_from:
            problems.append(
                Problem(line, f"its month is closed: the books are open from {open_from:%Y-%m-%d}")
            )
            continue
        try:
            yield line, desk.entries(order)
        except (NotFound, Unclear, LedgerRefused) as error:
            problems.append(Problem(line, str(error)))


def _booked(
    connection: Connection, made: dict[int, list[Entry]], terms: Terms, problems: list[Problem]
) -> list[Booked]:
    """Book what was made of the lines. Lines that the books refuse leave `made` and are told of."""
    for _ in range(_ROUNDS):
        wanted = [(line, entry) for line, entries in made.items() for entry in entries]
        try:
            with connection.begin_nested():
                batches = batches_of(connection, [entry for _, entry in wanted])
                wanted = [
                    (line, replace(entry, where=batch))
                    for (line, entry), batch in zip(wanted, batches, strict=True)
                ]
                return book(connection, [entry for _, entry in wanted])
        except LedgerRefused as error:
            blamed = _blamed(error, wanted, terms.zone)
            if not blamed:
                raise
        problems += [Problem(line, sentence) for line, sentence in blamed.items()]
        for line in blamed:
            del made[line]
        if not terms.partial:
            return []
    raise LedgerRefused(
        Sentence("too many lines lack plants; correct the {n} that are known so far first", n=len(problems))
    )


def _blamed(error: LedgerRefused, entries: Sequence[tuple[int, Entry]], zone: ZoneInfo) -> dict[int, str]:
    """Which lines the books refuse, and why. Of plants that are lacking, the last that leave are too many."""
    if not isinstance(error, InsufficientStock):
        return {line: str(error) for line, entry in entries if entry is error.entry}
    blamed: dict[int, str] = {}
    for shortage in error.shortages:
        leaving = [
            (entry.occurred_at, line, -entry.quantity)
            for line, entry in entries
            if entry.where == shortage.batch_id and entry.quantity < 0 and entry.occurred_at <= shortage.at
        ]
        lacking = shortage.plants
        for _, line, plants in sorted(leaving, reverse=True):
            if lacking > 0:
                blamed[line] = str(InsufficientStock([shortage], zone))
                lacking -= plants
    return blamed
