"""A circuit breaker that all processes of a machine share: where a bucket does not answer, ask less often.

Closed, every request goes through. After FAILURES of them failed in a row it opens: for PAUSE seconds
nobody asks. Then requests go through again, and after PROBES of them went well it is closed; the first that
fails opens it anew. (Nygard, Release It!; the figures are the nursery's.)
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

FAILURES, PROBES, PAUSE = 5, 3, 60.0


@dataclass(frozen=True, slots=True)
class Circuit:
    """`opened` is the time (seconds since 1970) at which it opened last, None while it is closed."""

    failures: int = 0
    successes: int = 0
    opened: float | None = None

    def waits(self, now: float) -> float:
        """Seconds until somebody may ask again. A clock that was set back ends the pause."""
        if self.opened is None or now < self.opened:
            return 0.0
        return max(0.0, self.opened + PAUSE - now)

    def after(self, worked: bool, now: float) -> Circuit:
        """The circuit after a request that went well, or did not."""
        if self.opened is None:
            if worked:
                return Circuit()
            failures = self.failures + 1
            return Circuit(failures, 0, now if failures >= FAILURES else None)
        if not worked:
            return Circuit(self.failures, 0, now)
        return (
            Circuit()
            if self.successes + 1 >= PROBES
            else Circuit(self.failures, self.successes + 1, self.opened)
        )


class Breaker:
    """The circuit in a small file. A machine where the file cannot be written has a circuit per process."""

    def __init__(self, file: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._file, self._clock, self._own = file, clock, Circuit()

    def waits(self) -> float:
        """Seconds until somebody may ask."""
        with self._circuit() as (circuit, _):
            return circuit.waits(self._clock())

    def record(self, *, worked: bool) -> None:
        with self._circuit() as (circuit, save):
            after = circuit.after(worked, self._clock())
            if after != circuit:
                save(after)

    @contextmanager
    def _circuit(self) -> Iterator[tuple[Circuit, Callable[[Circuit], None]]]:
        """The circuit and how to replace it, while nobody else does."""
        try:
            descriptor = None if self._file is None else _locked(self._file)
        except OSError:
            descriptor = None
        if descriptor is None:
            yield self._own, self._keep
            return
        try:
            yield _read(descriptor), lambda circuit: _write(descriptor, circuit)
        finally:
            os.close(descriptor)

    def _keep(self, circuit: Circuit) -> None:
        self._own = circuit


def _locked(file: Path) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _read(descriptor: int) -> Circuit:
    """What was written; a closed circuit where that makes no sense."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        opened = found["opened"]
        return Circuit(
            int(found["failures"]), int(found["successes"]), None if opened is None else float(opened)
        )
    except (ValueError, KeyError, TypeError):
        return Circuit()


def _write(descriptor: int, circuit: Circuit) -> None:
    content = json.dumps(asdict(circuit)).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, content, 0)
