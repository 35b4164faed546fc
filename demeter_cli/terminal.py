"""Terminals that cannot show all letters: signs get a plain form, letters lose their accents."""

from __future__ import annotations

import codecs
import sys
import unicodedata
from typing import Any, TextIO

from demeter_cli.environment import shows_utf8

PLAIN = {
    "–": "-",
    "—": "-",
    "−": "-",
    "×": "x",
    "÷": "/",
    "…": "...",
    "·": "-",
    "•": "*",
    "→": "->",
    "←": "<-",
    "±": "+/-",
    "≤": "<=",
    "≥": ">=",
    "²": "2",
    "\N{FRACTION SLASH}": "/",
    "³": "3",
    "°": " deg",
    "¿": "",
    "¡": "",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "«": '"',
    "»": '"',
    "✓": "ok",
    "\N{NO-BREAK SPACE}": " ",
    "\N{NARROW NO-BREAK SPACE}": " ",
}


def plain(text: str) -> str:
    """What comes closest in ASCII; `?` for what has nothing near."""
    return "".join(_plain(char) for char in text)


def _plain(char: str) -> str:
    if char.isascii():
        return char
    if char in PLAIN:
        return PLAIN[char]
    parts = unicodedata.normalize("NFKD", char)
    bare = "".join(part if part.isascii() else PLAIN.get(part, "") for part in parts)
    return bare or "?"


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end


def fit_streams() -> None:
    """Let stdout and stderr write any text, in what their terminal, file or pipe can take."""
    codecs.register_error("demeter", _replace)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            _fit(stream)


def _fit(stream: Any) -> None:
    if stream.isatty() and not shows_utf8():
        stream.reconfigure(encoding="ascii", errors="demeter")
    else:
        stream.reconfigure(errors="demeter")


def write_utf8(stream: TextIO, text: str) -> None:
    """What programs read is UTF-8, whatever the locale; what people read there is in its letters."""
    encoding = (stream.encoding or "utf-8").lower().replace("_", "-")
    if encoding in ("utf-8", "utf8") or stream.isatty() or not hasattr(stream, "buffer"):
        stream.write(text)
    else:
        stream.flush()
        stream.buffer.write(text.encode("utf-8"))
    stream.flush()
