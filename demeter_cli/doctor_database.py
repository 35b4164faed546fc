"""Whether the database is ready for a night alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from demeter_cli.doctor import CLOCK_STEP, GIGA, Check, fail, ok, warn
from demeter_cli.site import database_url, has_embedded_database

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from demeter_cli.settings import Settings

LAST_RUN = dt.timedelta(hours=36)  # a night that was left out
FAR_OFF = 300.0  # seconds; bookings land on the wrong day


def of_the_database(settings: Settings, *, rows: bool) -> Iterator[Check]:
    """With `rows`, rows that refer to nothing are looked for, which reads every table."""
    from db.engine import connect, server_version
    from db.errors import DatabaseError

    if settings.database_url is None and not has_embedded_database(settings):
        yield warn("database", f"none in {settings.data_dir} yet", "the first `demeter process` makes it")
        return
    try:
        with database_url(settings) as url, connect(url) as connection:
            found = ".".join(map(str, server_version(connection)))
            kind = "embedded " if settings.database_url is None else ""
            yield ok("database", f"{kind}PostgreSQL {found} answers")
            yield from _inside(connection, settings, rows=rows)
    except DatabaseError as error:
        yield fail("database", str(error), "without it nothing can be booked")


def _inside(connection: Connection, settings: Settings, *, rows: bool) -> Iterator[Check]:
    from db import migrate
    from db.errors import SchemaMismatch

    yield from _network(connection, embedded=settings.database_url is None)
    yield from _clock(connection)
    yield from _role(connection, embedded=settings.database_url is None)
    try:
        migrate.check(connection)
    except SchemaMismatch as error:
        yield fail("schema", str(error), "nothing is counted until then")
        return
    yield ok("schema", f"revision {migrate.head()}, as this program needs it")
    yield from _health(connection, rows=rows)
    yield from _partitions(connection)
    yield from _last_run(connection, settings)
    yield from _backlog(connection)
    connection.rollback()


def _network(connection: Connection, *, embedded: bool) -> Iterator[Check]:
    if not embedded:
        encrypted = connection.exec_driver_sql(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).scalar()
        local = connection.exec_driver_sql("SELECT inet_server_addr() IS NULL").scalar()
        if encrypted or local:
            yield ok("connection", "over a local socket" if local else "encrypted")
        else:
            here = connection.exec_driver_sql("SELECT inet_server_addr() <<= '127.0.0.0/8'").scalar()
            if not here:
                yield warn("connection", "not encrypted", "add ?sslmode=verify-full to database_url")
        return
    addresses = connection.exec_driver_sql("SHOW listen_addresses").scalar()
    if addresses:
        yield fail("connection", f"the embedded server listens on {addresses}", "end all commands")
    else:
        yield ok("connection", "a socket only, no network")


def _clock(connection: Connection) -> Iterator[Check]:
    from db.watch import server_clock

    before = dt.datetime.now(dt.UTC)
    ahead = (server_clock(connection) - before).total_seconds()
    off = max(0.0, abs(ahead) - (dt.datetime.now(dt.UTC) - before).total_seconds())
    if off > FAR_OFF:
        yield fail("clock", f"the database is {ahead:+.0f} s off this machine", "set both by NTP")
    elif off > CLOCK_STEP:
        yield warn("clock", f"the database is {ahead:+.0f} s off this machine", "set both by NTP")
    else:
        yield ok("clock", "this machine and the database agree")


def _role(connection: Connection, *, embedded: bool) -> Iterator[Check]:
    from db.roles import OPERATOR, ROLES
    from db.watch import login

    who = login(connection, ROLES)
    if embedded:
        yield ok("database role", f"{who.name}, of a server that nobody else may enter")
    elif who.superuser or who.owner:
        what = "a superuser" if who.superuser else "the owner of the tables"
        remedy = f"run the batch as a login of its own: CREATE ROLE … LOGIN; GRANT {OPERATOR} TO …"
        yield warn("database role", f"{who.name} is {what}, and triggers alone bind it", remedy)
    elif OPERATOR in who.roles:
        yield ok("database role", f"{who.name}, with the rights of {', '.join(who.roles)}")
    else:
        yield fail("database role", f"{who.name} may not book", f"GRANT {OPERATOR} TO {who.name}")


def _health(connection: Connection, *, rows: bool) -> Iterator[Check]:
    from db.health import Severity, examine

    found = examine(connection, dt.datetime.now(dt.UTC), rows=rows)
    damage = [one for one in found if one.severity is Severity.DAMAGE]
    notes = [one for one in found if one.severity is Severity.NOTE]
    if damage:
        first = f"{damage[0].about}: {damage[0].sentence}"
        yield fail("rules", f"{len(damage)} of its own rules do not hold: {first}", "see `demeter db check`")
    elif notes:
        first = f"{notes[0].about}: {notes[0].sentence}"
        yield warn("rules", f"{len(notes)} notes: {first}", "see `demeter db check`")
    else:
        yield ok("rules", "triggers, constraints and rights stand")


def _partitions(connection: Connection) -> Iterator[Check]:
    from db.partitions import PARTITIONED, list_partitions

    today = dt.datetime.now(dt.UTC).date()
    days = {(one.table, one.start.date()) for one in list_partitions(connection)}
    ahead = 0
    while all((table, today + dt.timedelta(days=ahead)) in days for table in PARTITIONED):
        ahead += 1
    if ahead == 0:
        yield fail("partitions", "none for today", "`demeter db upgrade` makes them")
    elif ahead == 1:
        yield warn("partitions", "none for tomorrow", "the next run or `demeter db upgrade` makes them")
    else:
        yield ok("partitions", f"today and {ahead - 1} days ahead")


def _last_run(connection: Connection, settings: Settings) -> Iterator[Check]:
    from db.models.vocabulary import RunStatus
    from db.watch import last_run

    run = last_run(connection)
    if run is None:
        yield warn("last run", "there was none yet", "demeter process FOLDER")
        return
    age = dt.datetime.now(dt.UTC) - run.started_at
    when = run.started_at.astimezone(ZoneInfo(settings.timezone))
    found = (
        f"{run.command} of {when:%Y-%m-%d %H:%M}, {run.photos} photos, {run.failures} failed, {run.status}"
    )
    look = f"`demeter runs show {run.id}` tells"
    if run.status == RunStatus.FAILED or run.exit_code not in (None, 0, 8, 130):
        yield fail("last run", found + (f": {run.problem}" if run.problem else ""), look)
    elif run.status == RunStatus.INTERRUPTED or run.failures:
        yield warn("last run", found, look)
    elif age > LAST_RUN and run.status != RunStatus.RUNNING:
        yield warn("last run", f"{found}; {age.days} days ago", "is the timer on? `demeter schedule print`")
    else:
        yield ok("last run", found)


def _backlog(connection: Connection) -> Iterator[Check]:
    from db.watch import figures, unfinished_claims

    now = figures(connection)
    waiting = {status: number for status, number in now.waiting.items() if number}
    told = ", ".join(f"{number} {status}" for status, number in sorted(waiting.items()))
    size = f"{now.database_bytes / GIGA:.2f} GB"
    yield ok("database size", size)
    if now.uncounted:
        yield warn("backlog", f"{now.uncounted} photos stored, not counted", "demeter process --pending")
    else:
        yield ok("backlog", "every stored photo was counted")
    if told:
        yield warn("waiting", told, "`demeter photos list` says what each waits for")
    stale = unfinished_claims(connection)
    if stale:
        yield warn("claims", f"{stale} photos were taken by a run that died", "the next run counts them")
