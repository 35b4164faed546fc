"""Text from files, cameras and people, made safe for a terminal, a log and a line of a report."""

from __future__ import annotations

import os
import re
from pathlib import Path

# What a terminal or a reader may obey instead of showing it: control characters (C0, DEL, C1), marks that
# turn the direction of what follows, separators of lines, and bytes that are no UTF-8.
_MIGHTY = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(path: Path | str) -> str:
    """The path as text that is safe on a terminal and in a database: one line, no control characters.

    Bytes that are not UTF-8 are shown as `\\xe9`, what is not printable as `\\n`, `\\x1b` or `\\u202e`.
    """
    return "".join(char if char.isprintable() else _escaped(char) for char in os.fspath(path))


def harmless(text: str) -> str:
    """The same text with what a terminal would obey shown as an escape; lines and tabs stay."""
    return _MIGHTY.sub(lambda found: _escaped(found[0]), text)


def one_line(text: str) -> str:
    """`harmless`, and on one line, so that nobody can write a second one into a log or a cell."""
    return harmless(text).replace("\n", "\\n").replace("\t", "\\t")


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is not UTF-8, as Python smuggles it through str
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
