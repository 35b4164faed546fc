"""The client's sales files beside what the counts say."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from db import sales
from db.errors import UnreadableFile
from db.imports.read import read_rows
from db.sales import Checked, Kind, SaleStatus, check_sales, status_of
from db.sales_file import Codes, RowVerdict, SaleRow, Target, judge_sales
from tests.db.test_triage import line

SEPTEMBER = (dt.date(2025, 9, 1), dt.date(2025, 9, 30))
CODES = Codes(
    products={"MAMBOC001": (1, "MAM-BOC-001"), "NOTHAS001": (2, "NOT-HAS-001")},
    packaging={"MACR8T": (10, "MAC-R8-T")},
    client={"CR8T1": Target("C R8 T -1", None, 100, 10)},
    categories={"CACTUS": 100},
)
KINDS = {1: Kind("MAM-BOC-001", 100), 2: Kind("NOT-HAS-001", 100)}


def judged(tmp_path: Path, text: str | bytes) -> list[SaleRow]:
    file = tmp_path / "ventas.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return judge_sales(read_rows(file), CODES, SEPTEMBER)


def test_a_row_names_a_product_and_a_pot_or_a_code_of_the_client(tmp_path: Path) -> None:
    rows = judged(
        tmp_path,
        "product_sku,packaging_sku,code,quantity_sold\n"
        "MAM-BOC-001,MAC-R8-T,,40\nmam boc 001,,,30\n,,c r8 t -1,20\nC R8 T - 1,,,10\n,,CR8T-7,5\n",
    )

    assert {row.verdict for row in rows} == {RowVerdict.READ}
    assert [row.target for row in rows] == [
        Target("MAM-BOC-001 MAC-R8-T", 1, None, 10),
        Target("MAM-BOC-001", 1, None, None),
        Target("C R8 T -1", None, 100, 10),
        Target("C R8 T -1", None, 100, 10),
        Target("CR8T-7", None, 100, 10),  # not in the price list, but its parts are known
    ]


def test_spanish_headings_semicolons_and_latin_letters_are_read(tmp_path: Path) -> None:
    text = (
        "Código;Cantidad;Fecha;Observaciones\r\nC R8 T -1;1.050;12/9/2025;año nuevo\r\nCR8T1;1.234.567;;\r\n"
    )
    first, second = judged(tmp_path, text.encode("latin-1"))

    assert (first.quantity, first.verdict) == (1050, RowVerdict.READ)
    assert second.verdict is RowVerdict.REJECTED  # more than a million plants


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("MAM-BOC-001,MAC-R8-T,0,,", "quantity_sold must be between 1 and 999999, not '0'"),
        ("MAM-BOC-001,MAC-R8-T,-5,,", "quantity_sold must be between"),
        ("MAM-BOC-001,MAC-R8-T,1000000,,", "quantity_sold must be between"),
        ("MAM-BOC-001,MAC-R8-T,12 maybe,,", "quantity_sold must be a number, not '12 maybe'"),
        ("MAM-BOC-001,MAC-R8-T,2.5,,", "quantity_sold must be a whole number"),
        ("MAM-BOC-001,MAC-R99-T,3,,", "names the pot 'MAC-R99-T', which is not in the catalogue"),
        ("MAM-ZZZ-001,MAC-R8-T,3,,", "names the product 'MAM-ZZZ-001', which is not in the catalogue"),
        ("ZZZ,,3,,", "names the code 'ZZZ', which is neither a product's nor in the price list"),
        (",,3,,", "names neither product_sku nor code"),
        ("MAM-BOC-001,MAC-R8-T,3,31/2/2025,", "sale_date"),
        ("MAM-BOC-001,MAC-R8-T,3", "has 3 cells where the header has 5"),
    ],
)
def test_a_row_that_cannot_be_read_is_rejected_with_its_line_and_text(
    tmp_path: Path, row: str, reason: str
) -> None:
    header = "product_sku,packaging_sku,quantity_sold,sale_date,invoice_number\n"
    good, bad = judged(tmp_path, f"{header}MAM-BOC-001,MAC-R8-T,7,2025-09-03,A1\n{row}\n")

    assert (good.verdict, bad.verdict, bad.line, bad.raw) == (RowVerdict.READ, RowVerdict.REJECTED, 3, row)
    assert reason in (bad.reason or "")


def test_what_is_of_another_month_or_of_the_same_invoice_is_set_aside(tmp_path: Path) -> None:
    rows = judged(
        tmp_path,
        "code,quantity_sold,sale_date,invoice_number\n"
        "CR8T1,7,2025-09-03,A1\nCR8T1,7,2025-09-03,A1\nCR8T1,7,2025-10-03,A2\n"
        "CR8T1,9,2025-09-04,\nCR8T1,9,2025-09-04,\n",
    )

    assert [row.verdict.value for row in rows] == ["read", "set_aside", "set_aside", "read", "read"]
    assert [row.reason for row in rows] == [
        None,
        "repeats line 2, of the same invoice",
        "is of 2025-10-03, outside the time asked about",
        None,
        "says the same as line 5; both count, as neither has an invoice",
    ]


def test_a_file_without_quantities_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="lacks the column quantity_sold"):
        judged(tmp_path, "code,sale_date\nCR8T1,2025-09-03\n")


def declared(target: Target, quantity: int) -> SaleRow:
    return SaleRow("ventas.csv", 2, "", RowVerdict.READ, None, target, quantity)


BOCASANA = Target("MAM-BOC-001", 1, None, None)


@pytest.mark.parametrize(
    ("quantity", "status"),
    [(500, "proved"), (480, "proved"), (470, "contradictory"), (530, "contradictory"), (None, "inferred")],
)
def test_what_was_sold_and_what_was_declared(quantity: int | None, status: str) -> None:
    rows = [] if quantity is None else [declared(BOCASANA, quantity)]
    (found,) = check_sales([line(10_000, 9_500)], rows, KINDS, {})

    assert (found.label, found.calculated, found.declared) == ("MAM-BOC-001", 500, quantity)
    assert found.status is SaleStatus(status)


def test_what_the_counts_cannot_tell_is_indistinct() -> None:
    within = line(1_000, 960, spread=60)

    assert [one.status.value for one in check_sales([within], [], KINDS, {})] == ["indistinct"]
    assert check_sales([within], [declared(BOCASANA, 90)], KINDS, {})[0].status is SaleStatus.INDISTINCT
    assert check_sales([within], [declared(BOCASANA, 41)], KINDS, {})[0].status is SaleStatus.PROVED
    assert check_sales([within], [declared(BOCASANA, 400)], KINDS, {})[0].status is SaleStatus.CONTRADICTORY


def test_what_was_declared_of_lots_that_were_not_counted_is_indistinct() -> None:
    assert check_sales([], [declared(BOCASANA, 90)], KINDS, {}) == [
        Checked("MAM-BOC-001", None, None, None, 90, SaleStatus.INDISTINCT, 0, 0)
    ]


def test_trays_are_not_compared() -> None:
    assert check_sales([line(288, 250, sellable=0)], [], KINDS, {}) == []


def test_a_lot_is_compared_under_the_narrowest_code_that_names_it() -> None:
    cacti = Target("all cacti", None, 100, None)
    lots = [line(100, 60), line(100, 90, product=2), line(100, 80, product=2, place=8)]
    found = check_sales(lots, [declared(cacti, 30), declared(BOCASANA, 40)], KINDS, {})

    assert [(one.label, one.calculated, one.declared, one.lots) for one in found] == [
        ("MAM-BOC-001", 40, 40, 1),
        ("all cacti", 30, 30, 2),
    ]


@given(st.integers(-50, 500), st.integers(0, 80), st.integers(0, 600))
def test_a_status_never_proves_what_lies_outside_the_bounds(middle: int, half: int, said: int) -> None:
    status = status_of((middle, middle - half, middle + half), said)

    far = abs(said - middle) > half + max(0.05 * said, 5)
    assert (status is SaleStatus.CONTRADICTORY) == far


def test_codes_are_those_of_the_catalogue(demo: Connection) -> None:
    known = sales.codes(demo)

    assert known.target({"product_sku": "mam-boc-001", "packaging_sku": "mac r8 t"}).label == (
        "MAM-BOC-001 MAC-R8-T"
    )
    assert known.target({"code": "C R8 T -1"}).category_id is not None
