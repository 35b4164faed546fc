"""Runs: one call of a command that counts photos or books them anew, one at a time in a database."""

from __future__ import annotations

import datetime as dt
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from db.errors import Busy
from db.models.photos import Run
from db.models.vocabulary import RunStatus
from db.partitions import ensure_partitions
from db.plausible import Limits
from pipeline.types import Severity

PARTITION_DAYS_AHEAD = 7
NOW_OR_LATER = func.greatest(func.now(), Run.started_at)  # a clock may be set back during a run
RUN_LOCK = 0x44454D4554455201  # "DEMETER" and a number


@dataclass(frozen=True, slots=True)
class Policy:
    """What becomes of doubtful photos.

    `repeat` is how grave it is that a photo looks like an earlier one, None if nobody asks. With `accept`,
    photos that were refused are booked. What exceeds the `limits` waits for a person; None: nothing does.
    """

    repeat: Severity | None = None
    accept: bool = False
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One call of `demeter process`. A photo counted under the same sha256 and hash needs no second look."""

    id: int
    model: str
    model_sha256: str
    config_hash: str
    user_id: int
    policy: Policy = Policy()


@contextmanager
def run_lock(connection: Connection) -> Iterator[None]:
    """Only one run counts into a database at a time. Raises Busy. A killed run loses the lock by itself."""
    if not connection.scalar(select(func.pg_try_advisory_lock(RUN_LOCK))):
        raise Busy("another run is counting into this database; try again when it has finished")
    connection.commit()
    try:
        yield
    finally:
        if not connection.invalidated and not connection.closed:
            connection.rollback()
            connection.execute(select(func.pg_advisory_unlock(RUN_LOCK)))
            connection.commit()


def start_run(
    connection: Connection,
    command: str,
    model: tuple[str, str],
    config_hash: str,
    user: int,
    policy: Policy = Policy(),
) -> RunInfo:
    """Record the run, and make the partitions of the days it may last. `model` is its name and sha256.

    Whoever holds the run lock is alone, so runs still marked as running died without a word.
    """
    with connection.begin():
        connection.execute(
            update(Run)
            .where(Run.status == RunStatus.RUNNING.value)
            .values(status=RunStatus.INTERRUPTED.value, finished_at=NOW_OR_LATER)
        )
        values = {
            "command": command,
            "model": model[0],
            "config_hash": config_hash,
            "host": platform.node(),
            "pid": os.getpid(),
        }
        run_id = connection.execute(insert(Run).values(values).returning(Run.id)).scalar_one()
    with connection.begin():
        ensure_partitions(connection, dt.datetime.now(dt.UTC).date(), PARTITION_DAYS_AHEAD)
    return RunInfo(run_id, model[0], model[1], config_hash, user, policy)


def finish_run(connection: Connection, run: RunInfo, status: RunStatus, photos: int, failures: int) -> None:
    with connection.begin():
        connection.execute(
            update(Run)
            .where(Run.id == run.id)
            .values(status=status.value, finished_at=NOW_OR_LATER, photos=photos, failures=failures)
        )
