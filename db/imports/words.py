"""One spelling for what people write: spaces, accents, case. Pure."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

from pipeline.words import Sentence

_SPACES = re.compile(r"[\s\u200b\ufeff]+")


def clean(text: str) -> str:
    """Accents in one spelling, no space at the ends, one between words. Nothing that is seen is lost."""
    return _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip()


def fold(text: str) -> str:
    """Clean, in one case."""
    return clean(text).casefold()


def key(text: str) -> str:
    """What two spellings of one name share: letters and digits, without accents, case, spaces and signs.

    `Túnel 2 c2` and `TUNEL-2 C2` are both `tunel2c2`.
    """
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in parts if char.isalnum())


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing where nothing is near."""
    by_key = {key(name): name for name in known}
    near = difflib.get_close_matches(key(word), list(by_key), n=3, cutoff=0.7)
    if not near:
        return ""
    return Sentence("; did you mean {names}?", names=", ".join(repr(by_key[each]) for each in near))
