"""A command that runs by itself, watched: what it did and how it ended goes to whoever wants to know.

    with watching(settings, "process") as watch:   the run gets a key, logs carry it
        watch.begun()                              it has the lock: the start is told
        watch.photo(...)                           one photo is through
        watch.look(connection)                     the backlog, while there is a database to ask
    at the end, however it ended                   report, metrics, ping, mail, webhook, traces

None of those may fail the run or hold it up for long: what goes wrong with them is a warning.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import platform
import resource
import sys
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from types import TracebackType
from typing import TYPE_CHECKING

from demeter_cli import logs
from demeter_cli.errors import ExitCode, code_of, problem_of
from demeter_cli.run_report import PeakMemory, Problem, RunReport, save
from demeter_cli.settings import os_login

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.runs import Account, RunInfo
    from db.watch import Figures
    from demeter_cli.settings import Settings
    from demeter_cli.traces import Tracer

log = logging.getLogger("demeter")


@dataclass(frozen=True, slots=True)
class PhotoEvent:
    """One photo is through. `seconds` is None where it was not counted now."""

    name: str  # printable
    status: str
    seconds: float | None = None
    stages: Mapping[str, float] = field(default_factory=dict)
    tries: int = 1
    plants: int = 0
    reason: str | None = None  # of a failure


class Watch:
    """Nobody watches: what the code that counts may call, doing nothing."""

    def begun(self, run: RunInfo | None = None, connection: Connection | None = None) -> None:
        """The run has what it needs, above all the lock."""

    def photo(self, event: PhotoEvent) -> None:
        """A photo was counted, or could not be."""

    def counted(self, statuses: Iterable[str], connection: Connection | None) -> None:
        """All photos of the run by status; the backlog is looked up where there is still a database."""

    def account(self, error: BaseException | None, code: int = 0) -> Account | None:  # noqa: ARG002
        """What the row of the run keeps; `error` is what ends it, else `code` does."""
        return None


class Watched(Watch):
    """A run from its first line to its last. A context manager, which lets errors pass."""

    def __init__(self, settings: Settings, command: str) -> None:
        self.settings, self.command = settings, command
        self.key = uuid.uuid4()
        self.started = dt.datetime.now(dt.UTC)
        self.run: RunInfo | None = None
        self.figures: Figures | None = None
        self.statuses: Counter[str] = Counter()
        self.stages: Counter[str] = Counter()
        self.failures: list[Problem] = []
        self.plants = self.counted_now = self.retries = 0
        self._tracer: Tracer | None = None
        self._recent = logs.Recent()

    def __enter__(self) -> Watched:
        logs.remember(self._recent)
        if self.settings.log_file is not None and not logs.has_file():  # --log-file outranks the setting
            logs.to_file(self.settings.logging_to(self.settings.log_file))
        logs.name_run(str(self.key))
        if self.settings.otel_endpoint is not None:
            from demeter_cli.traces import Tracer

            self._tracer = Tracer(self.settings.otel_endpoint, self.command, self.key)
        log.info("demeter %s %s starts", version("demeter"), self.command)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = code_of(error)
        report = self._report(code, problem_of(error))
        log.info("%s", report.summary)
        if code == ExitCode.BUG and error is not None:  # Python will put it on stderr; the file wants it too
            log.info("unexpected %s", type(error).__name__, exc_info=error)
        try:
            self._tell(report)
        finally:
            logs.name_run("")
            logs.forget(self._recent)

    def begun(self, run: RunInfo | None = None, connection: Connection | None = None) -> None:
        from demeter_cli import notices

        self.run = run
        if run is not None and connection is not None:
            from db.runs import sign_run

            sign_run(connection, run, self.key, version("demeter"))
        notices.ping_start(self.settings, self.command, self.key)

    def photo(self, event: PhotoEvent) -> None:
        self.counted_now += event.seconds is not None
        self.plants += event.plants
        self.retries += event.tries > 1
        self.stages.update(event.stages)
        if event.reason is not None:
            self.failures.append(Problem(event.name, event.reason))
        log.info("%s: %s, %d plants, %.1f s", event.name, event.status, event.plants, event.seconds or 0)
        if self._tracer is not None:
            self._tracer.photo(event)

    def counted(self, statuses: Iterable[str], connection: Connection | None) -> None:
        self.statuses = Counter(statuses)
        if connection is not None:
            from db.watch import figures

            self.figures = figures(connection)
            connection.rollback()

    def account(self, error: BaseException | None, code: int = 0) -> Account | None:
        from db.runs import Account
        from db.sessions import storable

        return Account(
            exit_code=int(code_of(error) if error is not None else code),
            plants=self.plants,
            retries=self.retries,
            peak_memory_bytes=sum(self._peak()) * 1024,
            statuses=dict(self.statuses),
            stages={name: round(seconds, 3) for name, seconds in self.stages.items()},
            problem=storable(problem) if (problem := problem_of(error)) else None,
        )

    @staticmethod
    def _peak() -> tuple[int, int]:
        """kB that this process, and the largest of its workers that ended, held at most."""
        unit = 1024 if sys.platform == "darwin" else 1
        who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        own, child = (resource.getrusage(one).ru_maxrss // unit for one in who)
        return own, child

    def _report(self, code: int, problem: str | None) -> RunReport:
        own, child = self._peak()
        return RunReport(
            key=str(self.key),
            run=self.run.id if self.run else None,
            command=self.command,
            version=version("demeter"),
            host=platform.node(),
            pid=os.getpid(),
            login=os_login(),
            started_at=self.started,
            finished_at=dt.datetime.now(dt.UTC),
            exit_code=int(code),
            model=self.run.model if self.run else None,
            model_sha256=self.run.model_sha256 if self.run else None,
            config_hash=self.run.config_hash if self.run else None,
            photos=dict(sorted(self.statuses.items())),
            counted=self.counted_now,
            plants=self.plants,
            retries=self.retries,
            stages={name: round(seconds, 3) for name, seconds in self.stages.items()},
            failures=tuple(self.failures),
            peak_memory=PeakMemory(own * 1024, child * 1024),
            problem=problem,
        )

    def _tell(self, report: RunReport) -> None:
        from demeter_cli import metrics, notices

        save(self.settings, report)
        if self.settings.metrics_file is not None:
            metrics.write(self.settings.metrics_file, self.settings, report, self.figures)
        if self._tracer is not None:
            self._tracer.finish(report)
        notices.tell(self.settings, report, list(self._recent.lines))


def watching(settings: Settings, command: str) -> Watched:
    """Watch a command; see the head of this file."""
    return Watched(settings, command)
