"""Gather the texts that people see, and keep their Spanish in step; `--check` only says what is missing.

    python tools/make_translations.py

Writes demeter_cli/locale/es_AR/LC_MESSAGES/demeter.po (to be translated by hand) and demeter.mo (what the
program reads). Texts that are used no more are dropped.
"""

from __future__ import annotations

import datetime as dt
import io
import string
import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from demeter_cli.helping import help_texts
from demeter_cli.main import app

ROOT = Path(__file__).parents[1]
CATALOGUE = ROOT / "demeter_cli/locale/es_AR/LC_MESSAGES/demeter.po"
# Function and the places of its texts: a single and a plural one for `n_` and for `Sentence` with `one`.
KEYWORDS = {"_": None, "N_": None, "n_": (1, 2), "Sentence": None, "marked": None, "counted": (1, 2)}
METHODS = [("**.py", "python"), ("**.jinja", "jinja2")]
OPTIONS = {"**.jinja": {"trimmed": "true", "silent": "false"}}
# In place of the time of the last change, so that the same texts always give the same files.
SINCE = dt.datetime(2026, 11, 27, tzinfo=dt.UTC)
HEADER = """# Spanish of Argentina for Demeter.
#
# Voice: vos ("sacá la foto de nuevo"), short, in the nursery's own words: nave, cantero, claro,
# cajón, plug, almácigo, maceta, trasplante, muerte, venta. Texts in {braces} are filled in by the
# program: keep them all.
#
# After a change: python tools/make_translations.py"""


def gathered() -> Catalog:
    """Every marked text of the three packages, as of now."""
    template = Catalog(project="demeter", charset="utf-8")
    for package in ("demeter_cli", "db", "pipeline"):
        found = extract_from_dir(ROOT / package, METHODS, OPTIONS, KEYWORDS, ("Note:",))
        for name, _line, message, comments, context in found:
            template.add(message, None, [(f"{package}/{name}", None)], [], comments, context=context)
    for text in help_texts(typer.main.get_command(app)):
        template.add(text, None, [("help", None)])
    return template


def kept() -> Catalog:
    """What was translated so far. Its header says that there are two forms, for one and for several."""
    with CATALOGUE.open("rb") as file:
        catalogue = read_po(file, locale="es_AR")
    catalogue.creation_date = catalogue.revision_date = SINCE
    return catalogue


def updated() -> Catalog:
    """The translations, for exactly the texts that there are now. None is guessed from a similar one."""
    catalogue = kept()
    catalogue.update(gathered(), no_fuzzy_matching=True, update_creation_date=False)
    catalogue.obsolete.clear()
    catalogue.fuzzy = False
    catalogue.header_comment = HEADER
    return catalogue


def problems(catalogue: Catalog) -> Iterator[str]:
    """A line for each text without Spanish, or whose Spanish lacks one of the values to be filled in."""
    for message in catalogue:
        if not message.id:
            continue
        texts = message.string if isinstance(message.string, tuple | list) else (message.string,)
        first = message.id if isinstance(message.id, str) else message.id[0]
        if not all(texts) or message.fuzzy:
            yield f"no Spanish: {first!r} ({', '.join(name for name, _ in message.locations)})"
        elif any(not _values(text) <= _values_of(message) for text in texts):
            yield f"other values than in English: {first!r} → {texts[0]!r}"
        elif _values(texts[-1]) != _values_of(message):
            yield f"a value is missing: {first!r} → {texts[-1]!r}"


def _values_of(message: Message) -> set[str]:
    ids = (message.id,) if isinstance(message.id, str) else message.id
    return set().union(*(_values(text) for text in ids))


def _values(text: str) -> set[str]:
    """What is filled in. How may differ: `{day:%Y-%m-%d}` is `{day:%d/%m/%Y}` in Spanish."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError:
        return {"broken braces"}


def written(catalogue: Catalog) -> bytes:
    file = io.BytesIO()
    write_po(file, catalogue, width=100, sort_output=True, omit_header=False, include_lineno=False)
    return file.getvalue()


def compiled(catalogue: Catalog) -> bytes:
    file = io.BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def main() -> None:
    catalogue = updated()
    if sys.argv[1:] != ["--check"]:
        CATALOGUE.write_bytes(written(catalogue))
        CATALOGUE.with_suffix(".mo").write_bytes(compiled(catalogue))
    if found := list(problems(catalogue)):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
