"""Units for cron and systemd, from configs/cron and configs/systemd, with this machine's paths in them."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from demeter_cli.environment import os_login
from demeter_cli.errors import SettingsError
from demeter_cli.settings import shipped

# What stands in the shipped files, which are valid as they are, where this machine's own belongs.
PROGRAM, USER, DATA, PHOTOS = "/opt/demeter/bin/demeter", "demeter", "/var/lib/demeter", "/srv/photos"


@dataclass(frozen=True, slots=True)
class Here:
    """What is particular to this machine. `config` is a settings file that was named."""

    program: Path
    user: str
    data_dir: Path
    photos: Path
    config: Path | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    name: str
    text: str


def here(data_dir: Path, photos: Path, user: str | None, config: Path | None) -> Here:
    """Raises SettingsError where the program cannot be found, or a path cannot stand in a unit."""
    for path in (data_dir, photos, *([config] if config else [])):
        if not str(path).isprintable():
            raise SettingsError(f"{str(path)!r} cannot stand in a unit or a crontab: choose another path")
    beside = Path(sys.executable).parent / "demeter"
    found = str(beside) if beside.exists() else shutil.which("demeter")
    if found is None:
        raise SettingsError("the program `demeter` is not on the PATH: install it, then ask again")
    named = config.expanduser().absolute() if config else None
    return Here(Path(found), user or os_login() or USER, data_dir, photos.expanduser().absolute(), named)


def cron(machine: Here) -> Unit:
    """A file for /etc/cron.d."""
    text = shipped("configs/cron/demeter").read_text(encoding="utf-8")
    return Unit("demeter", "".join(_cron_line(line, machine) for line in text.splitlines(keepends=True)))


def _cron_line(line: str, machine: Here) -> str:
    if line.startswith("#"):
        return line
    if line.startswith("DEMETER_DATA_DIR="):  # cron takes the rest of the line as it is
        config = f"DEMETER_CONFIG={machine.config}\n" if machine.config else ""
        return f"DEMETER_DATA_DIR={machine.data_dir}\n{config}"
    line = line.replace(f" {USER} {PROGRAM}", f" {machine.user} {PROGRAM}")

    def quoted(path: Path) -> str:  # to cron, % begins the standard input
        return shlex.quote(str(path)).replace("%", r"\%")

    return _filled(line, machine, quoted)


def systemd(machine: Here) -> list[Unit]:
    folder = shipped("configs/systemd")
    return [
        Unit(path.name, "".join(_unit_lines(path.read_text(encoding="utf-8"), machine)))
        for path in sorted(folder.iterdir())
        if path.suffix in {".service", ".timer"}
    ]


def _unit_lines(text: str, machine: Here) -> Iterator[str]:
    for line in text.splitlines(keepends=True):
        name, _, value = line.partition("=")
        if line.startswith("#") or not value:
            yield line
        elif name == "User":
            yield f"User={machine.user}\n"
        elif name == "Documentation":
            yield f"Documentation=file:{shipped('configs')}\n"
        elif value.startswith("DEMETER_DATA_DIR="):
            yield f"Environment={_unit_word(f'DEMETER_DATA_DIR={machine.data_dir}')}\n"
            if machine.config:
                yield f"Environment={_unit_word(f'DEMETER_CONFIG={machine.config}')}\n"
        else:
            yield _filled(line, machine, lambda path: _unit_word(str(path)))


def _unit_word(text: str) -> str:
    """As systemd reads a word: % begins a specifier, and $ a variable where a command stands."""
    escaped = text.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{escaped}"' if any(char in escaped for char in " ;'\"") else escaped


def _filled(line: str, machine: Here, quoted: Callable[[Path], str]) -> str:
    marks = {PROGRAM: "\0program\0", f"{DATA}/backups": "\0backups\0", DATA: "\0data\0", PHOTOS: "\0photos\0"}
    paths = (machine.program, machine.data_dir / "backups", machine.data_dir, machine.photos)
    for known, mark in marks.items():
        line = line.replace(known, mark)
    for mark, path in zip(marks.values(), paths, strict=True):
        line = line.replace(mark, quoted(path))
    return line
