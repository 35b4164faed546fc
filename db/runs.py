"""Runs: one call of a command that counts photos or books them anew, one at a time in a database."""

from __future__ import annotations

import datetime as dt
import logging
import os
import platform
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from sqlalchemy import Connection, func, insert, select, text, update

from db.errors import Busy
from db.models.photos import Run
from db.models.vocabulary import RunStatus
from db.partitions import ensure_partitions
from db.plausible import Limits
from db.same_day import SameDay
from pipeline.types import Severity

PARTITION_DAYS_AHEAD = 7
NOW_OR_LATER = func.greatest(func.now(), Run.started_at)  # a clock may be set back during a run
RUN_LOCK = 0x44454D4554455201  # "DEMETER" and a number

log = logging.getLogger(__name__)

Wait = float  # seconds; math.inf waits for ever
Tell = Callable[[str], None]
NO_WAIT = 0.0
_SIGNATURE = re.compile(r"demeter (?P<command>[\w -]+) (?P<pid>\d+) (?P<since>\d{8}T\d{6}Z) ?(?P<host>.*)")
_HOLDER = text(
    """
    SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND classid::bigint = :high AND objid::bigint = :low
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)


@dataclass(frozen=True, slots=True)
class Policy:
    """What becomes of doubtful photos.

    `repeat` is how grave it is that a photo looks like an earlier one, None if nobody asks. With `accept`,
    photos that were refused are booked. What exceeds the `limits` waits for a person; None: nothing does.
    `same_day` says what several photos of a place on one day say together.
    """

    repeat: Severity | None = None
    accept: bool = False
    limits: Limits | None = None
    same_day: SameDay = field(default_factory=SameDay)


@dataclass(frozen=True, slots=True)
class Account:
    """How a run went: what its row keeps beside the photos and failures."""

    exit_code: int
    plants: int
    retries: int  # photos tried more than once
    peak_memory_bytes: int
    statuses: Mapping[str, int]  # photos by status
    stages: Mapping[str, float]  # seconds by stage
    problem: str | None = None


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
def run_lock(
    connection: Connection, command: str = "process", wait: Wait = NO_WAIT, tell: Tell = log.warning
) -> Iterator[None]:
    """Only one run counts into a database at a time. A killed run loses the lock by itself.

    While another holds it, ask again until `wait` seconds are over (`math.inf`: for ever), and `tell` once
    who it is. Raises Busy. Nothing else waits meanwhile: no transaction is open.
    """
    deadline, told = time.monotonic() + wait, False
    while not connection.scalar(select(func.pg_try_advisory_lock(RUN_LOCK))):
        holder = lock_holder(connection)
        connection.rollback()
        left = deadline - time.monotonic()
        if left <= 0:
            end = f"it still goes on after {wait:g} seconds" if wait else "or let this one --wait"
            raise Busy(f"{holder} is at work in this database; try again when it has finished, {end}")
        if not told:
            tell(f"{holder} is at work in this database; waiting for it.")
            told = True
        time.sleep(min(left, random.uniform(0.2, 1.0)))  # noqa: S311  not a secret
    _sign(connection, command)
    connection.commit()
    try:
        yield
    finally:
        if not connection.invalidated and not connection.closed:
            connection.rollback()
            connection.execute(select(func.pg_advisory_unlock(RUN_LOCK)))
            connection.execute(text("RESET application_name"))
            connection.commit()


def _sign(connection: Connection, command: str) -> None:
    """Put who we are where everybody who may connect can read it, of whatever role they are."""
    signature = f"demeter {command} {os.getpid()} {dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ} {platform.node()}"
    connection.execute(select(func.set_config("application_name", signature[:63], False)))


def lock_holder(connection: Connection) -> str:
    """Who holds the run lock, in words: command, process, host and since when."""
    name = connection.scalar(_HOLDER, {"high": RUN_LOCK >> 32, "low": RUN_LOCK & 0xFFFFFFFF})
    signed = _SIGNATURE.fullmatch(name or "")
    if not signed:
        return "another run"
    since = dt.datetime.strptime(signed["since"], "%Y%m%dT%H%M%S%z")
    host = "".join(char for char in signed["host"] if char.isprintable()) or "an unknown host"
    return f"demeter {signed['command']} (process {signed['pid']} on {host}, since {since:%F %T} UTC)"


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


def sign_run(connection: Connection, run: RunInfo, key: uuid.UUID, version: str) -> None:
    """The name under which logs, reports and pings speak of the run, and the version of the program."""
    with connection.begin():
        connection.execute(update(Run).where(Run.id == run.id).values(key=key, version=version))


def finish_run(
    connection: Connection,
    run: RunInfo,
    status: RunStatus,
    photos: int,
    failures: int,
    account: Account | None = None,
) -> None:
    values = {"status": status.value, "finished_at": NOW_OR_LATER, "photos": photos, "failures": failures}
    with connection.begin():
        connection.execute(
            update(Run).where(Run.id == run.id).values({**values, **(asdict(account) if account else {})})
        )
