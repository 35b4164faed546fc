"""Codes for the shell to complete: of places, products, pots and users.

A TAB must answer at once and start no server, so the codes come from a small file that commands renew when
they have used the database anyway. Other databases have other files.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demeter_cli.environment import cache_dir, database_wanted

if TYPE_CHECKING:
    from sqlalchemy import Connection

FRESH_SECONDS = 300
MOST = 500
# What an argument or option of this name takes, in every command.
KINDS = {
    **dict.fromkeys(("place", "places", "within", "source", "target"), "places"),
    **dict.fromkeys(("product", "products", "sku"), "products"),
    **dict.fromkeys(("packaging", "to_packaging"), "packagings"),
    **dict.fromkeys(("user", "email"), "users"),
}


def complete_codes(command: Any) -> None:
    """Let every parameter below a command that takes a code of the nursery complete it."""
    for param in _parameters(command):
        kind = KINDS.get(param.name or "")
        # Typer's own way, `autocompletion=`, would have to be written at each of some hundred parameters.
        if kind is not None and param._custom_shell_complete is None:
            param._custom_shell_complete = _completer(kind)


def _parameters(command: Any) -> Iterator[Any]:
    yield from command.params
    for below in getattr(command, "commands", {}).values():
        yield from _parameters(below)


def _completer(kind: str) -> Any:
    def complete(_ctx: Any, _param: Any, incomplete: str) -> list[str]:
        start = incomplete if kind == "users" else incomplete.upper()
        return [code for code in _codes().get(kind, []) if code.startswith(start)][:MOST]

    return complete


def _codes() -> dict[str, list[str]]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _file() -> Path:
    """Named after the database, whose address may hold a password."""
    return cache_dir() / f"codes-{hashlib.sha256(database_wanted().encode()).hexdigest()[:16]}.json"


def renew_codes(connection: Connection) -> None:
    """Keep the codes of this database at hand, unless they were written a moment ago. Never fails."""
    path = _file()
    try:
        if time.time() - path.stat().st_mtime < FRESH_SECONDS:
            return
    except OSError:
        pass
    from sqlalchemy.exc import SQLAlchemyError

    from db.code_lists import code_lists

    try:
        text = json.dumps(code_lists(connection))
    except SQLAlchemyError:
        return  # the command has done its work; the next one may renew them
    draft = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError:
        return  # nobody can complete codes then, and all else works
