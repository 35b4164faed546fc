"""Numbers and dates as people write them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.imports.dates import parse_day, parse_span
from db.imports.numbers import NumberFormat, detect_format, parse_count, parse_number, told_format
from db.imports.words import clean, key, nearest

OPEN = NumberFormat(None, "nothing shows it")
COMMA, DOT = told_format(","), told_format(".")


@pytest.mark.parametrize(
    ("cells", "decimal"),
    [
        (["1.050", "3,5"], ","),
        (["1.050.000"], ","),
        (["1,050,000"], "."),
        (["1.050,75"], ","),
        (["$ 1,050.75"], "."),
        (["0.5", "2"], "."),
        (["0,125"], ","),
        (["1234.567"], "."),
        (["1.050", "999", "x"], None),
        (["3,5", "2.5"], None),
    ],
)
def test_a_file_shows_which_sign_marks_its_decimals(cells: list[str], decimal: str | None) -> None:
    assert detect_format(cells).decimal == decimal


def test_the_finding_is_told_with_its_witness() -> None:
    assert detect_format(["1.050", "3,5"]).why == "a comma marks the decimals, as '3,5' shows"
    assert "contradict each other: '3,5' and '2.5'" in detect_format(["3,5", "2.5"]).why


@pytest.mark.parametrize(
    ("text", "style", "number"),
    [
        ("1.050", COMMA, "1050"),
        ("1.050", DOT, "1.050"),
        ("1.050,5", COMMA, "1050.5"),
        ("$ 1,050.50", DOT, "1050.50"),
        ("-5", OPEN, "-5"),
        ("− 5", OPEN, "-5"),
        ("1 050", OPEN, "1050"),
        ("1'050,5", COMMA, "1050.5"),
        ("12", OPEN, "12"),
        ("5.", DOT, "5"),
    ],
)
def test_numbers_are_read_in_the_format_of_the_file(text: str, style: NumberFormat, number: str) -> None:
    assert parse_number(text, style) == Decimal(number)


@pytest.mark.parametrize(
    ("text", "style", "phrase"),
    [
        ("1.050", OPEN, "is unclear: '1.050' may be 1,050 or 1.05"),
        ("1.05", COMMA, "is written otherwise than the rest: '1.05'"),
        ("12 maybe", OPEN, "must be a number, not '12 maybe'"),
        ("1e9", OPEN, "must be a number"),
        ("1.2.3", DOT, "must be a number"),
        ("1.05.000", COMMA, "must be a number"),
        ("12 34", OPEN, "must be a number"),
        ("", OPEN, "must be a number"),
        ("NaN", OPEN, "must be a number"),
        ("٣", OPEN, "must be a number"),
    ],
)
def test_what_is_no_number_or_two_is_refused(text: str, style: NumberFormat, phrase: str) -> None:
    with pytest.raises(ValueError, match=phrase.replace(".", r"\.").replace("(", r"\(")):
        parse_number(text, style)


def test_a_spreadsheet_s_own_numbers_need_no_format() -> None:
    assert parse_number("1.05", COMMA, exact=True) == Decimal("1.05")
    assert parse_count("1050", OPEN, exact=True) == 1050
    with pytest.raises(ValueError, match=r"must be a whole number, not .1\.5."):
        parse_count("1.5", DOT)


@given(number=st.decimals(-(10**9), 10**9, places=2), decimal=st.sampled_from(".,"))
def test_every_number_survives_being_written_for_people(number: Decimal, decimal: str) -> None:
    thousands = {".": ",", ",": "."}[decimal]
    text = f"{number:,.2f}".replace(",", "x").replace(".", decimal).replace("x", thousands)
    assert parse_number(text, told_format(decimal)) == number
    assert detect_format([text]).decimal == decimal  # two decimals always show it


@given(st.text(max_size=12))
def test_any_text_is_a_number_or_a_phrase(text: str) -> None:
    for style in (OPEN, COMMA, DOT):
        try:
            assert parse_number(text, style).is_finite()
        except ValueError as error:
            assert str(error).startswith(("must", "is "))


@pytest.mark.parametrize(
    ("text", "first", "last", "remark"),
    [
        ("dic'21", "2021-12-01", "2021-12-31", None),
        ("mar'21", "2021-03-01", "2021-03-31", None),
        ("oct 2020", "2020-10-01", "2020-10-31", None),
        ("Setiembre de 2023", "2023-09-01", "2023-09-30", None),
        ("feb'24", "2024-02-01", "2024-02-29", None),
        ("9/2025", "2025-09-01", "2025-09-30", None),
        ("1/9/2025", "2025-09-01", "2025-09-01", None),
        ("2025-09-01", "2025-09-01", "2025-09-01", None),
        ("no'20", "2020-11-01", "2020-11-30", '"no\'20" read as noviembre 2020'),
        ("dice'22", "2022-12-01", "2022-12-31", '"dice\'22" read as diciembre 2022'),
        ("2018/19?", "2018-01-01", "2019-12-31", "'2018/19' names no month; '2018/19?' is doubtful"),
    ],
)
def test_months_and_ranges_are_read(text: str, first: str, last: str, remark: str | None) -> None:
    span = parse_span(text)
    assert (span.first.isoformat(), span.last.isoformat(), span.remark) == (first, last, remark)


@pytest.mark.parametrize(
    "text", ["31/2/2025", "2025-02-30", "32/1/25", "13/13/2025", "ju'20", "2019/18", "ayer", ""]
)
def test_what_is_no_date_or_two_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|is no day"):
        parse_span(text)


@given(st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31)))
def test_every_day_is_read_day_first(day: dt.date) -> None:
    assert parse_day(f"{day.day}/{day.month}/{day.year}") == day
    assert parse_day(f"{day:%d-%m-%y}") == day
    assert parse_day(day.isoformat()) == day


@given(st.text(max_size=12))
def test_any_text_is_a_span_or_a_phrase(text: str) -> None:
    try:
        span = parse_span(text)
    except ValueError as error:
        assert str(error).startswith(("must", "is no", "has no"))
    else:
        assert span.first <= span.last


def test_two_spellings_of_one_name_share_a_key() -> None:
    assert key("Túnel 2 c2") == key("TUNEL-2 C2") == "tunel2c2"
    assert clean("  Nu\u0301n\u0303ez\u00a0\u200b X ") == "Núñez X"
    assert nearest("N01-NORTE-C70", ["N01-NORTE-C07", "N02-SUR-C01"]) == "; did you mean 'N01-NORTE-C07'?"
