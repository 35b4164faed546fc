"""Help teaches by example, and what it shows can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from demeter_cli.main import app

ROOT: Any = typer.main.get_command(app)


def commands(path: tuple[str, ...] = (), command: Any = ROOT) -> Iterator[tuple[str, Any]]:
    """Every command and group with its path."""
    yield " ".join(path), command
    for name, below in sorted(getattr(command, "commands", {}).items()):
        yield from commands((*path, name), below)


EVERY = dict(commands())


def examples(command: Any) -> list[str]:
    return re.findall(r"^Examples?: (demeter .*)$", command.help or "", re.MULTILINE)


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path or "demeter")
def test_every_command_shows_an_example_of_itself_that_can_be_typed(path: str) -> None:
    found = examples(EVERY[path])
    assert found, f"demeter {path} --help shows no line `Example: demeter …`"
    for example in found:
        words = shlex.split(re.split(r" [>|] ", example)[0])
        assert parsed(words[1:]).startswith(path)


def parsed(words: list[str]) -> str:
    """The path of the command that these words call. Raises what the parser complains of."""
    command, path = ROOT, []
    context = command.make_context("demeter", list(words))
    while getattr(command, "commands", None) and (rest := [*context._protected_args, *context.args]):
        name, command, rest = command.resolve_command(context, rest)
        path.append(name)
        context = command.make_context(name, rest, parent=context)
    return " ".join(path)


def test_a_wrong_example_would_be_found() -> None:
    with pytest.raises(Exception, match="No such option"):
        parsed(["stock", "death", "N01-NORTE-C01", "3", "--colour", "red"])
    with pytest.raises(Exception, match="Missing parameter: quantity"):
        parsed(["stock", "death", "N01-NORTE-C01"])


def test_a_misspelt_command_gets_the_nearest_name() -> None:
    told = CliRunner().invoke(app, ["stok", "list"])
    assert told.exit_code == 2
    assert "stock" in told.stderr


def test_parameters_that_take_codes_complete_them() -> None:
    without = [
        f"{path} {param.name}"
        for path, command in EVERY.items()
        for param in command.params
        if param.name in {"place", "within", "product", "packaging", "user"}
        and param._custom_shell_complete is None
    ]
    assert without == []


def test_help_speaks_spanish_where_it_is_spoken() -> None:
    told = CliRunner().invoke(app, ["stock", "death", "--help"], env={"DEMETER_LANGUAGE": "es"}).stdout
    assert "Registrar plantas muertas. Sus macetas quedan como vacías." in told
    assert "Ejemplo: demeter stock death N01-NORTE-C01 12" in told
    assert "Book plants" not in told
    english = CliRunner().invoke(app, ["stock", "death", "--help"], env={"DEMETER_LANGUAGE": "en"}).stdout
    assert "Book plants that died." in english
