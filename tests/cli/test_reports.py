"""Reports in every format, and what cannot be asked or written."""

from __future__ import annotations

import csv
import datetime as dt
import io
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from tests.cli.shop import Shop


@pytest.fixture
def shop(demo_url: str) -> Shop:
    """A demo nursery with plants that were counted by hand, and one product with a name that means harm."""
    shop = Shop(demo_url)
    for place, plants in (("N01-NORTE-C01", 120), ("N01-NORTE-C02", 80), ("N02-SUR-C03", 1500)):
        shop.done("stock", "count", place, plants)
    shop.done("stock", "death", "N01-NORTE-C01", 12)
    with shop.database() as connection:
        connection.exec_driver_sql("UPDATE products SET common_name = '=2+3 <b>' WHERE sku = 'MAM-BOC-001'")
    return shop


def report(shop: Shop, *arguments: object) -> dict[str, Any]:
    return dict(shop.done("report", *arguments))


def test_every_report_has_a_table_json_and_csv_that_agree(shop: Shop) -> None:
    for name in ("summary", "trend", "mortality", "stale", "photos"):
        found = report(shop, name)
        assert found["report"] == name
        told = shop.run("report", name, "--format", "csv")
        rows = list(csv.DictReader(io.StringIO(told.out)))
        assert len(rows) == len(found["rows"])
        for row, line in zip(rows, found["rows"], strict=True):
            assert list(row) == list(line)
        assert shop.run("report", name).code == 0
    total = report(shop, "summary", "--group-by", "place")["total"]
    assert (total["plants"], total["places"]) == (1688, 3)
    [n01, _] = report(shop, "mortality")["rows"]
    assert (n01["deaths"], n01["inflow"], n01["rate"]) == (12, 200, 0.06)


def test_a_spreadsheet_holds_what_json_tells(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "stock.xlsx"
    told = shop.run("report", "summary", "--group-by", "product", "--out", file)
    assert (told.code, told.out) == (0, "")
    book = CalamineWorkbook.from_path(file)
    heading, *rows = book.get_sheet_by_name("Data").to_python()
    assert heading[0] == "product"
    found = report(shop, "summary", "--group-by", "product")["rows"]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        (line["group"], line["places"], line["plants"]) for line in found
    ]
    assert "=2+3 <b>" in [row[0] for row in rows]  # as text
    assert isinstance(rows[0][6], dt.datetime | dt.date)
    assert "About" in book.sheet_names


def test_parquet_is_typed(shop: Shop, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    shop.run("report", "summary", "--out", tmp_path / "stock.parquet")
    table = pq.read_table(tmp_path / "stock.parquet")
    assert table.schema.field("plants").type == "int64"
    assert table.column("plants").to_pylist() == [row["plants"] for row in report(shop, "summary")["rows"]]


def test_csv_for_excel_is_what_spanish_excel_reads_and_formulas_are_text(shop: Shop) -> None:
    told = shop.run("report", "summary", "--group-by", "product", "--format", "csv", "--excel").out
    assert told.startswith("\ufeffgroup;places;")
    assert "'=2+3 <b>;" in told
    assert ",0" in told.replace("0,0", ",0")


def test_a_file_is_never_replaced_unasked_and_written_whole_or_not_at_all(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "stock.csv"
    assert shop.run("report", "summary", "--out", file).code == 0
    before = file.read_bytes()
    told = shop.run("report", "trend", "--out", file)
    assert (told.code, file.read_bytes()) == (5, before)
    assert "is there already; --force replaces it" in told.err
    assert shop.run("report", "trend", "--out", file, "--force").code == 0
    assert file.read_bytes() != before
    told = shop.run("report", "trend", "--out", tmp_path / "no" / "folder.csv")
    assert told.code == 5
    assert "cannot be written: no such file or directory" in told.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stock.csv"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("summary", "--out", "stock.doc"), "ends in none of"),
        (("summary", "--format", "xlsx"), "name one with --out"),
        (("summary", "--place", "N99"), "there is no place, bed or bay"),
        (("summary", "--product", "Nothing"), "there is no product, family or category"),
        (("trend", "--since", "2026-03-01", "--until", "2026-01-01"), "ends before it begins"),
        (("trend", "--step", "day", "--since", "2020-01-01"), "steps are too many"),
        (("mortality", "--since", "soon"), "is no date"),
    ],
)
def test_what_cannot_be_asked_gets_a_sentence(shop: Shop, arguments: tuple[str, ...], told: str) -> None:
    said = shop.run("report", *arguments)
    assert said.code == 2
    assert told in " ".join(said.err.split())


def test_nothing_that_fits_is_said_and_no_error(demo_url: str) -> None:
    shop = Shop(demo_url)
    for name in ("summary", "mortality", "photos"):
        told = shop.run("report", name)
        assert (told.code, told.out.strip()) == (0, "Nothing fits what was asked for.")
    assert report(shop, "summary")["rows"] == []


def test_tables_fit_narrow_terminals_and_speak_spanish(shop: Shop) -> None:
    narrow = Shop(shop.url, {"COLUMNS": "40", "DEMETER_LANGUAGE": "es"})
    for name in ("summary", "trend", "mortality", "stale", "photos", "list"):
        told = narrow.run("report", name)
        assert told.code == 0
        assert max(map(len, told.out.splitlines())) <= 40
    assert "plantas" in narrow.run("report", "summary").out
    assert "1.688" in narrow.run("report", "summary").out
