"""Numbers as people and spreadsheets write them. Pure.

`1.050` is 1,050 in Argentina and 1.05 elsewhere. Which one a file means is read off its own unambiguous
numbers, such as `3,5` or `1.050.000`; where it holds none, the caller must say, or the cell is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pipeline.words import Sentence

_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,'\s][0-9]+)*[.,]?")
_MONEY = re.compile(r"^(?:AR\$|U\$S|USD|ARS|\$|€)\s*|\s*(?:AR\$|U\$S|USD|ARS|\$|€)$", re.IGNORECASE)
_GROUPED = {".": re.compile(r"[0-9]{1,3}(\.[0-9]{3})+"), ",": re.compile(r"[0-9]{1,3}(,[0-9]{3})+")}


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """`decimal` is "." or ",", or None where the file does not show it, or shows both. `why` is a phrase
    for the report."""

    decimal: str | None
    why: str
    contradictory: bool = False

    @property
    def thousands(self) -> str | None:
        return None if self.decimal is None else {".": ",", ",": "."}[self.decimal]


def detect_format(cells: Iterable[str]) -> NumberFormat:
    """What the cells that are numbers show. Contradicting cells leave it open, and are named."""
    witnesses: dict[str, str] = {}
    for cell in cells:
        decimal = _decimal_of(_bare(cell))
        if decimal is not None:
            witnesses.setdefault(decimal, cell.strip())
    match sorted(witnesses):
        case []:
            return NumberFormat(None, "no number shows whether a dot or a comma marks the decimals")
        case [decimal]:
            word = "comma" if decimal == "," else "dot"
            return NumberFormat(decimal, f"a {word} marks the decimals, as {witnesses[decimal]!r} shows")
        case _:
            why = f"numbers contradict each other: {witnesses[',']!r} and {witnesses['.']!r}"
            return NumberFormat(None, why, contradictory=True)


def told_format(decimal: str) -> NumberFormat:
    return NumberFormat(decimal, f"a {'comma' if decimal == ',' else 'dot'} marks the decimals, as told")


def parse_number(text: str, style: NumberFormat, *, exact: bool = False) -> Decimal:
    """The number that a cell holds. Raises ValueError with a phrase that follows the column's name.

    `exact` is for cells that a spreadsheet holds as numbers: their dot marks decimals.
    """
    bare = _bare(text)
    if exact:
        return Decimal(bare)
    if not _NUMBER.fullmatch(bare):
        raise ValueError(Sentence("must be a number, not {text!r}", text=text))
    signs = [char for char in bare if char in ".,"]
    if not signs:
        return Decimal(_without_spaces(bare, text))
    proven = _decimal_of(bare)
    decimal = style.decimal or proven
    if proven is not None and proven != decimal:
        raise ValueError(
            Sentence("is written otherwise than the rest: {text!r}, but {why}", text=text, why=style.why)
        )
    if len(signs) > 1 and len(set(signs)) == 1 and not _GROUPED[signs[0]].fullmatch(bare.lstrip("+-")):
        raise ValueError(Sentence("must be a number, not {text!r}", text=text))
    if decimal is None or style.contradictory:
        raise ValueError(
            Sentence(
                "is unclear: {text!r} may be {both}; say which sign marks the decimals",
                text=text,
                both=_both(bare),
            )
        )
    return _read(bare, decimal, text)


def parse_count(text: str, style: NumberFormat, *, exact: bool = False) -> int:
    """A whole number. Raises ValueError."""
    number = parse_number(text, style, exact=exact)
    if number != number.to_integral_value():
        raise ValueError(Sentence("must be a whole number, not {text!r}", text=text))
    return int(number)


def _bare(text: str) -> str:
    """Without a sign of money and blanks around it."""
    sign, rest = ("-", text.strip()[1:]) if text.strip()[:1] in ("-", "−") else ("", text.strip())
    return sign + _MONEY.sub("", rest.strip()).strip()


def _decimal_of(bare: str) -> str | None:
    """The decimal sign that the number alone proves, if it does."""
    if not _NUMBER.fullmatch(bare):
        return None
    digits = bare.lstrip("+-")
    signs = [char for char in digits if char in ".,"]
    if not signs:
        return None
    last = signs[-1]
    other = "," if last == "." else "."
    if len(set(signs)) == 2:
        return last if signs.count(last) == 1 else None
    if len(signs) > 1:
        return other if _GROUPED[last].fullmatch(digits) else None
    whole, _, fraction = digits.partition(last)
    grouped = len(fraction) == 3 and 1 <= len(whole) <= 3 and whole.strip("0") != "" and whole[0] != "0"
    return None if grouped else last


def _read(bare: str, decimal: str, text: str) -> Decimal:
    thousands = "," if decimal == "." else "."
    whole, _, fraction = bare.partition(decimal)
    digits = whole.lstrip("+-")
    well = "." not in fraction and "," not in fraction
    well &= thousands not in digits or _GROUPED[thousands].fullmatch(digits) is not None
    if not well:
        raise ValueError(Sentence("must be a number, not {text!r}", text=text))
    return Decimal(_without_spaces(whole.replace(thousands, ""), text) + ("." + fraction if fraction else ""))


def _without_spaces(digits: str, text: str) -> str:
    """`1 050` and `1'050` are grouped by threes, or they are two numbers."""
    groups: Sequence[str] = re.split(r"[\s']", digits.lstrip("+-"))
    if len(groups) > 1 and (any(len(group) != 3 for group in groups[1:]) or len(groups[0]) > 3):
        raise ValueError(Sentence("must be a number, not {text!r}", text=text))
    return ("-" if digits.startswith("-") else "") + "".join(groups)


def _both(bare: str) -> str:
    sign = "," if "," in bare else "."
    digits = re.sub(r"[\s']", "", bare)
    whole, broken = Decimal(digits.replace(sign, "")), Decimal(digits.replace(sign, ".", 1))
    return f"{whole:,} or {broken.normalize():f}"
