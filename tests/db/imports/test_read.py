"""Tables that people made: encodings, delimiters, quotes, and everything that is no table."""

from __future__ import annotations

import csv
import datetime as dt
import io
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from db.errors import UnreadableFile
from db.imports.read import ReadOptions, read_rows
from db.imports.tables import Columns, records
from tests.mutations import mutate, mutate_zip

COLUMNS = Columns(("code", "quantity"), ("date",), {"cantidad": "quantity", "código": "code"})


def put(folder: Path, content: str | bytes, name: str = "x.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cells(path: Path, **options: str) -> list[tuple[str, ...]]:
    return [row.cells for row in read_rows(path, ReadOptions(**options)).rows]


@pytest.mark.parametrize(
    ("encoding", "found", "note"),
    [
        ("utf-8", "utf-8", "read as UTF-8,"),
        ("utf-8-sig", "utf-8", "UTF-8 with a byte order mark"),
        ("utf-16", "utf-16", "UTF-16, by its byte order mark"),
        ("utf-16-le", "utf-16-le", "UTF-16 without a byte order mark"),
        ("utf-16-be", "utf-16-be", "UTF-16 without a byte order mark"),
        ("cp1252", "cp1252", "Windows-1252, since it is not UTF-8: 'Túnel'"),
    ],
)
def test_the_encoding_is_found_out_and_told(tmp_path: Path, encoding: str, found: str, note: str) -> None:
    path = put(tmp_path, "código;cantidad\nTúnel 2 – ñandú;3\n".replace("código", "codigo").encode(encoding))
    file = read_rows(path)
    assert (file.encoding, file.rows[1].cells) == (found, ("Túnel 2 – ñandú", "3"))
    assert note in file.notes[0]


def test_bytes_that_windows_does_not_know_are_read_as_latin_1(tmp_path: Path) -> None:
    assert read_rows(put(tmp_path, b"a,b\n\xf1\x81,1\n")).encoding == "latin-1"


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("code;quantity\nA;1,5\nB;2,5\n", ";"),
        ("code,quantity\nA,1\nB,2\n", ","),
        ("code\tquantity\nA, B\t1\nC\t2\n", "\t"),
        ("code|quantity\nA|1\n", "|"),
        ("sep=;\ncode;quantity\nA,b;1\n", ";"),
        ("code\nA\nB\n", ","),  # one column
    ],
)
def test_the_delimiter_is_found_out(tmp_path: Path, text: str, delimiter: str) -> None:
    assert read_rows(put(tmp_path, text)).delimiter == delimiter


def test_line_numbers_are_those_of_an_editor(tmp_path: Path) -> None:
    path = put(tmp_path, 'code,quantity\r\n\r\n"two\r\nlines",1\r\nlast,2\r\n')
    assert [(row.line, row.cells) for row in read_rows(path).rows] == [
        (1, ("code", "quantity")),
        (2, ()),
        (3, ("two\r\nlines", "1")),
        (5, ("last", "2")),
    ]


def test_a_formula_is_a_text(tmp_path: Path) -> None:
    path = put(tmp_path, "code,quantity\n\"=cmd|' /C calc'!A0\",1\n+1+1,2\n")
    assert [row.cells[0] for row in read_rows(path).rows[1:]] == ["=cmd|' /C calc'!A0", "+1+1"]


def test_what_our_own_exports_quote_against_formulas_comes_back_unquoted(tmp_path: Path) -> None:
    path = put(tmp_path, "code,quantity\n'=A1,1\n")
    assert records(read_rows(path), COLUMNS)[0].cells["code"] == "=A1"


def test_rows_with_a_cell_too_few_or_too_many_are_told_and_the_rest_is_read(tmp_path: Path) -> None:
    read = records(read_rows(put(tmp_path, "code,quantity\nA,1\nB\nC,3,4\nD,4,\n")), COLUMNS)
    assert [(record.line, record.problem) for record in read] == [
        (2, None),
        (3, "has 1 cells where the header has 2"),
        (4, "has 3 cells where the header has 2"),
        (5, None),
    ]


def test_headings_are_found_by_their_spellings(tmp_path: Path) -> None:
    read = records(read_rows(put(tmp_path, " CODIGO ;Cantidad\n N01 ;2\n")), COLUMNS)
    assert dict(read[0].cells) == {"code": "N01", "quantity": "2"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("\n ,\n", "holds no row: it is blank"),
        ("code,quantity\nA\0,1\n", "line 2 holds a NUL byte"),
        ('code,quantity\n"A,1\nB,2\n', "line 2: a quotation mark is not closed"),
        ('code,quantity\n"A"B,1\n', "line 2: a quotation mark"),
        ("code,quantty\nA,1\n", "unknown column 'quantty'; did you mean 'quantity'?"),
        ("code,date\nA,1\n", "lacks the column quantity"),
        ("code,quantity,cantidad\nA,1,2\n", "names the column 'quantity' twice"),
    ],
)
def test_what_is_no_table_is_told_in_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = put(tmp_path, text)
    with pytest.raises(UnreadableFile, match=sentence.replace("?", r"\?")):
        records(read_rows(path), COLUMNS)


