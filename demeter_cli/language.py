"""Words, numbers, days and sums of money in the language of whoever reads: English, or Spanish of Argentina.

Reports, labels and what technicians see on a screen go through `_`; code, logs, JSON and CSV keys stay
English. Texts are marked where they are written: `_("Stock")`, or `N_("Stock")` in a table that is made when
a module is loaded, with `_` around it where it is shown (`output.print_table` does it for headings). What db
and pipeline say to people is a `Sentence`, which `told` translates.

`python tools/make_translations.py` gathers the texts, and says which have no Spanish yet.
"""

from __future__ import annotations

import datetime as dt
import gettext
import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.words import Sentence


class Language(StrEnum):
    """What `--lang` may be."""

    EN = "en"
    ES = "es"


LOCALES = Path(__file__).parent / "locale"
LANGUAGES = {"en": "en", "es": "es_AR"}  # by what settings say, the locale that numbers and days follow
_SWAPPED = str.maketrans(",.", ".,")

_chosen = "en"


def use(language: str) -> None:
    """From now on, texts are in this language; in English where it is no key of `LANGUAGES`."""
    global _chosen  # noqa: PLW0603  one program speaks one language at a time
    _chosen = language if language in LANGUAGES else "en"
    # Typer asks gettext for the few words of its own; it finds them where the locale, too, is Spanish.
    gettext.bindtextdomain("demeter", str(LOCALES))
    gettext.textdomain("demeter" if _chosen == "es" else "messages")


def chosen() -> str:
    """The key of `LANGUAGES` in use."""
    return _chosen


@contextmanager
def speaking(language: str | None) -> Iterator[None]:
    """In this language, if one is named, for as long as the context lasts: for a sheet that another reads."""
    before = _chosen
    use(language or before)
    try:
        yield
    finally:
        use(before)


def N_(text: str) -> str:  # noqa: N802  gettext's own name: marks a text without translating it
    return text


def _(text: str) -> str:
    """The text in the language in use."""
    # gettext keeps its own header under the empty text.
    return _texts(_chosen).gettext(text) if text else text


def n_(one: str, many: str, number: int) -> str:
    """`one` or `many`, as the language in use counts; fill in the number with `.format` or `%`."""
    return _texts(_chosen).ngettext(one, many, number)


def told(text: str) -> str:
    """What db or pipeline say, in the language in use.

    A text that is no Sentence, such as a warning that was stored with a photo, is translated where one of our
    patterns made it, and else stays as it is.
    """
    if not isinstance(text, Sentence):
        return text if _chosen == "en" else _recognised(text)
    values = {name: _shown(value) for name, value in text.values.items()}
    if text.one is None:
        return _(text.pattern).format(**values)
    return n_(text.one, text.pattern, text.values["n"]).format(**values)


def why(error: BaseException) -> str:
    """What an error says, in the language in use."""
    return told(error.args[0]) if error.args and isinstance(error.args[0], str) else str(error)


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return told(value)
    return _Number(value) if isinstance(value, float | int) else value


class _Number(float):
    """A value of a pattern: `{n:,}` and `{size:.1f}` are written by the language, `{n}` as it is: an id."""

    def __new__(cls, value: float) -> _Number:
        self = super().__new__(cls, value)
        self.value = value
        return self

    value: float

    def __format__(self, how: str) -> str:
        text = format(self.value, how)
        return text.translate(_SWAPPED) if _chosen == "es" and how else text


def number(value: float | Decimal, digits: int = 0) -> str:
    """1,234.5 in English, 1.234,5 in Spanish."""
    text = f"{value:,.{digits}f}"
    return text.translate(_SWAPPED) if _chosen == "es" else text


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 as a percentage."""
    return f"{number(share * 100, digits)}%"


def money(amount: Decimal, currency: str) -> str:
    """A sum in the currency with this ISO code."""
    from babel.numbers import format_currency

    return format_currency(amount, currency, locale=LANGUAGES[_chosen])


def day(value: dt.date) -> str:
    """2026-11-27 in English, which sorts; 27/11/2026 in Spanish."""
    return f"{value:%d/%m/%Y}" if _chosen == "es" else f"{value:%Y-%m-%d}"


def month(value: dt.date) -> str:
    """2026-11 in English, 11/2026 in Spanish."""
    return f"{value:%m/%Y}" if _chosen == "es" else f"{value:%Y-%m}"


def moment(value: dt.datetime) -> str:
    """A day and the time on a clock, to the minute."""
    return f"{day(value)} {value:%H:%M}"


def _recognised(text: str) -> str:
    """The translation of a text in English that was made from a pattern, as far as its form tells."""
    for made, pattern in _patterns(_chosen):
        if found := made.fullmatch(text):
            values = {name: told(value) for name, value in found.groupdict().items()}
            return _without_formats(pattern).format(**values)
    parts = text.split("; ")
    return "; ".join(map(_recognised, parts)) if len(parts) > 1 else text


@lru_cache
def _patterns(language: str) -> list[tuple[re.Pattern[str], str]]:
    """What texts made from each pattern look like, and its translation; those with most words of their own
    first. Patterns of a few letters, which would fit anything, are left out."""
    catalogue = _texts(language)
    known = getattr(catalogue, "_catalog", {})  # gettext has no public way to list what it holds
    found = []
    for key in known:
        english = key[0] if isinstance(key, tuple) else key
        own = re.sub(r"{[^}]*}", "", english)
        if len(own) > 15:
            parts = re.split(r"{(\w+)[^}]*}", english)
            fits, seen = "", set()
            for position, part in enumerate(parts):
                if position % 2 == 0:
                    fits += re.escape(part)
                else:
                    fits += f"(?P={part})" if part in seen else f"(?P<{part}>.+?)"
                    seen.add(part)
            found.append((len(own), re.compile(fits, re.DOTALL), known[key]))
    return [(made, pattern) for _own, made, pattern in sorted(found, key=lambda one: -one[0])]


def _without_formats(pattern: str) -> str:
    """`{day:%d/%m/%Y}` as `{day}`, for values that are written out already."""
    return re.sub(r"{(\w+)[^}]*}", r"{\1}", pattern)


@lru_cache
def _texts(language: str) -> gettext.NullTranslations:
    return gettext.translation("demeter", LOCALES, [LANGUAGES[language]], fallback=True)
