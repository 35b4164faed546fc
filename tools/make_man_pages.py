"""Write a man page for every command, from the commands themselves.

    python tools/make_man_pages.py [FOLDER]          (default: build/man)

`demeter stock death` becomes `demeter-stock-death.1`, as `man demeter-stock-death` finds it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer

sys.path.insert(0, str(Path(__file__).parent))
from make_cli_docs import USUAL, argument, usage

from demeter_cli.main import app

FOLDER = Path("build/man")


def pages(path: str, command: Any) -> Iterator[tuple[str, str]]:
    """Name of the file and its text, of the command and all below it."""
    yield f"{path.replace(' ', '-')}.1", page(path, command)
    for name, below in sorted(getattr(command, "commands", {}).items()):
        yield from pages(f"{path} {name}", below)


def page(path: str, command: Any) -> str:
    first, *rest = inspect.cleandoc(command.help or "").split("\n\n")
    brief = " ".join(first.split()).partition(". ")[0].rstrip(".")
    lines = [
        f'.TH {quoted(path.replace(" ", "-").upper())} 1 "" {quoted("demeter " + version("demeter"))} ""',
        ".SH NAME",
        f"{escaped(path.replace(' ', '-'))} \\- {escaped(brief)}",
        ".SH SYNOPSIS",
        f".B {escaped(usage(path, command))}",
    ]
    if rest:
        lines += [".SH DESCRIPTION", *description(rest)]
    params = [param for param in command.params if param.name not in USUAL]
    if params:
        lines += [".SH OPTIONS", *(line for param in params for line in option(param))]
    below = sorted(getattr(command, "commands", {}))
    if below:
        named = (f".BR {path.replace(' ', '-')}-{name} (1)" for name in below)
        lines += [".SH COMMANDS", *(line for one in named for line in (one, ".br"))]
    lines += [".SH SEE ALSO", ".BR demeter (1)"]
    return "\n".join(lines) + "\n"


def description(paragraphs: list[str]) -> Iterator[str]:
    for paragraph in paragraphs:
        if paragraph.startswith("Example"):
            yield from (".PP", "Example:", ".PP", ".nf", ".RS")
            yield escaped(paragraph.partition(": ")[2])
            yield from (".RE", ".fi")
        else:
            yield from (".PP", escaped(" ".join(paragraph.split())))


def option(param: Any) -> Iterator[str]:
    yield ".TP"
    if param.param_type_name == "argument":
        yield f".I {escaped(argument(param))}"
    else:
        names = ", ".join((*param.opts, *param.secondary_opts))
        takes_value = not param.is_flag and not param.count
        yield f".B {escaped(names + (f' {param.name.upper()}' if takes_value else ''))}"
    yield escaped(param.help or "")


def escaped(text: str) -> str:
    """Text for troff: hyphens that can be copied, no line that begins like a request."""
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    safe = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in safe)
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in safe.split("\n"))


def quoted(text: str) -> str:
    return '"' + text.replace('"', "\\(dq") + '"'


def main() -> None:
    folder = Path(sys.argv[1]) if sys.argv[1:] else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages("demeter", typer.main.get_command(app)):
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
