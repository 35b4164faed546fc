"""Help of the commands that technicians use, in Spanish where it is spoken. Paragraph by paragraph."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from demeter_cli.language import N_, _

# What begins with one of these; of all other commands the list at the top shows a line.
TECHNICIANS = (
    *("count", "process", "explain", "reconcile", "stock", "photos", "report stock"),
    *("places tree", "places list", "places show", "places labels"),
)
_EXAMPLE = "Example: "
# What Typer itself says around the help; it asks gettext for it (see `language.use`).
_AROUND = (
    *(N_("Options"), N_("Commands"), N_("Arguments"), N_("required"), N_("default: {default}")),
    *(N_("No such command {name!r}."), N_("Missing command."), N_("Aborted!")),
    *(N_("Show this message and exit."), N_("Install completion for the current shell.")),
    N_("Show completion for the current shell, to copy it or customize the installation."),
)


def help_texts(command: Any, path: str = "") -> Iterator[str]:
    """Every text of the help that is translated."""
    whole = path == "" or path.startswith(TECHNICIANS) or any(one.startswith(path) for one in TECHNICIANS)
    paragraphs = [one for one in _paragraphs(command.help or "") if not one.startswith(_EXAMPLE)]
    if whole or " " not in path:
        yield from paragraphs if whole else paragraphs[:1]
    if whole:
        yield from (param.help for param in command.params if param.help)
    for name, below in getattr(command, "commands", {}).items():
        yield from help_texts(below, f"{path} {name}".strip())


def translate_help(command: Any) -> None:
    """Let a command and all below it explain themselves in the language in use."""
    command.help = "\n\n".join(map(_paragraph, _paragraphs(command.help or "")))
    for param in command.params:
        if param.help:
            param.help = _(param.help)
    for below in getattr(command, "commands", {}).values():
        translate_help(below)


def _paragraphs(text: str) -> list[str]:
    return [" ".join(one.split()) for one in inspect.cleandoc(text).split("\n\n")]


def _paragraph(text: str) -> str:
    if text.startswith(_EXAMPLE):
        return _("Example: {command}").format(command=text.removeprefix(_EXAMPLE))
    return _(text)
