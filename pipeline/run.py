"""Spread photos over worker processes and yield outcomes as they finish.

Workers are spawned, never forked: inference runtimes and the parent's database connection do not
survive a fork. Each worker talks to the parent through a pipe of its own, so when one dies the parent
knows which photo it held.
"""

from __future__ import annotations

import itertools
import logging
import math
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter as Tally
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

from pipeline.config import PipelineConfig
from pipeline.decode import require_opencv
from pipeline.errors import ModelError, PhotoError, WorkerCrash
from pipeline.find import printable
from pipeline.types import Photo, PhotoFailure, PhotoOutcome
from pipeline.words import Sentence

if TYPE_CHECKING:
    from pipeline.photo import Counter

log = logging.getLogger(__name__)

# One in work and one waiting, so a worker never idles and memory stays flat.
IN_FLIGHT_PER_WORKER = 2
# A photo that kills its worker this often is set aside.
DEATHS_PER_PHOTO = 2
# This many deaths in a row with nothing counted between them are not the photos' fault.
DEATHS_IN_A_ROW = 6
LONGEST_START = 120.0  # seconds to load the models, on a slow machine that compiles them first


def run(photos: Iterable[Photo], config: PipelineConfig) -> Iterator[PhotoOutcome]:
    """Yield one outcome per photo, in the order they finish.

    Photos are drawn lazily, at most two per worker ahead: a slow consumer slows the workers. With
    `config.workers == 0` everything happens in this process.

    Raises ModelError when the models cannot be loaded, ImportError when OpenCV cannot, WorkerCrash when
    workers die whatever they do.
    """
    crew = Crew(config)
    try:
        yield from crew.run(photos)
    finally:
        crew.close()


class Crew:
    """Workers that wait for the next batch when one is done, with their models loaded.

    They start with the first photo. A batch that is broken off ends them, as what they hold is nobody's any
    more; the next batch starts others. To be closed.
    """

    def __init__(self, config: PipelineConfig) -> None:
        self.config = config
        self._workers: list[_Worker] = []
        self._inline: Counter | None = None

    def run(self, photos: Iterable[Photo]) -> Iterator[PhotoOutcome]:
        """As the function `run`; one batch at a time."""
        if self.config.workers == 0:
            if self._inline is None:
                self._inline = _load_counter(replace(self.config, workers=1))
            for photo in photos:
                yield _count(self._inline, photo)
            return
        done = False
        try:
            yield from self._run_in_workers(_Todo(iter(photos)))
            done = True
        finally:
            if not done:  # Also on Ctrl-C: photos in work are given up, a rerun counts them.
                self.close()

    def close(self) -> None:
        workers, self._workers, self._inline = self._workers, [], None
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            _end(worker.process)
            worker.pipe.close()

    def _run_in_workers(self, todo: _Todo) -> Iterator[PhotoOutcome]:
        while len(self._workers) < self.config.workers:
            self._workers.append(_start(self.config))
        for depth in range(1, IN_FLIGHT_PER_WORKER + 1):  # A photo for each before a second for any.
            for worker in self._workers:
                todo.feed(worker, depth)
        while any(worker.held for worker in self._workers):
            for worker in _ready(self._workers, self.config.patience or math.inf):
                yield from _hear(worker, todo, self.config)
                todo.feed(worker)


def _load_counter(config: PipelineConfig) -> Counter:
    """Raises ModelError, and ImportError with a sentence when OpenCV lacks a system library."""
    require_opencv()
    from pipeline.photo import Counter

    return Counter.load(config)


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    held: deque[Photo] = field(default_factory=deque)  # the first is in work
    ready: bool = False  # it has loaded the models
    since: float = field(default_factory=time.monotonic)  # it has been at what it does now
    given_up: bool = False

    def deadline(self, patience: float) -> float:
        return self.since + (patience if self.ready else max(patience, LONGEST_START))


@dataclass(frozen=True, slots=True)
class _Ready:
    """A worker's word that it has loaded the models: from here on its death is its photo's doing."""


@dataclass(slots=True)
class _Todo:
    """Photos not yet handed out, and the memory of which ones killed a worker."""

    photos: Iterator[Photo]
    again: deque[Photo] = field(default_factory=deque)
    deaths: Tally[str] = field(default_factory=Tally)
    in_a_row: int = 0

    def feed(self, worker: _Worker, depth: int = IN_FLIGHT_PER_WORKER) -> None:
        while len(worker.held) < depth:
            photo = next(itertools.chain(self._returned(), self.photos), None)
            if photo is None:
                return
            if not worker.held:
                worker.since = time.monotonic()
            worker.held.append(photo)
            try:
                worker.pipe.send(photo)
            except OSError:
                return  # It died; the next look at its pipe finds out and gives the photo back.

    def _returned(self) -> Iterator[Photo]:
        if self.again:
            yield self.again.popleft()


