"""Read a table that a person made, CSV or a spreadsheet, into rows of text with their line numbers.

Encoding and delimiter are found out, and `ReadFile.notes` says what was found and why, so that a wrong
finding is seen before anything is loaded. Nothing is calculated: a formula is a text like any other.
Number formats are read in db/imports/numbers.py.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from db.errors import UnreadableFile
from db.imports.sheets import is_spreadsheet, read_sheet
from pipeline.words import Sentence

LARGEST = 64 * 1024 * 1024  # bytes; a table of a hundred thousand rows has about ten million
LONGEST_CELL = 32_768  # characters; more is nearly always a quote that was never closed
_DELIMITERS = ("\t", ";", "|", ",")  # a comma also stands inside numbers and sentences, so it comes last
_NAMES = {"\t": "tab", ";": "semicolon", "|": "bar", ",": "comma"}
_SAMPLE = 200  # records by which a delimiter is judged
_SEP_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the caller knows better than the file shows; None is found out."""

    encoding: str | None = None
    delimiter: str | None = None
    sheet: str | None = None  # of a workbook; None is its first with anything in it


@dataclass(frozen=True, slots=True)
class Row:
    """`line` is where the row begins, from 1. `exact` are the cells a spreadsheet holds as numbers: they
    are written with a decimal point whatever the number format of the texts around them is."""

    line: int
    cells: tuple[str, ...]
    exact: frozenset[int] = frozenset()

    @property
    def is_blank(self) -> bool:
        return not any(cell.strip() for cell in self.cells)

    @property
    def raw(self) -> str:
        """The row as CSV, to be kept as evidence."""
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="").writerow(self.cells)
        return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class ReadFile:
    """`encoding` is the workbook's kind for a spreadsheet, which has no delimiter."""

    path: Path
    sha256: str
    encoding: str
    delimiter: str | None
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def read_rows(path: Path, options: ReadOptions = ReadOptions()) -> ReadFile:
    """All rows of a CSV, TSV, XLSX, XLS or ODS file, blank ones too. Raises UnreadableFile."""
    data = read_bytes(path)
    digest = hashlib.sha256(data).hexdigest()
    if is_spreadsheet(data):
        sheet = read_sheet(path, data, options.sheet)
        rows = tuple(
            Row(number, tuple(cell.text for cell in cells), frozenset(_exact(cells)))
            for number, cells in enumerate(sheet.rows, sheet.first_row)
        )
        return ReadFile(
            path, digest, sheet.kind, None, rows, (f"read as {sheet.kind}, sheet {sheet.name!r}",)
        )
    text, encoding, why = decode(path, data, options.encoding)
    text, skipped, named = _cut_sep_line(text)
    delimiter = options.delimiter or named or _find_delimiter(text)
    rows = tuple(_parse(path, text, delimiter, skipped))
    if all(row.is_blank for row in rows):
        raise UnreadableFile(Sentence("{path} holds no row: it is blank.", path=path))
    note = f"read as {why}, cells parted by {_NAMES.get(delimiter, repr(delimiter))}"
    return ReadFile(path, digest, encoding, delimiter, rows, (note,))


def read_bytes(path: Path) -> bytes:
    """The whole file, if it is one and not too large. Raises UnreadableFile."""
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= LARGEST else b""
    except OSError as error:
        raise UnreadableFile(
            Sentence(
                "{path} cannot be read: {reason}.",
                path=path,
                reason=(error.strerror or "unknown error").lower(),
            )
        ) from error
    if size > LARGEST:
        raise UnreadableFile(
            Sentence(
                "{path} has {size} MB; tables of up to {most} MB are read: split it.",
                path=path,
                size=size // 2**20,
                most=LARGEST // 2**20,
            )
        )
    if not data:
        raise UnreadableFile(Sentence("{path} is empty.", path=path))
    return data


