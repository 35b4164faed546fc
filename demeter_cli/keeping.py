"""What `demeter db maintain` does: days of detections made ahead and dropped, drafts and old reports removed,
tables analysed."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy.exc import DBAPIError

from db import retention
from db.partitions import DAYS_AHEAD, Partition, drop_partition, ensure_partitions, missing_partitions
from pipeline.errors import StorageError
from pipeline.find import printable
from pipeline.folder_store import clear_folder
from pipeline.storage import StoredFile

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.retention import Witness
    from demeter_cli.settings import Settings
    from pipeline.storage import Store

log = logging.getLogger("demeter")

GRACE = dt.timedelta(hours=24)  # for a draft: no upload lasts so long
# How long readers may hold up a drop, and the drop whoever comes after, unless the address says otherwise.
_PATIENCE = "SELECT set_config('lock_timeout', '10s', true) WHERE current_setting('lock_timeout') = '0'"


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the summary. `state` is "done", "to do" (dry run), "kept" (against the settings, exit code 9)
    or "hint" (for whoever owns the server)."""

    task: str
    state: str
    number: int
    about: str


class Maintenance:
    """One round, in order. Each step commits by itself; all of it may be repeated."""

    def __init__(
        self, connection: Connection, settings: Settings, store: Store, *, dry_run: bool, now: dt.datetime
    ) -> None:
        self.connection, self.settings, self.store = connection, settings, store
        self.dry_run, self.now = dry_run, now
        self.today = now.astimezone(dt.UTC).date()
        self._sound: dict[int, str | None] = {}  # what is wrong with a session's evidence, once looked at

    def run(self) -> Iterator[Step]:
        yield self._made()
        yield from self._dropped()
        before = self.now - GRACE
        yield self._removed("drafts", lambda: self.store.tidy(before, dry_run=self.dry_run))
        staging = self.settings.data_dir / "staging"
        yield self._removed("staging", lambda: clear_folder(staging, before, dry_run=self.dry_run))
        yield self._removed("reports", self._old_reports)
        yield from self._tables()

    def _made(self) -> Step:
        days = DAYS_AHEAD + 1
        with self.connection.begin():
            if self.dry_run:
                names = [one.name for one in missing_partitions(self.connection, self.today, days)]
            else:
                names = ensure_partitions(self.connection, self.today, days)
        return Step("make partitions", self._state, len(names), _span(names))

    def _dropped(self) -> Iterator[Step]:
        with self.connection.begin():
            old = retention.outlived(self.connection, self.today, self.settings.keep_detections_days)
        names, kept = [], []
        for partition in old:
            with self.connection.begin():
                sessions = retention.witnesses(self.connection, partition)
            wanting = [(one, why) for one in sessions if (why := self._problem(one))]
            if wanting:
                kept += [
                    Step("keep partition", "kept", one.session, f"{partition.name}: {why}")
                    for one, why in wanting
                ]
            elif self.dry_run or self._drop(partition):
                names.append(partition.name)
            else:
                kept.append(
                    Step("keep partition", "hint", 0, f"{partition.name}: in use; the next round drops it")
                )
        yield Step("drop partitions", self._state, len(names), _span(names))
        yield from kept

    def _problem(self, witness: Witness) -> str | None:
        """Why a session's rows cannot go, None if its evidence file is there, byte for byte."""
        if witness.session not in self._sound:
            what = self._missing(witness)
            named = f"session {witness.session} ({printable(witness.photo)})"
            self._sound[witness.session] = f"{named} {what}" if what else None
        return self._sound[witness.session]

    def _missing(self, witness: Witness) -> str | None:
        key, sha256 = witness.evidence_key, witness.evidence_sha256
        if key is None or sha256 is None:
            return "has no evidence file"
        there = self.store.stat(key)
        if there is None:
            return f"lacks its evidence file {key}"
        if there.sha256 is not None:
            return None if there.sha256 == sha256 else f"has a damaged evidence file {key}"
        try:
            self.store.read_bytes(key, sha256)
        except StorageError as error:
            return f"has an evidence file that cannot be used: {error}"
        return None

    def _drop(self, partition: Partition) -> bool:
        """False where somebody reads the table for so long that waiting would hold up everybody else."""
        try:
            with self.connection.begin():
                self.connection.exec_driver_sql(_PATIENCE)
                drop_partition(self.connection, partition)
        except DBAPIError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
                raise
            return False
        log.info("dropped %s", partition.name)
        return True

    def _removed(self, what: str, clear: Callable[[], list[StoredFile]]) -> Step:
        try:
            gone = clear()
        except (OSError, StorageError) as error:
            # A round that cannot tidy up one place still looks after the others.
            return Step(f"remove {what}", "kept", 0, f"cannot be removed: {error}")
        size = sum(one.size for one in gone)
        return Step(f"remove {what}", self._state, len(gone), f"{size / 1e6:.1f} MB" if gone else "")

    def _old_reports(self) -> list[StoredFile]:
        before = self.now - dt.timedelta(days=self.settings.keep_reports_days)
        return clear_folder(Path(self.settings.report_dir), before, dry_run=self.dry_run)

    def _tables(self) -> Iterator[Step]:
        with self.connection.begin():
            tables, age = retention.tables(self.connection), retention.age(self.connection)
        stale = [one for one in tables if one.is_stale]
        mine = [one.table for one in stale if one.ours]
        for name in mine if not self.dry_run else ():
            with self.connection.begin():
                retention.analyze(self.connection, name)
        yield Step("analyze tables", self._state, len(mine), ", ".join(mine))
        if others := [one.table for one in stale if not one.ours]:
            yield Step("analyze tables", "hint", len(others), f"as their owner: ANALYZE {', '.join(others)}")
        for one in tables:
            if one.wants_vacuum:
                of = one.rows + one.dead
                about = f"{one.dead} of {of} rows are dead; VACUUM {one.table}, and look at autovacuum"
                yield Step("vacuum", "hint", one.dead, about)
        if age is not None:
            about = f"{age} transactions since the last freeze: VACUUM (FREEZE) before the server stops"
            yield Step("vacuum", "hint", age, about)

    @property
    def _state(self) -> str:
        return "to do" if self.dry_run else "done"


def _span(names: list[str]) -> str:
    """The first and the last of many names."""
    return ", ".join(names) if len(names) < 3 else f"{names[0]} … {names[-1]}"
