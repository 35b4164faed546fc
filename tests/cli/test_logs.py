"""The log file: who writes it, what stands in it, what happens when it cannot be written."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from demeter_cli import logs
from demeter_cli.logs import LogFile

WRITER = """
import logging, sys
from pathlib import Path
from demeter_cli import logs
logs.configure(0, as_json=False)
logs.to_file(logs.LogFile(Path(sys.argv[1]), "json", max_bytes=20_000, keep=200))
for number in range(300):
    logging.getLogger("demeter").info("%s %d %s", sys.argv[2], number, "x" * 50)
"""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    for handler in logging.getLogger().handlers:
        if hasattr(handler, "baseFilename"):
            handler.close()
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(level)
    logs.name_run("")


def test_two_processes_write_and_rotate_one_file_and_no_line_is_lost_or_torn(tmp_path: Path) -> None:
    path = tmp_path / "demeter.log"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, name]) for name in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    files = sorted(tmp_path.glob("demeter.log*"))
    assert len(files) > 3
    lines = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    told = sorted(line["message"].rsplit(" ", 1)[0] for line in lines)
    assert told == sorted(f"{name} {number}" for name in "ab" for number in range(300))
    assert {file.stat().st_mode & 0o777 for file in files} == {0o640}
    assert max(file.stat().st_size for file in files) <= 20_200


def test_old_files_go_when_there_are_enough(tmp_path: Path) -> None:
    logs.configure(0, as_json=False)
    logs.to_file(LogFile(tmp_path / "a.log", max_bytes=1000, keep=2))
    for _ in range(100):
        logging.getLogger("demeter").info("%s", "x" * 100)
    assert sorted(path.name for path in tmp_path.glob("a.log*")) == ["a.log", "a.log.1", "a.log.2"]


FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))  # as a full disk: what goes beyond is refused
"""


def test_a_log_that_has_no_room_fails_nothing_and_is_told_once(tmp_path: Path) -> None:
    program = FULL + WRITER.replace("20_000", "20_000_000") + "print('done')"
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "a.log", "a"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert done.stderr.count("a.log cannot be written: file too large") == 1
    assert len(done.stderr.splitlines()) == 1


def test_a_file_that_cannot_be_made_fails_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    logs.configure(0, as_json=False)
    logs.to_file(LogFile(tmp_path / "file" / "a.log"))
    assert "cannot be written: file exists; going on without it" in capsys.readouterr().err


@pytest.mark.parametrize("style", ["plain", "json"])
def test_a_line_tells_its_run_and_nobody_writes_a_second_one(tmp_path: Path, style: str) -> None:
    logs.configure(0, as_json=False)
    logs.to_file(replace(LogFile(tmp_path / "a.log"), style=style))
    logs.name_run("1f0c2d3e-aaaa")
    hostile = "a.jpg\n2026-11-27T00:00:00 INFO forged\x1b[2J\x9b31m\u202egpj"
    logging.getLogger("demeter").info("%s", hostile)
    text = (tmp_path / "a.log").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 1
    assert "1f0c2d3e" in text
    assert not any(char in text for char in "\x1b\x9b\u202e")


def test_stderr_says_what_went_wrong_and_the_file_what_happened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(0, as_json=False)
    logs.to_file(LogFile(tmp_path / "a.log"))
    logging.getLogger("demeter").info("it happens")
    logging.getLogger("demeter").debug("too much")
    logging.getLogger("demeter").error("it went wrong")
    assert capsys.readouterr().err == "error: it went wrong\n"
    text = (tmp_path / "a.log").read_text(encoding="utf-8")
    assert "it happens" in text
    assert "it went wrong" in text
    assert "too much" not in text
