"""Which number of worker processes, with how many threads each, counts fastest on this machine."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from pipeline.config import PipelineConfig
from pipeline.errors import PhotoError
from pipeline.machine import default_threads
from pipeline.run import run
from pipeline.types import Photo, PhotoFailure

SAMPLE_EVERY = 0.1  # seconds between two looks at the memory


@dataclass(frozen=True, slots=True)
class Speed:
    """What one split does: photos per minute, and the most memory that its processes took together."""

    workers: int
    threads: int
    per_minute: float
    megabytes: float


def splits(cores: int) -> list[tuple[int, int]]:
    """Workers and threads of each worth trying."""
    workers = sorted({1, cores, *(number for number in (2, 4, 8, 16) if number < cores)})
    tried = [(n, threads) for n in workers for threads in (cores // n, default_threads(cores, n))]
    return list(dict.fromkeys(tried))


def measure(photos: Sequence[Photo], config: PipelineConfig, seconds: float) -> Speed:
    """Count the photos again and again for this long. Starting and the first photo of each worker take no
    part. Raises PhotoError for a photo that cannot be counted, ModelError for models that cannot be used."""
    endless = itertools.cycle(photos)
    with _watched_memory() as memory:
        outcomes = run(endless, config)
        try:
            for _ in range(max(1, config.workers)):
                _require_counted(next(outcomes))
            started, counted = time.perf_counter(), 0
            for outcome in outcomes:
                _require_counted(outcome)
                counted += 1
                if time.perf_counter() - started >= seconds:
                    break
            took = time.perf_counter() - started
        finally:
            _close(outcomes)
    return Speed(config.workers, config.threads, 60 * counted / took, memory.bytes / 1e6)


def _require_counted(outcome: object) -> None:
    if isinstance(outcome, PhotoFailure):
        raise PhotoError(outcome.reason)


def _close(outcomes: Iterator[object]) -> None:
    close = getattr(outcomes, "close", None)
    if close is not None:
        close()


@dataclass(slots=True)
class _Peak:
    """The most memory seen so far, in bytes."""

    bytes: int = 0


@contextmanager
def _watched_memory() -> Iterator[_Peak]:
    """Watch the memory of this process and of those that it started."""
    peak, done = _Peak(), threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_EVERY):
            peak.bytes = max(peak.bytes, tree_memory())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def tree_memory(pid: int | None = None, without: str | None = None) -> int:
    """Bytes in use by a process (default: this one) and all below it; what they share is counted once.

    Left out are processes whose name contains `without`.
    """
    try:
        top = psutil.Process(pid)
        tree = [top, *top.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for process in tree:
        try:
            if without is not None and without in process.name():
                continue
            full = process.memory_full_info()
        except psutil.Error:
            continue  # it has just ended
        total += getattr(full, "pss", full.rss)
    return total