def _ready(workers: list[_Worker], patience: float) -> list[_Worker]:
    """Wait for those with something to say. One that is at a photo for too long is killed, which says it."""
    busy = [worker for worker in workers if worker.held]
    left = min(worker.deadline(patience) for worker in busy) - time.monotonic()
    readable = set(wait([worker.pipe for worker in busy], None if left == math.inf else max(0.0, left)))
    for worker in busy:
        if worker.pipe not in readable and time.monotonic() >= worker.deadline(patience):
            worker.given_up = True
            worker.process.kill()
            readable.add(worker.pipe)
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
        case ModelError() | ImportError():
            raise message
        case _Ready():
            worker.ready, worker.since = True, time.monotonic()
        case _:
            worker.held.popleft()
            worker.since = time.monotonic()
            todo.in_a_row = 0
            deaths = todo.deaths[message.photo.sha256]
            yield replace(message, tries=1 + deaths) if deaths else message


def _bury(worker: _Worker, todo: _Todo, config: PipelineConfig) -> Iterator[PhotoOutcome]:
    """Replace a dead worker; the photo it was counting is tried once more, then set aside."""
    worker.pipe.close()
    _end(worker.process)
    cause = _cause(worker, config.patience)
    todo.in_a_row += 1
    if todo.in_a_row >= DEATHS_IN_A_ROW:
        raise WorkerCrash(
            Sentence(
                "{in_a_row} worker processes died in a row ({cause}), most often because memory"
                " ran out; try --workers 1. What was counted before is saved",
                in_a_row=todo.in_a_row,
                cause=cause,
            )
        )
    suspect = worker.held.popleft() if worker.ready else None
    todo.again.extend(worker.held)  # Before the suspect, lest it take them down again.
    if suspect is not None:
        yield from _blame(suspect, cause, todo)
    else:
        log.warning("a worker died (%s) while it started; starting another", cause)
    fresh = _start(config)
    worker.process, worker.pipe, worker.held, worker.ready = fresh.process, fresh.pipe, fresh.held, False
    worker.since, worker.given_up = fresh.since, False


def _cause(worker: _Worker, patience: float) -> str:
    if worker.given_up:
        return f"it took longer than {patience:.0f} s"
    code = worker.process.exitcode or 0
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _blame(suspect: Photo, cause: str, todo: _Todo) -> Iterator[PhotoOutcome]:
    todo.deaths[suspect.sha256] += 1
    if todo.deaths[suspect.sha256] < DEATHS_PER_PHOTO:
        log.warning(
            "a worker died (%s) while counting %s; trying the photo once more", cause, printable(suspect.path)
        )
        todo.again.append(suspect)
    else:
        reason = Sentence(
            "{photo} ended its worker process {n} times ({cause}); try --workers 1",
            photo=printable(suspect.path),
            n=DEATHS_PER_PHOTO,
            cause=cause,
        )
        yield PhotoFailure(suspect, reason, crashed=True, tries=DEATHS_PER_PHOTO)


def _end(process: SpawnProcess) -> None:
    """Wait for a process that was told to end or closed its pipe, not for ever."""
    process.join(timeout=5)
    if process.is_alive():
        process.kill()
        process.join()


def _start(config: PipelineConfig) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    level = logging.getLogger().getEffectiveLevel()
    process = context.Process(target=_work, args=(theirs, config, level), name="demeter-worker", daemon=True)
    # A worker is born deaf to Ctrl-C and to a lost connection, of which a terminal tells every process: they
    # are the parent's to handle. Python's own helper process comes first: starting it would make this one,
    # and so the worker, hear again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()  # Only the worker's end stays open, so that its death reads as end of file.
    return _Worker(process, ours)


def _work(pipe: Connection, config: PipelineConfig, log_level: int) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    root = logging.getLogger()
    root.handlers = [_PipeHandler(pipe)]
    root.setLevel(log_level)
    try:
        counter = _load_counter(config)
    except (ModelError, ImportError) as error:
        pipe.send(error)
        return
    pipe.send(_Ready())
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
        record.msg, record.args = self.format(record), None
        # The message holds them now; the parent would print them again.
        record.exc_info = record.exc_text = record.stack_info = None
        self._pipe.send(record)


def _count(counter: Counter, photo: Photo) -> PhotoOutcome:
    try:
        return counter.count(photo)
    except PhotoError as error:
        return PhotoFailure(photo, str(error))
    except Exception as error:  # The one broad catch: a bug met on one photo must not end the night.
        name = printable(photo.path)
        log.error("%s: unexpected %s", name, type(error).__name__, exc_info=error)
        return PhotoFailure(photo, f"{name}: unexpected {type(error).__name__}: {error}; please report it")
