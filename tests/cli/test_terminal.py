"""Terminals that show few letters, narrow ones, and shells that complete codes."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from demeter_cli.completing import _file
from demeter_cli.terminal import plain
from tests.cli.shop import Shop

COMMAND = "import sys; sys.argv[0] = 'demeter'; from demeter_cli.main import main; main()"
ROOT = Path(__file__).parents[2]


def run(*words: str, env: Mapping[str, str]) -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words], env={**os.environ, **env}, capture_output=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr.decode()
    return done.stdout


def on_a_terminal(*words: str, env: Mapping[str, str]) -> bytes:
    """What a command shows on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words],
        env={**os.environ, "COLUMNS": "100", **env},
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    process.wait()
    return shown


@pytest.fixture
def counted(demo_url: str) -> dict[str, str]:
    """A nursery with a count that has an interval."""
    shop = Shop(demo_url)
    shop.done("stock", "init", "N01-NORTE-C01", 1200, "--date", "2026-01-05")
    return {"DEMETER_DATABASE_URL": demo_url, "DEMETER_LANGUAGE": "es"}


@pytest.mark.parametrize(
    ("text", "ascii_"),
    [
        ("110–152 × 3", "110-152 x 3"),
        ("Contá las plantas, año −5 …", "Conta las plantas, ano -5 ..."),
        ("¿Cerrar?", "Cerrar?"),
        ("½ ﬁ 龍", "1/2 fi ?"),
    ],
)
def test_signs_and_letters_have_a_plain_form(text: str, ascii_: str) -> None:
    assert plain(text) == ascii_


def test_a_terminal_without_utf8_gets_ascii_and_one_with_it_gets_everything(counted: dict[str, str]) -> None:
    bare = on_a_terminal("stock", "show", "N01-NORTE-C02", env={**counted, "LC_ALL": "C"})
    assert bare.isascii()
    full = on_a_terminal("model", "audit", "list", env={**counted, "LC_ALL": "C.UTF-8"})
    assert "Todavía no hay auditorías".encode() in full
    assert b"\x1b" not in on_a_terminal("stock", "list", env={**counted, "NO_COLOR": "1", "TERM": "dumb"})


def test_a_pipe_that_takes_ascii_loses_no_result(counted: dict[str, str]) -> None:
    table = run("model", "audit", "list", env={**counted, "PYTHONIOENCODING": "ascii"})
    assert b"Todavia no hay auditorias" in table
    # What programs read stays UTF-8.
    json_ = run("places", "show", "N01-NORTE-C01", "-f", "json", env={**counted, "PYTHONIOENCODING": "ascii"})
    assert "á" not in json_.decode("ascii", "ignore")
    json_.decode("utf-8")


COMPLETED = ("N01-NORTE-C01", "N01-NORTE-C02")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_tab_completes_codes_from_what_the_last_command_left_and_starts_no_server(
    shell: str, counted: dict[str, str], tmp_path: Path
) -> None:
    cache = {**counted, "XDG_CACHE_HOME": str(tmp_path)}
    run("stock", "show", "N01-NORTE-C01", env=cache)
    words = "demeter stock death N01-NORTE-"
    asked = {
        "bash": {"COMP_WORDS": words, "COMP_CWORD": "3"},
        "zsh": {"_TYPER_COMPLETE_ARGS": words},
        "fish": {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }
    asking = {**cache, "_DEMETER_COMPLETE": f"complete_{shell}", **asked[shell]}
    offered = run(env=asking).decode()
    assert all(code in offered for code in COMPLETED)
    assert "N02" not in offered


def test_without_codes_at_hand_a_tab_offers_nothing_and_makes_nothing(tmp_path: Path) -> None:
    env = {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "DEMETER_DATA_DIR": str(tmp_path / "data"),
        "_DEMETER_COMPLETE": "complete_bash",
        "COMP_WORDS": "demeter stock death N",
        "COMP_CWORD": "3",
    }
    assert run(env=env).strip() == b""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_itself_completes(counted: dict[str, str], tmp_path: Path) -> None:
    cache = {**counted, "XDG_CACHE_HOME": str(tmp_path)}
    run("stock", "show", "N01-NORTE-C01", env=cache)
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "demeter"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{COMMAND}" "$@"\n')
    command.chmod(0o755)
    script = (
        'eval "$(demeter --show-completion bash)"; COMP_WORDS=(demeter stock sale N01-S); COMP_CWORD=3;'
        " _demeter_completion demeter; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env={
            **os.environ,
            **cache,
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert "N01-SUR N01-SUR-C01" in done.stdout


def test_codes_of_two_databases_are_kept_apart_and_the_file_names_no_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEMETER_DATABASE_URL", "postgresql://ana:secret@host/a")
    first = _file()
    monkeypatch.setenv("DEMETER_DATABASE_URL", "postgresql://ana:secret@host/b")
    assert first != _file()
    assert "secret" not in str(first)
