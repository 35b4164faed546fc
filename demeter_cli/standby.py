"""`demeter watch`: count what arrives in a folder, batch by batch, whatever else is away meanwhile."""

from __future__ import annotations

import datetime as dt
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from db import errors as db
from demeter_cli import output
from demeter_cli.errors import ExitCode, while_interrupted
from demeter_cli.language import _
from demeter_cli.watching import watching
from pipeline import errors as pipeline
from pipeline.printable import printable

if TYPE_CHECKING:
    from demeter_cli.settings import Settings
    from pipeline.arrivals import Arrivals
    from pipeline.config import PipelineConfig
    from pipeline.run import Crew

# What comes back by itself: the database, the store, a share, memory; or another run that ends.
PASSING = (db.DatabaseError, db.Busy, pipeline.StorageError, pipeline.WorkerCrash)
LONGEST_PAUSE = 300.0  # seconds between two tries while something is away


@dataclass(slots=True)
class Standby:
    """One call of `demeter watch`. `print_rows` gets the rows of each batch."""

    settings: Settings
    arrivals: Arrivals
    place: str | None
    workers: int | None
    print_rows: Callable[[list[dict[str, Any]]], None]
    worst: ExitCode = ExitCode.OK
    _crew: Crew | None = None
    _model: tuple[str, str] = ("", "")
    _away: str | None = None  # what is away, as it was told
    _failures: int = 0
    _told: set[Path] = field(default_factory=set)

    def run(self) -> None:
        """Until a signal comes, which ends it well: what was in work is given back."""
        try:
            while True:
                self._turn()
                time.sleep(self._pause())
        except KeyboardInterrupt:
            output.tell(_("Stopped; what was counted is saved, and the rest is counted the next time."))
        finally:
            self._dismiss()

    def run_once(self) -> ExitCode:
        """Count what has stopped changing, and end. Errors are the caller's. For cron."""
        try:
            self.arrivals.ready(time.monotonic(), 0)
            time.sleep(self.arrivals.settle)
            while ready := self.arrivals.ready(time.monotonic(), self.settings.watch_batch):
                with suppress(pipeline.NoPhotos):  # a file went away since it was seen
                    self._count(ready)
        finally:
            self._dismiss()
        for path in self.arrivals.waiting:
            told = _("{photo} is still arriving, or cut off; it is left for the next time.")
            output.tell(told.format(photo=printable(path)))
        return self.worst

    def _turn(self) -> None:
        """Look once, and count all that is ready."""
        try:
            while ready := self.arrivals.ready(time.monotonic(), self.settings.watch_batch):
                self._count(ready)
                self._back()
            if self._failures and self.arrivals.folder.is_dir():
                self._back()
        except pipeline.NoPhotos:
            pass  # a file went away since it was seen
        except PASSING as error:
            if while_interrupted(error):
                raise KeyboardInterrupt from error
            self._failures += 1
            if self._away != type(error).__name__:
                self._away = type(error).__name__
                output.report_problem(f"{error}; the watch goes on and tries again")
        self._tell_of_incomplete()

    def _back(self) -> None:
        if self._failures:
            output.tell(_("It works again; tries: {tries}.").format(tries=self._failures))
        self._away, self._failures = None, 0

    def _pause(self) -> float:
        if not self._failures:
            return self.settings.watch_interval
        longest = min(LONGEST_PAUSE, self.settings.watch_interval * 2.0 ** min(self._failures, 20))
        return random.uniform(longest / 2, longest)  # noqa: S311  not a secret

    def _tell_of_incomplete(self) -> None:
        """Once for each file that does not change any more and is not whole."""
        stuck = set(self.arrivals.stuck(time.monotonic()))
        for path in sorted(stuck - self._told):
            told = _("{photo} is not whole yet; it is looked at again when it changes.")
            output.tell(told.format(photo=printable(path)))
        self._told = stuck

    def _count(self, ready: list[Path]) -> None:
        from demeter_cli.batch import Batch, Request
        from demeter_cli.site import open_database, open_store

        settings = self.settings
        store = open_store(settings)
        config = self._config(store)
        # The database first: that it is away is told once, and not by mail at every try.
        with open_database(settings) as connection, watching(settings, "watch") as watch:
            request = Request(
                [str(path) for path in ready], self.place, len(ready), retry=False, accept=False
            )
            batch = Batch(connection, settings, store, config, self._model, request, watch=watch)
            batch.crew = self._crew
            rows = batch.run()
        self.arrivals.taken(ready)
        if batch.exit_code is not ExitCode.OK:
            self.worst = batch.exit_code
        self.print_rows(rows)
        sys.stdout.flush()  # whoever reads a pipe need not wait for the next ten photos

    def _config(self, store: Any) -> PipelineConfig:
        """As it is today: pictures go into a folder per day. Workers are kept as long as it is the same."""
        from demeter_cli.batch import model_identity
        from demeter_cli.site import overlay_folder
        from pipeline.run import Crew

        today = dt.datetime.now(ZoneInfo(self.settings.timezone)).date()
        workers = self.settings.workers_for(self.settings.watch_batch, self.workers)
        config = self.settings.pipeline(
            workers, overlay_folder(self.settings, store, today), keep_evidence=True
        )
        if self._crew is None or self._crew.config != config:
            self._dismiss()
            self._model = model_identity(config)
            self._crew = Crew(config)
        return config

    def _dismiss(self) -> None:
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.close()
