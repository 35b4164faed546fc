"""A file with a header: its rows by the names of their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from db.cells import unguarded
from db.errors import UnreadableFile
from db.imports.read import ReadFile, Row
from db.imports.words import clean, key, nearest


@dataclass(frozen=True, slots=True)
class Columns:
    """What a file may hold. `spellings` maps other headings to these names: `{"cantidad": "quantity"}`."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    spellings: Mapping[str, str] | None = None

    def named(self, heading: str) -> str | None:
        by_key = {key(name): name for name in (*self.required, *self.optional)}
        by_key |= {key(other): name for other, name in (self.spellings or {}).items()}
        return by_key.get(key(heading))


@dataclass(frozen=True, slots=True)
class Record:
    """`cells` are trimmed, in one spelling of accents, and lack the columns that the file lacks; an empty
    cell is "". `problem` is a sentence if the row has too few or too many cells."""

    line: int
    row: Row
    cells: Mapping[str, str]
    exact: frozenset[str]  # the columns whose cell a spreadsheet holds as a number
    problem: str | None = None


def records(file: ReadFile, columns: Columns) -> list[Record]:
    """The rows under the header, which is the first that is not blank; blank rows are left out.

    Raises UnreadableFile when a column is missing, unknown, or named twice.
    """
    rows = [row for row in file.rows if not row.is_blank]
    header, names = rows[0], _header(file, rows[0], columns)
    width = len(header.cells)
    return [_record(row, names, width) for row in rows[1:]]


def _header(file: ReadFile, row: Row, columns: Columns) -> dict[int, str]:
    names: dict[int, str] = {}
    known = [*columns.required, *columns.optional]
    for place, heading in enumerate(row.cells):
        if not heading.strip():
            continue
        name = columns.named(heading)
        if name is None:
            raise UnreadableFile(
                f"{file.path}, line {row.line} has an unknown column {clean(heading)!r}"
                f"{nearest(heading, known) or '; known are ' + ', '.join(known) + '.'}"
            )
        if name in names.values():
            raise UnreadableFile(f"{file.path}, line {row.line} names the column {name!r} twice.")
        names[place] = name
    missing = [name for name in columns.required if name not in names.values()]
    if missing:
        raise UnreadableFile(
            f"{file.path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}: "
            f"its first line must name {', '.join(columns.required)}."
        )
    return names


def _record(row: Row, names: Mapping[int, str], width: int) -> Record:
    cells = {name: _cell(row.cells[place]) for place, name in names.items() if place < len(row.cells)}
    exact = frozenset(names[place] for place in row.exact if place in names)
    extra: Sequence[str] = [cell for cell in row.cells[width:] if cell.strip()]
    problem = None
    if len(row.cells) < width or extra:
        problem = f"has {len(row.cells)} cells where the header has {width}"
    return Record(row.line, row, cells, exact, problem)


def _cell(text: str) -> str:
    """Without the quotation mark by which our own exports keep spreadsheets from running a formula."""
    return unguarded(clean(text))
