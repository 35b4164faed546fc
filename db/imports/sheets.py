"""Spreadsheets as rows of text: XLSX, XLS and ODS. The only place that knows calamine.

A cell with a formula gives the value that the spreadsheet last showed; nothing is calculated here.
"""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.errors import UnreadableFile

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LARGEST_UNPACKED = 512 * 1024 * 1024  # bytes; a small file can unpack into more memory than there is
_MOST_CELLS = 5_000_000  # of a sheet, from its first to its last: the reader makes room for every one of them
_ADDRESS = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')
_CHUNK = 1 << 20  # bytes
_LONGEST_ADDRESS = 16  # bytes of `r="XFD1048576"` and a little
# What the zip module raises on parts that are damaged, or packed in a way it does not know (RuntimeError).
_DAMAGED = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class SheetCell:
    text: str
    is_number: bool


@dataclass(frozen=True, slots=True)
class Sheet:
    kind: str  # such as "XLSX"
    name: str
    first_row: int  # the number that the spreadsheet shows beside the first row
    rows: Sequence[Sequence[SheetCell]]


def is_spreadsheet(data: bytes) -> bool:
    return data.startswith((_ZIP, _OLE))


def read_sheet(path: Path, data: bytes, name: str | None = None) -> Sheet:
    """The sheet of that name, or the first with anything in it. Raises UnreadableFile."""
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    _refuse_bomb(path, data)
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        names = workbook.sheet_names
        if name is not None and name not in names:
            raise UnreadableFile(f"{path} has no sheet {name!r}; it has {', '.join(map(repr, names))}.")
        for each in [name] if name is not None else names:
            sheet = workbook.get_sheet_by_name(each)
            rows = [[_cell(value) for value in row] for row in sheet.to_python(skip_empty_area=False)]
            if any(cell.text for row in rows for cell in row):
                return Sheet(_kind(data), each, 1, rows)
    except PasswordError as error:
        raise UnreadableFile(f"{path} is protected by a password: save it without.") from error
    except (CalamineError, OSError, ValueError) as error:
        raise UnreadableFile(f"{path} cannot be read as a spreadsheet ({error}): save it again.") from error
    raise UnreadableFile(f"{path} holds no row: {'the sheet is' if name else 'its sheets are'} blank.")


def _refuse_bomb(path: Path, data: bytes) -> None:
    if not data.startswith(_ZIP):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            cells = _most_cells(archive) if size <= _LARGEST_UNPACKED else 0
    except _DAMAGED as error:
        raise UnreadableFile(f"{path} is cut off or damaged: copy it again.") from error
    if size > _LARGEST_UNPACKED:
        raise UnreadableFile(f"{path} unpacks into {size // 2**20} MB, which no table needs: save it as CSV.")
    if cells > _MOST_CELLS:
        raise UnreadableFile(
            f"{path} reaches over {cells:,} cells, so one far from the table holds something: delete what "
            "stands right of the table and below it, or save the table as CSV."
        )


def _most_cells(archive: zipfile.ZipFile) -> int:
    """Of the sheet that reaches farthest: rows times columns up to its last cell."""
    sheets = [name for name in archive.namelist() if name.lower().startswith("xl/worksheets/")]
    return max((_cells(archive, name) for name in sheets), default=0)


def _cells(archive: zipfile.ZipFile, name: str) -> int:
    columns = rows = 0
    tail = b""
    with archive.open(name) as part:
        while chunk := part.read(_CHUNK):
            for letters, digits in set(_ADDRESS.findall(tail + chunk)):
                columns, rows = max(columns, _column(letters)), max(rows, int(digits))
            tail = chunk[-_LONGEST_ADDRESS:]
    return columns * rows


def _column(letters: bytes) -> int:
    """A is 1, Z is 26, AA is 27."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number


def _kind(data: bytes) -> str:
    if data.startswith(_OLE):
        return "XLS"
    return "ODS" if b"opendocument.spreadsheet" in data[:200] else "XLSX"


def _cell(value: Any) -> SheetCell:
    match value:
        case bool():
            return SheetCell(str(value).lower(), is_number=False)
        case int():
            return SheetCell(str(value), is_number=True)
        case float():
            whole = value.is_integer() and abs(value) < 1e15
            return SheetCell(str(int(value)) if whole else repr(value), is_number=True)
        case dt.datetime() if value.time() == dt.time():
            return SheetCell(value.date().isoformat(), is_number=False)
        case dt.datetime() | dt.date() | dt.time():
            return SheetCell(value.isoformat(), is_number=False)
        case _:
            return SheetCell(str(value).replace("\0", ""), is_number=False)