def test_a_file_that_is_not_there_or_is_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no such file"):
        read_rows(tmp_path / "nowhere.csv")
    with pytest.raises(UnreadableFile, match="is a directory"):
        read_rows(tmp_path)


def test_an_encoding_that_is_told_is_used_or_refused(tmp_path: Path) -> None:
    path = put(tmp_path, "a,b\nñ,1\n".encode("cp1252"))
    assert cells(path, encoding="latin-1")[1] == ("ñ", "1")
    with pytest.raises(UnreadableFile, match="line 2 is not utf-8"):
        read_rows(path, ReadOptions(encoding="utf-8"))
    with pytest.raises(UnreadableFile, match="'klingon' is no encoding"):
        read_rows(path, ReadOptions(encoding="klingon"))


def test_a_hundred_thousand_rows_are_read_at_once(tmp_path: Path) -> None:
    path = put(tmp_path, "code,quantity\n" + "".join(f"N01-NORTE-C{n},{n}\n" for n in range(100_000)))
    start = time.perf_counter()
    read = records(read_rows(path), COLUMNS)
    assert (len(read), read[-1].line) == (100_000, 100_001)
    assert time.perf_counter() - start < 10  # seconds, on a machine that does other things as well


def workbook(path: Path) -> Path:
    book = xlsxwriter.Workbook(str(path))
    book.add_worksheet("vacía")
    sheet = book.add_worksheet("stock")
    sheet.write_row(0, 0, ["Código", "Cantidad", "Date"])
    sheet.write_row(1, 0, ["N01", 1050])
    sheet.write_datetime(1, 2, dt.datetime(2025, 9, 1), book.add_format({"num_format": "dd/mm/yy"}))
    sheet.write_row(2, 0, ["N02", 1.05])
    sheet.write_formula(3, 1, "=1+1", None, 2)
    sheet.write_string(3, 0, "=cmd|x")
    book.close()
    return path


def test_a_spreadsheet_is_read_like_a_csv(tmp_path: Path) -> None:
    file = read_rows(workbook(tmp_path / "x.xlsx"))
    read = records(file, COLUMNS)

    assert (file.encoding, file.delimiter) == ("XLSX", None)
    assert "sheet 'stock'" in file.notes[0]
    assert [(record.line, dict(record.cells)) for record in read] == [
        (2, {"code": "N01", "quantity": "1050", "date": "2025-09-01"}),
        (3, {"code": "N02", "quantity": "1.05", "date": ""}),
        (4, {"code": "=cmd|x", "quantity": "2", "date": ""}),
    ]
    assert read[0].exact == {"quantity"}


def test_spreadsheets_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    whole = workbook(tmp_path / "x.xlsx").read_bytes()
    with pytest.raises(UnreadableFile, match="cut off or damaged"):
        read_rows(put(tmp_path, whole[: len(whole) // 2], "half.xlsx"))
    with pytest.raises(UnreadableFile, match="has no sheet 'sales'; it has 'vacía', 'stock'"):
        read_rows(tmp_path / "x.xlsx", ReadOptions(sheet="sales"))
    with pytest.raises(UnreadableFile, match="holds no row: the sheet is blank"):
        read_rows(tmp_path / "x.xlsx", ReadOptions(sheet="vacía"))


def test_a_cell_far_from_the_table_is_told_before_room_is_made_for_all_between(tmp_path: Path) -> None:
    """A file of 5 kB that took half a terabyte: the process was gone before it could say a word."""
    path = tmp_path / "x.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["code", "quantity"])
        sheet.write(1_048_575, 16_383, "x")
    with pytest.raises(UnreadableFile, match="reaches over 17,179,869,184 cells"):
        read_rows(path)


def test_a_damaged_spreadsheet_is_told_wherever_the_damage_is(tmp_path: Path) -> None:
    whole = workbook(tmp_path / "x.xlsx").read_bytes()
    for number in range(200):
        path = put(tmp_path, mutate(whole, Random(number)), "damaged.xlsx")
        with suppress(UnreadableFile):
            read_rows(path)
        with suppress(UnreadableFile):
            read_rows(put(tmp_path, mutate_zip(whole, Random(number)), "damaged.xlsx"))


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=12)


@settings(max_examples=60)
@given(
    rows=st.lists(st.lists(TEXT, min_size=2, max_size=4), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_spreadsheet_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str, ending: str
) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL).writerows(rows)
    path = put(tmp_path_factory.mktemp("fuzz"), buffer.getvalue())
    if any(cell.strip() for row in rows for cell in row):
        assert cells(path, delimiter=delimiter) == [tuple(row) for row in rows]


@settings(max_examples=150)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_table_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = put(tmp_path_factory.mktemp("fuzz"), data)
    try:
        file = read_rows(path)
    except UnreadableFile as error:
        assert str(error).endswith(".")
    else:
        assert file.rows and file.notes
