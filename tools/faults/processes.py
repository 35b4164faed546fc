"""Look at the processes of a command, and kill them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

PAUSE = 0.005


def parents() -> dict[int, int]:
    """The parent of each live process; those that have ended and wait to be reaped are left out."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            state, parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            if state != "Z":
                found[int(folder.name)] = int(parent)
    return found


def command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def workers_of(parent: int) -> list[int]:
    """The workers of a command, the oldest first; Python's own helper is none."""
    return sorted(
        pid for pid, above in parents().items() if above == parent and "spawn_main" in command_line(pid)
    )


def using(folder: Path) -> list[int]:
    """Every process that names the folder in its arguments or its environment, but for ourselves."""
    needle, found = os.fsencode(folder), []
    for pid in parents():
        with suppress(OSError):
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            if pid != os.getpid() and (
                needle in environment or needle in Path(f"/proc/{pid}/cmdline").read_bytes()
            ):
                found.append(pid)
    return found


def postgres_of(data: Path) -> list[int]:
    """All processes of the embedded server, whatever they call themselves: they hold its lock open."""
    lock, found = data / "postgres.alive", []
    for pid in parents():
        with suppress(OSError):
            if any(os.path.realpath(link) == str(lock) for link in Path(f"/proc/{pid}/fd").iterdir()):
                found.append(pid)
    return [pid for pid in found if pid != os.getpid() and "demeter_cli" not in command_line(pid)]


def postmaster(data: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int((data / "postgres" / "postmaster.pid").read_text().split()[0])
    return None


def kill(pids: list[int], with_signal: signal.Signals = signal.SIGKILL) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, with_signal)


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether it came to hold in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(PAUSE)
    return holds()


def every(seconds: float) -> Iterator[None]:
    """Now and again, for so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(PAUSE)
