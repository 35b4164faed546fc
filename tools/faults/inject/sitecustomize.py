"""Faults inside a command, at moments that a seed can repeat. Not a part of Demeter.

The campaign puts this folder first on PYTHONPATH, so Python loads the file in every process of a command:

    FAULTS_DIE_AT=N         the parent kills itself (SIGKILL) at the N-th call or return in Demeter's own code
    FAULTS_COUNT_TO=FILE    the parent writes to FILE, when it ends, how many of them there were
    FAULTS_POISON=NAMES     a worker that opens a file of such a name kills itself
    FAULTS_HANG=NAME        a worker that opens a file of this name never comes back
    FAULTS_SWAP=NAME,OTHER  once, when a worker is about to open NAME, OTHER takes its place
"""

from __future__ import annotations

import atexit
import os
import re
import signal
import sys
import time
from multiprocessing import process as processes
from pathlib import Path
from types import FrameType
from typing import Any

OURS = tuple(f"{os.sep}{package}{os.sep}" for package in ("demeter_cli", "db", "pipeline"))
_HELPERS = re.compile("spawn_main|resource_tracker")  # the parent is neither
DRIVER = f"sqlalchemy{os.sep}engine{os.sep}default.py"  # each statement, commit and rollback


class _Steps:
    """Counts what the parent does, and ends it where it was told to."""

    def __init__(self, last: int) -> None:
        self.done = 0
        self.last = last

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event not in ("call", "return"):
            return
        name = frame.f_code.co_filename
        if name.endswith(DRIVER) or any(part in name for part in OURS):
            self.done += 1
            if self.done == self.last:
                os.kill(os.getpid(), signal.SIGKILL)


def _is_worker() -> bool:
    return processes.parent_process() is not None


def _poison(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not isinstance(arguments[0], str) or not _is_worker():
        return
    if Path(arguments[0]).name in os.environ["FAULTS_POISON"].split(","):
        os.kill(os.getpid(), signal.SIGKILL)


def _hang(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not isinstance(arguments[0], str) or not _is_worker():
        return
    while Path(arguments[0]).name == os.environ["FAULTS_HANG"]:
        time.sleep(60)


def _swap(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and isinstance(arguments[0], str) and _is_worker():
        name, other = map(Path, os.environ["FAULTS_SWAP"].split(","))
        if Path(arguments[0]).name == name.name and other.exists():
            other.replace(name)


def _count_steps() -> None:
    steps = _Steps(int(os.environ.get("FAULTS_DIE_AT", "0")))
    target = os.environ.get("FAULTS_COUNT_TO")
    if target:
        atexit.register(lambda: Path(target).write_text(str(steps.done)))
    sys.setprofile(steps)


if "FAULTS_POISON" in os.environ:
    sys.addaudithook(_poison)
if "FAULTS_HANG" in os.environ:
    sys.addaudithook(_hang)
if "FAULTS_SWAP" in os.environ:
    sys.addaudithook(_swap)
if {"FAULTS_DIE_AT", "FAULTS_COUNT_TO"} & os.environ.keys() and not _HELPERS.search(" ".join(sys.orig_argv)):
    _count_steps()
