"""Write docs/cli.md from the commands themselves; `--check` only says whether it is up to date."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from demeter_cli.main import app

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
HEAD = """# Commands

Written by `make docs` from the program itself. Results go to stdout, all else to stderr; the
[exit codes](exit-codes.md) are the same for every command. `-h` and `--help` work everywhere.
"""
# Typer gives them to every program; `demeter --help` explains them.
USUAL = {"help", "install_completion", "show_completion"}


def page() -> str:
    return "\n".join([HEAD, *sections("demeter", typer.main.get_command(app))])


def sections(path: str, command: Any) -> Iterator[str]:
    """The command and all below it. The click inside Typer has changed its home, hence `Any`."""
    yield f"## {path}\n"
    yield inspect.cleandoc(command.help or "") + "\n"
    yield f"    {usage(path, command)}\n"
    rows = [row(param) for param in command.params if param.name not in USUAL]
    if rows:
        yield "\n".join(rows) + "\n"
    for name, below in sorted(getattr(command, "commands", {}).items()):
        yield from sections(f"{path} {name}", below)


def usage(path: str, command: Any) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    words = [path, "[OPTIONS]", *(argument(param) for param in arguments)]
    if getattr(command, "commands", None):
        words.append("COMMAND …")
    return " ".join(words)


def argument(param: Any) -> str:
    name = param.name.upper() + ("…" if param.nargs == -1 else "")
    return name if param.required else f"[{name}]"


def row(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"- `{argument(param)}` – {param.help}"
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    if isinstance(param.default, Enum):
        values = ", ".join(f"`{choice.value}`" for choice in type(param.default))
        return f"- {names} ({values}; default `{param.default.value}`) – {param.help}"
    takes_value = not param.is_flag and not param.count
    return f"- {names}{f' `{param.name.upper()}`' if takes_value else ''} – {param.help}"


def main() -> None:
    text = page()
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            sys.exit("docs/cli.md is not what the commands say; run `make docs`")
    else:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
