"""The price list in the database: keys, times, files, the price that is picked, and what stock is worth."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from db.errors import NotFound, Refused
from db.price_changes import Raise, carry_out, plan
from db.price_files import PriceFile, read_prices, save_prices, write_prices
from db.prices import Item, Line, Outcome, Wanted, end_price, lines, set_price
from db.pricing import Terms
from db.reports import StockRow
from db.valuation import Lot, PriceBook, totals

D = Decimal
SEPTEMBER, OCTOBER, NOVEMBER = (dt.date(2025, month, 1) for month in (9, 10, 11))
DORADA = Item("C R8 D -1", "CACTUS", "MAC-R8-D")
MAMMILLARIA = Lot("MAM-BOC-001", "CACTUS", "MAC-R8-D", "M")


@pytest.fixture
def connection(books: Connection) -> Connection:
    return books


def price(connection: Connection, day: dt.date, lot: Lot = MAMMILLARIA, currency: str = "ARS") -> D | None:
    found = PriceBook.load(connection, day, currency).price(lot)
    return found and found.unit


def test_a_price_holds_from_its_day_until_the_next(connection: Connection) -> None:
    assert set_price(connection, DORADA, Terms(D(950)), SEPTEMBER) is Outcome.ADDED
    assert set_price(connection, DORADA, Terms(D(1050)), NOVEMBER) is Outcome.CHANGED
    assert set_price(connection, DORADA, Terms(D("1050.00")), NOVEMBER) is Outcome.UNCHANGED

    assert price(connection, dt.date(2025, 8, 31)) is None
    assert price(connection, SEPTEMBER) == price(connection, dt.date(2025, 10, 31)) == D("950.00")
    assert price(connection, NOVEMBER) == D("1050.00")


def test_a_code_spelt_otherwise_is_the_same_line(connection: Connection) -> None:
    set_price(connection, DORADA, Terms(D(950)), SEPTEMBER)
    assert (
        set_price(connection, Item("CR8D-1", "CACTUS", "MAC-R8-D"), Terms(D(950)), SEPTEMBER)
        is Outcome.CHANGED
    )

    [line] = lines(connection, Wanted(), SEPTEMBER)
    assert (line.sku, line.item.code) == ("CR8D1", "CR8D-1")


def test_the_database_lets_no_two_prices_of_a_code_overlap(connection: Connection) -> None:
    set_price(connection, DORADA, Terms(D(950)), SEPTEMBER)
    overlapping = text(
        "INSERT INTO price_list (price_item_id, valid_from)"
        " SELECT price_item_id, '2025-10-05' FROM price_list"
    )
    with pytest.raises(IntegrityError, match="ex_price_list_no_overlap"):
        connection.execute(overlapping)


@pytest.mark.parametrize(
    ("item", "terms", "words"),
    [
        (Item("-", "CACTUS"), Terms(), "is no code of the price list"),
        (DORADA, Terms(D(0)), "wholesale cannot be 0"),
        (DORADA, Terms(D(-5)), "wholesale cannot be -5"),
        (DORADA, Terms(D("1e12")), "wholesale cannot be"),
        (DORADA, Terms(D(950), D(900)), r"retail \(900\) is below wholesale \(950\)"),
        (DORADA, Terms(D(950), units_per_box=0), "a box holds 1 or more"),
        (DORADA, Terms(D(950), discount_percent=D(101)), "0 to 100 percent"),
        (DORADA, Terms(D(950), availability="soon"), "availability is available, limited"),
        (DORADA, Terms(D(950), currency="pesos"), "currency"),
    ],
)
def test_terms_that_cannot_be_are_refused_in_a_sentence(
    connection: Connection, item: Item, terms: Terms, words: str
) -> None:
    with pytest.raises(Refused, match=words):
        set_price(connection, item, terms, SEPTEMBER)
    assert lines(connection, Wanted(), None) == []


def test_an_unknown_name_is_answered_with_the_nearest(connection: Connection) -> None:
    with pytest.raises(NotFound, match="no packaging MAC-R8-X; did you mean 'MAC-R8-"):
        set_price(connection, Item("X1", "CACTUS", "MAC-R8-X"), Terms(), SEPTEMBER)
    with pytest.raises(NotFound, match="no category CACTSU; did you mean 'CACTUS'"):
        lines(connection, Wanted(category="CACTSU"), None)


def test_what_days_that_are_over_cost_is_changed_only_on_purpose(connection: Connection) -> None:
    set_price(connection, DORADA, Terms(D(950)), SEPTEMBER)
    with pytest.raises(Refused, match=r"would change what held on 2025-10-01.*--backdate"):
        set_price(connection, DORADA, Terms(D(990)), OCTOBER, today=NOVEMBER)
    with pytest.raises(Refused, match="--backdate"):
        end_price(connection, "C R8 D -1", OCTOBER, today=NOVEMBER)
    assert end_price(connection, "CR8D1", NOVEMBER, today=NOVEMBER) is Outcome.CHANGED
    assert price(connection, NOVEMBER) is None
    set_price(connection, DORADA, Terms(D(990)), OCTOBER)
    assert price(connection, OCTOBER) == D("990.00")


def test_the_line_that_names_the_product_wins_then_the_size_then_the_lowest(connection: Connection) -> None:
    set_price(connection, Item("BB", "CACTUS", "MAC-R8-D"), Terms(D(950)), SEPTEMBER)
    set_price(connection, Item("AA", "CACTUS", "MAC-R8-D"), Terms(D(1200), discount_percent=D(20)), SEPTEMBER)
    book = PriceBook.load(connection, SEPTEMBER)
    picked = book.price(MAMMILLARIA)
    assert picked is not None
    assert (picked.unit, picked.code, picked.rivals, picked.highest) == (
        D("950.00"),
        "BB",
        ("AA",),
        D("960.00"),
    )

    set_price(connection, Item("CC", "CACTUS", "MAC-R8-D", size="M"), Terms(D(2000)), SEPTEMBER)
    assert price(connection, SEPTEMBER) == D("2000.00")
    set_price(connection, Item("DD", "CACTUS", None, "MAM-BOC-001"), Terms(D(3000)), SEPTEMBER)
    picked = PriceBook.load(connection, SEPTEMBER).price(MAMMILLARIA)
    assert picked is not None
    assert (picked.unit, picked.rivals) == (D("3000.00"), ())


def test_a_line_without_a_pot_prices_no_plant_in_a_pot(connection: Connection) -> None:
    set_price(connection, Item("MADRES", "CACTUS"), Terms(D(5000)), SEPTEMBER)
    assert price(connection, SEPTEMBER) is None
    assert price(connection, SEPTEMBER, Lot("MAM-BOC-001", "CACTUS")) == D("5000.00")


def test_other_money_and_lines_without_a_price_are_no_prices(connection: Connection) -> None:
    set_price(connection, DORADA, Terms(None, observations="consultar"), SEPTEMBER)
    set_price(connection, Item("EXPORT", "CACTUS", "MAC-R8-D"), Terms(D(2), currency="USD"), SEPTEMBER)
    assert price(connection, SEPTEMBER) is None
    assert price(connection, SEPTEMBER, currency="USD") == D("2.00")


def stock_row(plants: int, sku: str, packaging: str | None, state: str = "ADULT") -> StockRow:
    place: Any = ("N01-NORTE-C01", "name", sku, state, "M", packaging, plants)
    return StockRow(*place, None, None, None, None, None, None)


def test_what_has_no_price_is_counted_apart_and_every_plant_once(connection: Connection) -> None:
    set_price(connection, DORADA, Terms(D("950.50"), discount_percent=D(10)), SEPTEMBER)
    set_price(connection, Item("CC", "CACTUS", "MAC-R8-T"), Terms(D(100)), SEPTEMBER)
    set_price(connection, Item("CD", "CACTUS", "MAC-R8-T"), Terms(D(120)), SEPTEMBER)
    book = PriceBook.load(connection, SEPTEMBER)
    found = [
        book.value(stock_row(100, "MAM-BOC-001", "MAC-R8-D")),
        book.value(stock_row(10, "MAM-BOC-001", "MAC-R8-T")),
        book.value(stock_row(7, "MAM-BOC-001", "MAC-R8-D", "SEEDLING")),
        book.value(stock_row(3, "MAM-BOC-001", "MAC-R5-D")),
    ]
    summed = totals(found)

    assert found[3].worth is None
    assert (summed.value, summed.valued) == (D("86545.00"), 110)  # 100 × 855.45 + 10 × 100
    assert (summed.potential, summed.waiting) == (D("5988.15"), 7)
    assert (summed.unpriced, summed.ambiguous) == (3, 10)


def test_a_raise_shows_first_and_then_holds_from_its_day(connection: Connection) -> None:
    set_price(connection, DORADA, Terms(D(950), D(1300)), SEPTEMBER)
    set_price(connection, Item("SR5D1", "SUCULENTA", "MAC-R5-D"), Terms(D(400)), SEPTEMBER)
    set_price(connection, Item("CNONE", "CACTUS"), Terms(), SEPTEMBER)
    rise = Raise(percent=D("12.5"), step=D(10))
    planned = plan(connection, Wanted(category="cactus"), rise, OCTOBER)

    assert [(one.line.sku, one.new.wholesale, one.new.retail) for one in planned] == [
        ("CR8D1", D("1070.00"), D("1460.00"))
    ]
    assert price(connection, OCTOBER) == D("950.00")
    carry_out(connection, planned, OCTOBER)
    assert (price(connection, SEPTEMBER), price(connection, OCTOBER)) == (D("950.00"), D("1070.00"))


@pytest.mark.parametrize(
    ("rise", "words"),
    [
        (Raise(amount=D(-950)), "CR8D1: 950.00 would become 0.00"),
        (Raise(percent=D(150)), "more than double"),
        (Raise(percent=D(10), step=D(0)), "cannot be rounded to 0"),
    ],
)
def test_a_raise_that_makes_no_sense_changes_nothing(connection: Connection, rise: Raise, words: str) -> None:
    set_price(connection, DORADA, Terms(D(950)), SEPTEMBER)
    with pytest.raises(Refused, match=words):
        plan(connection, Wanted(), rise, OCTOBER)


def load(
    connection: Connection, path: Path, content: str | bytes, **options: Any
) -> tuple[PriceFile, list[str]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    told = read_prices(path, SEPTEMBER, **options)
    _, refused = save_prices(connection, told.rows, today=None)
    return told, [f"{line}: {reason}" for line, reason in sorted([*told.rejects, *refused])]


def test_a_file_of_the_clients_spreadsheet_is_read_as_it_is_written(
    connection: Connection, tmp_path: Path
) -> None:
    content = (
        "Code;Category;Packaging;Wholesale;Discount_percent;Valid_from\r\n"
        "C R8 D -1;CACTUS;MAC-R8-D;1.050,50;;1/9/2025\r\n"
        "S R5 D-1;suculenta;MAC-R5-D;$ 400;20;1/10/2025\r\n"
    )
    told, problems = load(connection, tmp_path / "p.csv", content.encode("cp1252"))
    assert problems == []
    assert "comma marks the decimals" in told.notes[-1]
    assert [
        (line.sku, line.span.terms.wholesale, line.span.start) for line in lines(connection, Wanted(), None)
    ] == [
        ("CR8D1", D("1050.50"), SEPTEMBER),
        ("SR5D1", D("400.00"), OCTOBER),
    ]


def test_each_line_that_cannot_be_meant_is_named_with_its_reason(
    connection: Connection, tmp_path: Path
) -> None:
    content = (
        "code,category,wholesale,units_per_box,valid_from,valid_to\n"
        "A1,CACTUS,950.50,12,,\n"
        "A2,CACTO,950.50,12,,\n"
        "A3,CACTUS,12 maybe,12,,\n"
        "A4,CACTUS,950.50,2.5,,\n"
        "A5,CACTUS,950.50,12,2025-02-31,\n"
        "A6,CACTUS,950.50,12,2025-09-01,2025-08-01\n"
        "A7,CACTUS,950.50,12\n"
        ",CACTUS,950.50,12,,\n"
    )
    _, problems = load(connection, tmp_path / "p.csv", content)
    assert [problem.split(":")[0] for problem in problems] == ["3", "4", "5", "6", "7", "8", "9"]
    for problem, words in zip(
        problems,
        [
            "did you mean 'CACTUS'",
            "wholesale must be a number",
            "whole number",
            "valid_from",
            "cannot begin",
            "cells",
            "no code",
        ],
        strict=True,
    ):
        assert words in problem


def test_columns_that_a_file_lacks_stay_as_they_are(connection: Connection, tmp_path: Path) -> None:
    set_price(connection, DORADA, Terms(D(950), units_per_box=24, availability="limited"), SEPTEMBER)
    _, problems = load(
        connection, tmp_path / "p.csv", "code,category,wholesale\nCR8D1,CACTUS,1000\n", start=OCTOBER
    )
    assert problems == []
    [line] = lines(connection, Wanted(), OCTOBER)
    assert line.item.packaging == "MAC-R8-D"
    assert line.span.terms == Terms(
        D("1000.00"), units_per_box=24, availability="limited", discount_percent=D("0.00")
    )


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20) | st.sampled_from(
    ["'=x", "''=x", "=cmd|'x'!A1", "-5", "+1,5", "'quoted'", 'a;b"c']
)
amounts = st.decimals("0.01", "9999999", places=2)
listed = st.builds(
    lambda code, packaging, description, terms, start, length: (
        Item(code, "CACTUS", packaging, description=description or None),
        terms,
        SEPTEMBER + dt.timedelta(days=start),
        None if length is None else SEPTEMBER + dt.timedelta(days=start + length),
    ),
    st.sampled_from(["C R8 D -1", "=CR8", "-A1", "S R5 B-4 ESP-1"]),
    st.sampled_from([None, "MAC-R8-D"]),
    words,
    st.builds(
        Terms,
        wholesale=st.none() | amounts,
        units_per_box=st.none() | st.integers(1, 45),
        box_price=st.none() | amounts,
        discount_percent=st.decimals(0, 100, places=2),
        availability=st.sampled_from([None, "limited"]),
        observations=words.map(lambda word: word or None),
        currency=st.sampled_from(["ARS", "USD"]),
    ),
    st.integers(0, 90),
    st.none() | st.integers(1, 30),
)


@given(st.lists(listed, max_size=6))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_list_written_to_a_file_comes_back_the_same(
    connection: Connection, tmp_path: Path, told: list[Any]
) -> None:
    with connection.begin_nested() as savepoint:
        for item, terms, start, stop in told:
            set_price(connection, item, terms, start, stop)
        before = lines(connection, Wanted(), None)
        written = write_prices(before)
        again, problems = load(connection, tmp_path / "p.csv", written, decimal=".")
        assert problems == []
        assert lines(connection, Wanted(), None) == before
        connection.execute(text("DELETE FROM price_list"))
        connection.execute(text("DELETE FROM price_items"))
        save_prices(connection, again.rows, today=None)
        anew: list[Line] = lines(connection, Wanted(), None)
        assert anew == before
        assert write_prices(anew) == written
        savepoint.rollback()
