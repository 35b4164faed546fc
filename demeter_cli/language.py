"""Words, numbers, days and sums of money in the language of whoever reads: English, or Spanish of Argentina.

Reports, labels and what technicians see on a screen go through `_`; code, logs, JSON and CSV keys stay
English. Texts are marked where they are written: `_("Stock")`, or `N_("Stock")` in a table that is made when
a module is loaded, with `_` around it where it is shown.
"""

from __future__ import annotations

import datetime as dt
import gettext
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

LOCALES = Path(__file__).parent / "locale"
LANGUAGES = {"en": "en", "es": "es_AR"}  # by what settings say, the locale that numbers and days follow

_chosen = "en"


def use(language: str) -> None:
    """From now on, texts are in this language, a key of `LANGUAGES`."""
    global _chosen  # noqa: PLW0603  one program speaks one language at a time
    if language not in LANGUAGES:
        raise ValueError(f"{language!r} is none of {', '.join(LANGUAGES)}")
    _chosen = language


def chosen() -> str:
    """The key of `LANGUAGES` in use."""
    return _chosen


def N_(text: str) -> str:  # noqa: N802  gettext's own name: marks a text without translating it
    return text


def _(text: str) -> str:
    """The text in the language in use."""
    return _texts(_chosen).gettext(text)


def n_(one: str, many: str, number: int) -> str:
    """`one` or `many`, as the language in use counts; fill in the number with `.format` or `%`."""
    return _texts(_chosen).ngettext(one, many, number)


def number(value: float | Decimal, digits: int = 0) -> str:
    """1,234.5 in English, 1.234,5 in Spanish."""
    from babel.numbers import format_decimal

    return format_decimal(value, "#,##0" + ("." + "0" * digits if digits else ""), LANGUAGES[_chosen])


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 as a percentage."""
    from babel.numbers import format_percent

    return format_percent(share, "#,##0" + ("." + "0" * digits if digits else "") + "%", LANGUAGES[_chosen])


def money(amount: Decimal, currency: str) -> str:
    """A sum in the currency with this ISO code."""
    from babel.numbers import format_currency

    return format_currency(amount, currency, locale=LANGUAGES[_chosen])


def day(value: dt.date) -> str:
    """2026-11-27 in English, which sorts; 27/11/2026 in Spanish."""
    return f"{value:%d/%m/%Y}" if _chosen == "es" else f"{value:%Y-%m-%d}"


@lru_cache
def _texts(language: str) -> gettext.NullTranslations:
    return gettext.translation("demeter", LOCALES, [LANGUAGES[language]], fallback=True)
