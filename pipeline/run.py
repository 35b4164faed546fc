"""Spread photos over worker processes and yield outcomes as they finish.

Workers are spawned, never forked: inference runtimes and the parent's database connection do not
survive a fork. Each worker talks to the parent through a pipe of its own, so when one dies the parent
knows which photo it held.
"""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import signal
import threading
from collections import Counter as Tally
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

from pipeline.config import PipelineConfig
from pipeline.errors import ModelError, PhotoError, WorkerCrash
from pipeline.types import Photo, PhotoFailure, PhotoOutcome

if TYPE_CHECKING:
    from pipeline.photo import Counter

log = logging.getLogger(__name__)

# One in work and one waiting, so a worker never idles and memory stays flat.
IN_FLIGHT_PER_WORKER = 2
# A photo that kills its worker this often is set aside.
DEATHS_PER_PHOTO = 2
# This many deaths in a row with nothing counted between them are not the photos' fault.
DEATHS_IN_A_ROW = 6


def run(photos: Iterable[Photo], config: PipelineConfig) -> Iterator[PhotoOutcome]:
    """Yield one outcome per photo, in the order they finish.

    Photos are drawn lazily, at most two per worker ahead: a slow consumer slows the workers. With
    `config.workers == 0` everything happens in this process.

    Raises ModelError when the models cannot be loaded, WorkerCrash when workers die whatever they do.
    """
    if config.workers == 0:
        return _run_inline(photos, replace(config, workers=1))
    return _run_in_workers(photos, config)


def _run_inline(photos: Iterable[Photo], config: PipelineConfig) -> Iterator[PhotoOutcome]:
    from pipeline.photo import Counter

    counter = Counter.load(config)
    for photo in photos:
        yield _count(counter, photo)


def _run_in_workers(photos: Iterable[Photo], config: PipelineConfig) -> Iterator[PhotoOutcome]:
    todo = _Todo(iter(photos))
    with _pool(config) as workers:
        for worker in workers:
            todo.feed(worker)
        while any(worker.held for worker in workers):
            for worker in _ready(workers):
                yield from _hear(worker, todo, config)
                todo.feed(worker)


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    held: deque[Photo] = field(default_factory=deque)  # the first is in work


@dataclass(slots=True)
class _Todo:
    """Photos not yet handed out, and the memory of which ones killed a worker."""

    photos: Iterator[Photo]
    again: deque[Photo] = field(default_factory=deque)
    deaths: Tally[str] = field(default_factory=Tally)
    in_a_row: int = 0

    def feed(self, worker: _Worker) -> None:
        while len(worker.held) < IN_FLIGHT_PER_WORKER:
            photo = next(itertools.chain(self._returned(), self.photos), None)
            if photo is None:
                return
            worker.held.append(photo)
            try:
                worker.pipe.send(photo)
            except OSError:
                return  # It died; the next look at its pipe finds out and gives the photo back.

    def _returned(self) -> Iterator[Photo]:
        if self.again:
            yield self.again.popleft()


def _ready(workers: list[_Worker]) -> list[_Worker]:
    readable = set(wait([worker.pipe for worker in workers if worker.held]))
    return [worker for worker in workers if worker.pipe in readable]


def _hear(worker: _Worker, todo: _Todo, config: PipelineConfig) -> Iterator[PhotoOutcome]:
    """Take one message from a worker that has something to say, or notice that it died."""
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        yield from _bury(worker, todo, config)
        return
    match message:
        case logging.LogRecord():
            logging.getLogger(message.name).handle(message)
        case ModelError():
            raise message
        case _:
            worker.held.popleft()
            todo.in_a_row = 0
            yield message


def _bury(worker: _Worker, todo: _Todo, config: PipelineConfig) -> Iterator[PhotoOutcome]:
    """Replace a dead worker; its photo is tried once more, then set aside."""
    worker.process.join()
    code = worker.process.exitcode or 0
    cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    suspect = worker.held.popleft()
    todo.again.extend(worker.held)
    todo.deaths[suspect.sha256] += 1
    todo.in_a_row += 1
    if todo.in_a_row >= DEATHS_IN_A_ROW:
        raise WorkerCrash(
            f"{todo.in_a_row} worker processes died in a row ({cause}), most often because memory ran out; "
            "try --workers 1. What was counted before is saved"
        )
    if todo.deaths[suspect.sha256] < DEATHS_PER_PHOTO:
        log.warning(
            "a worker died (%s) while counting %s; trying the photo once more", cause, suspect.path.name
        )
        todo.again.append(suspect)
    else:
        reason = f"it ended the worker process {DEATHS_PER_PHOTO} times ({cause}); try --workers 1"
        yield PhotoFailure(suspect, reason, crashed=True)
    fresh = _start(config)
    worker.process, worker.pipe, worker.held = fresh.process, fresh.pipe, fresh.held


@contextmanager
def _pool(config: PipelineConfig) -> Iterator[list[_Worker]]:
    workers = [_start(config) for _ in range(config.workers)]
    try:
        yield workers
    finally:
        # Also on Ctrl-C: photos in work are given up, a rerun counts them.
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join(timeout=5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()


def _start(config: PipelineConfig) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    level = logging.getLogger().getEffectiveLevel()
    process = context.Process(target=_work, args=(theirs, config, level), name="demeter-worker", daemon=True)
    process.start()
    theirs.close()  # Only the worker's end stays open, so that its death reads as end of file.
    return _Worker(process, ours)


def _work(pipe: Connection, config: PipelineConfig, log_level: int) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    root = logging.getLogger()
    root.handlers = [_PipeHandler(pipe)]
    root.setLevel(log_level)
    from pipeline.photo import Counter

    try:
        counter = Counter.load(config)
    except ModelError as error:
        pipe.send(error)
        return
    while True:
        try:
            photo = pipe.recv()
        except EOFError:
            return
        pipe.send(_count(counter, photo))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _PipeHandler(logging.Handler):
    """Hands a worker's log records to the parent, which alone writes logs."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info = self.format(record), None, None
        self._pipe.send(record)


def _count(counter: Counter, photo: Photo) -> PhotoOutcome:
    try:
        return counter.count(photo)
    except PhotoError as error:
        return PhotoFailure(photo, str(error))
    except Exception as error:  # The one broad catch: a bug met on one photo must not end the night.
        log.error("%s: unexpected %s", photo.path.name, type(error).__name__, exc_info=error)
        return PhotoFailure(photo, f"unexpected {type(error).__name__}: {error}; please report it")
