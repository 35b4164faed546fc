"""What the pages tell people to type works as they tell it."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from demeter_cli.main import app
from tests.cli.test_help import parsed
from tests.conftest import _copied, _url_of
from tests.pages import PAGES, ROOT, Step, blocks, commands

START = "import sys; sys.argv[0] = 'demeter'; from demeter_cli.main import main; main()"
# What only the shell understands.
SHELL = ("|", ">", "<", "&&", ";", "$", "export ", "echo ")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In the scratch folder; and what a command does to its process is undone."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    before = root.level, root.handlers, signal.getsignal(signal.SIGTERM)
    yield
    root.level, root.handlers, handler = before
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def settings(server: str, demo_template: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Of a demo nursery of the page's own, with the examples beside it and `demeter` on the path."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "demeter"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{START}" "$@"\n')
    command.chmod(0o755)
    with _copied(server, demo_template) as database:
        yield {
            "DEMETER_DATABASE_URL": _url_of(server, database),
            "DEMETER_DATA_DIR": str(tmp_path / "data"),
            "DEMETER_WORKERS": "0",
            "COLUMNS": "100",
        }


def shell(script: str, settings: dict[str, str]) -> tuple[int, str]:
    path = f"{Path.cwd() / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={**os.environ, **settings, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def run(step: Step, settings: dict[str, str]) -> tuple[int, str]:
    if not step.line.startswith("demeter ") or any(sign in step.line for sign in SHELL):
        return shell(step.line, settings)
    done = CliRunner().invoke(app, shlex.split(step.line)[1:], env=settings)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


RUN = [page for page in PAGES if any(block.to_run for block in blocks(page))]


@pytest.mark.parametrize("page", RUN, ids=name)
def test_the_commands_of_a_page_work_from_top_to_bottom(page: Path, settings: dict[str, str]) -> None:
    for block in blocks(page):
        if block.user:
            settings["DEMETER_USER"] = block.user
        if block.first:
            code, told = shell(block.first, settings)
            assert code == 0, f"{block.first}\n{told}"
        for step in block.to_run:
            code, told = run(step, settings)
            answers = (0, 9) if "demeter reconcile" in step.line else (0,)  # 9: there is something to explain
            fine = code != 0 if step.fails else code in answers
            assert fine, f"{step.line}\nended with {code}:\n{told}"


def test_enough_of_the_pages_is_run() -> None:
    every = [block for page in PAGES for block in blocks(page)]
    assert sum(bool(block.to_run) for block in every) > len(every) / 2
    assert [block.steps[0].line for block in every if not block.to_run and len(block.reason) < 10] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_a_page_names_exists_with_its_options(page: Path) -> None:
    wrong = []
    for words in commands(page):
        line = " ".join(words)
        if "--install-completion" in line:  # it would be done while it is parsed
            continue
        try:
            parsed(words[1:])
        except Exception as error:  # noqa: BLE001  whatever the parser complains of
            if "No such" in str(error):  # in a text a command may be named without its arguments
                wrong.append(f"{line}: {error}")
    assert wrong == []


def test_a_command_that_does_not_exist_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Run `demeter stock burn N01` or\n\n```sh\ndemeter report stock --colour\n```\n")
    assert list(commands(page)) == [
        ["demeter", "report", "stock", "--colour"],
        ["demeter", "stock", "burn", "N01"],
    ]
    for words in commands(page):
        with pytest.raises(Exception, match="No such"):
            parsed(words[1:])
