"""Days and months as people in Argentina write them: day first, Spanish months, ranges, doubts. Pure."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass

from db.imports.words import clean, fold
from pipeline.words import Sentence

_MONTHS = (
    *("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio"),
    *("agosto", "septiembre", "octubre", "noviembre", "diciembre"),
)
_VARIANTS = {"setiembre": 9, "set": 9}
_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]00:00(?::00)?)?", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})", re.ASCII)
_MONTH = re.compile(r"([a-záéíóú]+)\.?\s*(?:['’´`/-]|de\s|\s)?\s*(\d{4}|\d{2})", re.ASCII | re.IGNORECASE)
_MONTH_NUMBER = re.compile(r"(\d{1,2})[/-](\d{4})", re.ASCII)
_YEARS = re.compile(r"(\d{4})(?:\s*[/-]\s*(\d{4}|\d{2}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """From the first day to the last, both meant. `remark` says what was read into it, if anything."""

    first: dt.date
    last: dt.date
    remark: str | None = None


def parse_day(text: str) -> dt.date:
    """`2025-09-01`, `1/9/2025` or `1-9-25`. Raises ValueError with a phrase for after the column's name."""
    if found := _ISO.fullmatch(text.strip()):
        return _day(int(found[1]), int(found[2]), int(found[3]), text)
    if found := _DAY_FIRST.fullmatch(text.strip()):
        return _day(_year(found[3]), int(found[2]), int(found[1]), text)
    raise ValueError(Sentence("must be a day like 2025-09-01 or 1/9/2025, not {text!r}", text=text))


def parse_span(text: str) -> Span:
    """A day, a month (`dic'21`, `oct 2023`, `9/2025`), a year or years (`2018/19?`). Raises ValueError.

    A misspelt month (`dice'22`, `no'20`) is read if only one month begins so, or if it begins with a month.
    """
    words = clean(text)
    doubtful = words.endswith("?")
    bare = words.rstrip("? ").strip()
    span = _day_span(bare) or _month_span(bare) or _year_span(bare)
    if span is None:
        raise ValueError(
            Sentence("must be a day, month or year like 1/9/2025, sep'25 or 2025, not {text!r}", text=text)
        )
    if doubtful:
        return Span(span.first, span.last, "; ".join(filter(None, (span.remark, f"{words!r} is doubtful"))))
    return span


def _day_span(text: str) -> Span | None:
    if _ISO.fullmatch(text) or _DAY_FIRST.fullmatch(text):
        day = parse_day(text)
        return Span(day, day)
    return None


def _month_span(text: str) -> Span | None:
    if found := _MONTH_NUMBER.fullmatch(text):
        number, year, mended = int(found[1]), _year(found[2]), False
        if not 1 <= number <= 12:
            raise ValueError(Sentence("has no month {number}: {text!r}", number=number, text=text))
    elif found := _MONTH.fullmatch(text):
        named = month_number(found[1])
        if named is None:
            return None
        number, mended = named
        year = _year(found[2])
    else:
        return None
    remark = f"{text!r} read as {_MONTHS[number - 1]} {year}" if mended else None
    last = calendar.monthrange(year, number)[1]
    return Span(dt.date(year, number, 1), dt.date(year, number, last), remark)


def _year_span(text: str) -> Span | None:
    found = _YEARS.fullmatch(text)
    if found is None:
        return None
    first = int(found[1])
    last = first if found[2] is None else int(found[1][: 4 - len(found[2])] + found[2])
    if last < first or not 1950 <= first <= 2100:
        raise ValueError(Sentence("must be a year or years that follow each other, not {text!r}", text=text))
    return Span(dt.date(first, 1, 1), dt.date(last, 12, 31), f"{text!r} names no month")


def month_number(word: str) -> tuple[int, bool] | None:
    """1–12, and whether the word had to be mended; None if it is no month, or could be two."""
    name = fold(word)
    if name in _VARIANTS:
        return _VARIANTS[name], False
    begun = {number for number, month in enumerate(_MONTHS, 1) if month.startswith(name)}
    if len(begun) == 1:
        return begun.pop(), len(name) < 3
    mended = {number for number, month in enumerate(_MONTHS, 1) if name.startswith(month[:3])}
    return (mended.pop(), True) if len(mended) == 1 else None


def _year(text: str) -> int:
    return int(text) if len(text) == 4 else 2000 + int(text)


def _day(year: int, month: int, day: int, text: str) -> dt.date:
    try:
        return dt.date(year, month, day)
    except ValueError as error:
        raise ValueError(Sentence("is no day of the calendar: {text!r}", text=text)) from error
