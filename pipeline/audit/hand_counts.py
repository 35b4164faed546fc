"""Read the hand counts that a person typed into a spreadsheet, and check each against its tile. Pure.

Spreadsheets save what they like: semicolons or tabs for commas, a byte order mark, UTF-16 or the code page of
Windows, 12,0 for 12, empty lines at the end. All of that is understood. What cannot be meant gets a sentence
with its line number, and then nothing of the file is taken.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.audit.frames import MOST_PLANTS
from pipeline.audit.words import COLUMNS
from pipeline.words import Sentence

# A hand count this many times what a frame may hold, or what the machine saw, is a slip of the keyboard.
ABSURD = 10
_WHOLE = re.compile(r"(\d{1,9})(?:[.,]0+)?")
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")
LAST_COLUMN = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person says of a tile."""

    tile: int
    plants: int
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """A file of counts: what was read, and what is wrong with it as `(line, sentence)`."""

    read: tuple[Answer, ...]
    blank: tuple[int, ...]  # tiles whose count was left empty
    complaints: tuple[tuple[int, str], ...]


def most_plausible(expected: float) -> int:
    """The largest hand count of a tile that is taken."""
    return round(ABSURD * max(expected, MOST_PLANTS))


def parse_plants(text: str, most: int) -> int:
    """A hand count of a tile. Raises ValueError with a sentence."""
    whole = _WHOLE.fullmatch(text.strip())
    if whole is None:
        if not _NUMBER.fullmatch(text.strip()):
            raise ValueError(
                Sentence(
                    "{text!r} is no number; write how many plants there are, or nothing", text=text.strip()
                )
            )
        why = Sentence("less than none") if text.strip().startswith("-") else Sentence("no whole number")
        raise ValueError(Sentence("{text} plants is {problem}", text=text.strip(), problem=why))
    plants = int(whole[1])
    if plants > most:
        raise ValueError(
            Sentence(
                "{plants} plants do not fit into this picture; is it a slip of the keyboard?", plants=plants
            )
        )
    return plants


def decode_text(data: bytes) -> str:
    """A spreadsheet's bytes as text, whatever it saved them in."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def read_answers(data: bytes, code: str, most: Mapping[int, int]) -> Answers:
    """Read a file of counts for the audit `code`, whose tiles and their `most_plausible` are `most`."""
    text = decode_text(data)
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    read: dict[int, Answer] = {}
    blank: list[int] = []
    complaints: list[tuple[int, str]] = []
    met: dict[int, int] = {}  # tile → line
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        try:
            cells = [cell.strip() for cell in next(rows)]
        except StopIteration:
            break
        except csv.Error as error:
            complaints.append((rows.line_num, f"cannot be read: {error}"))
            continue
        if not any(cells) or _is_heading(cells):
            continue
        try:
            tile, answer = _answer(cells, code, most)
            if tile in met:
                raise ValueError(
                    Sentence("tile {tile} was already in line {line}", tile=tile, line=met[tile])
                )
        except ValueError as error:
            complaints.append((rows.line_num, str(error)))
            continue
        met[tile] = rows.line_num
        if answer is None:
            blank.append(tile)
        else:
            read[tile] = answer
    return Answers(tuple(read.values()), tuple(blank), tuple(complaints))


def _is_heading(cells: list[str]) -> bool:
    """In any of the languages; Excel also understands a first line that names the separator."""
    first = cells[0].lower()
    return first.startswith("sep=") or first in {heads[0] for heads in COLUMNS.values()}


def _answer(cells: list[str], code: str, most: Mapping[int, int]) -> tuple[int, Answer | None]:
    cells = cells + [""] * (LAST_COLUMN + 1 - len(cells))
    audit, number, plants, remark = cells[: LAST_COLUMN + 1]
    if audit and audit.upper() != code:
        raise ValueError(
            Sentence("this row belongs to audit {audit!r}, not to {code}", audit=audit, code=code)
        )
    whole = _WHOLE.fullmatch(number)
    if whole is None:
        raise ValueError(
            Sentence("{number!r} is no tile; write the number that stands above the picture", number=number)
        )
    tile = int(whole[1])
    if tile not in most:
        raise ValueError(Sentence("there is no tile {tile}; the sheet has {n}", tile=tile, n=len(most)))
    if any(cells[LAST_COLUMN + 1 :]):
        raise ValueError(
            Sentence("tile {tile}: more cells than columns; put quotes around text with commas", tile=tile)
        )
    if not plants:
        return tile, None
    try:
        return tile, Answer(tile, parse_plants(plants, most[tile]), remark or None)
    except ValueError as error:
        raise ValueError(Sentence("tile {tile}: {error}", tile=tile, error=error)) from None