def decode(path: Path, data: bytes, encoding: str | None = None) -> tuple[str, str, str]:
    """Text, encoding, and a phrase that says how it was found. Raises UnreadableFile."""
    found, phrase = (encoding, f"{encoding}, as told") if encoding else _find_encoding(data)
    try:
        text = data.decode(found)
    except LookupError as error:
        raise UnreadableFile(
            Sentence("{found!r} is no encoding; use utf-8, utf-16, cp1252 or latin-1.", found=found)
        ) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableFile(
            Sentence(
                "{path}, line {line} is not {found}: it may be another encoding.",
                path=path,
                line=line,
                found=found,
            )
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UnreadableFile(
            Sentence(
                "{path}, line {line} holds a NUL byte: it is damaged, or no table. Save it again"
                " as CSV UTF-8.",
                path=path,
                line=line,
            )
        )
    return text.removeprefix("\ufeff"), found, phrase


def _find_encoding(data: bytes) -> tuple[str, str]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", "UTF-16, by its byte order mark"
    try:
        data.decode("utf-8")
        marked = data.startswith(b"\xef\xbb\xbf")
        return "utf-8", "UTF-8 with a byte order mark" if marked else "UTF-8"
    except UnicodeDecodeError as error:
        start = error.start
    if encoding := _unmarked_utf16(data):
        return encoding, "UTF-16 without a byte order mark"
    try:
        data.decode("cp1252")
        encoding, name = "cp1252", "Windows-1252"
    except UnicodeDecodeError:
        encoding, name = "latin-1", "ISO 8859-1"
    return encoding, f"{name}, since it is not UTF-8: {_word_at(data, start).decode(encoding)!r}"


def _unmarked_utf16(data: bytes) -> str | None:
    """Latin letters in UTF-16 have a zero in every second byte."""
    head = data[:4096]
    for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if len(head) > 3 and zeros.count(0) > 0.8 * len(zeros):
            return encoding
    return None


def _word_at(data: bytes, position: int) -> bytes:
    """The word around a byte, for a person to see whether the encoding makes sense."""
    breaks = b' \t\r\n,;|"'
    start = end = position
    while start > 0 and data[start - 1] not in breaks and position - start < 20:
        start -= 1
    while end < len(data) and data[end] not in breaks and end - position < 20:
        end += 1
    return data[start:end]


def _cut_sep_line(text: str) -> tuple[str, int, str | None]:
    """Spreadsheets may write `sep=;` as a first line that is no data."""
    named = _SEP_LINE.match(text)
    return (text[named.end() :], 1, named[1]) if named else (text, 0, None)


def _find_delimiter(text: str) -> str:
    """The one that parts most records into the same number of cells, at least two."""
    scores = {delimiter: _agreement(text, delimiter) for delimiter in _DELIMITERS}
    best = max(scores.values())
    return next(delimiter for delimiter in _DELIMITERS if scores[delimiter] == best) if best else ","


def _agreement(text: str, delimiter: str) -> float:
    """Share of the first records with the commonest number of cells; 0 if that is one."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    widths: Counter[int] = Counter()
    try:
        for cells in reader:
            if cells:
                widths[len(cells)] += 1
            if widths.total() == _SAMPLE:
                break
    except csv.Error:
        return 0.0
    if not widths:
        return 0.0
    [(width, times)] = widths.most_common(1)
    return times / widths.total() if width > 1 else 0.0


def _parse(path: Path, text: str, delimiter: str, skipped: int) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CELL)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except TypeError as error:
        raise UnreadableFile(
            Sentence("{delimiter!r} parts no cells: name one character, such as ';'.", delimiter=delimiter)
        ) from error
    line = 1 + skipped
    try:
        for cells in reader:
            yield Row(line, tuple(cells))
            line = reader.line_num + 1 + skipped
    except csv.Error as error:
        raise UnreadableFile(
            Sentence(
                "{path}, line {line}: a quotation mark is not closed or stands inside a cell"
                " ({error}). Cells with quotation marks or line breaks must be quoted, as"
                " spreadsheets do.",
                path=path,
                line=line,
                error=error,
            )
        ) from error


def _exact(cells: Sequence[object]) -> Iterable[int]:
    return (place for place, cell in enumerate(cells) if getattr(cell, "is_number", False))
