"""Our own PostgreSQL server, for people who have none.

It listens on a socket only. Commands which run at the same time share it; the first one in starts it and
the last one out stops it. Two files beside the cluster carry `flock` locks, which the kernel drops when a
process ends, however it ends:

    postgres.users   held shared by each command; the last one out gets it alone, and keeps newcomers waiting
                     until it has stopped the server
    postgres.alive   held alone by whoever starts the server, then inherited by the server and all its
                     processes; free only when none of them is left

So nothing here trusts a process id that was written into a file: after a crash or a restart of a container,
that number may belong to somebody else.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import URL

from db.embedded_cluster import (
    DATABASE,
    PORT,
    ROLE,
    Site,
    has_cluster,
    last_lines,
    make_cluster,
    make_socket_folder,
    prepare,
)
from db.embedded_host import SERVER_ENVIRONMENT, runnable_binaries, server_account
from db.errors import EmbeddedServerError

log = logging.getLogger(__name__)

Notify = Callable[[str], None]

_PAUSE = 0.02  # seconds between two looks
_FIRST_WORD = 2.0  # seconds until a person is told what we wait for
_NEXT_WORD = 30.0
_LONGEST_RESTART = 10.0  # seconds that a stop waits for a restart
_LONGEST_STOP = 30.0  # seconds until a server that was asked to stop is made to
_LARGEST_LOG = 1_000_000  # bytes; a larger one is set aside at the next start, and replaces the one before

# For a small machine that has other work to do. Given at each start, so they cannot go stale in a file.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "max_locks_per_transaction": "256",  # a restore takes one for each partition and index
    "shared_buffers": "128MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_checkpoints": "off",
    "cluster_name": "demeter",
}
_UNSAFE_BUT_QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A server that takes connections. `created` tells that its cluster was made just now, and is empty."""

    url: str  # for SQLAlchemy: postgresql+psycopg://…
    created: bool
    data_dir: Path


@contextmanager
def embedded_server(
    data_dir: Path, *, fsync: bool = True, notify: Notify = log.warning, longest_stop: float = _LONGEST_STOP
) -> Iterator[EmbeddedServer]:
    """Use the server of `data_dir`, started if need be; the last one out stops it.

    May be entered by many processes and threads at once. A child made by `os.fork` inside the block has no
    share of its own: when its parent leaves, the server may stop. Recovery after a power cut may take as long
    as it needs; `notify` then gets a sentence for the user now and again. A server that has not stopped after
    `longest_stop` seconds is made to; nothing that was committed is lost by that.

    Raises EmbeddedServerError when the server cannot be started.
    """
    with _sentences(data_dir):
        site = Site(data_dir.resolve(), server_account())
        prepare(site)
    with _counted_in(site, notify, longest_stop):
        with _sentences(data_dir):
            created = _ensure_ready(site, fsync=fsync, notify=notify)
        yield EmbeddedServer(_url(site), created, site.data_dir)


@contextmanager
def _counted_in(site: Site, notify: Notify, longest_stop: float) -> Iterator[None]:
    process = os.getpid()
    with _lock_file(site, "users") as users:
        for _ in _patiently(notify, f"Another command is still stopping PostgreSQL in {site.cluster}."):
            if _lock(users, fcntl.LOCK_SH):
                break
        try:
            yield
        finally:
            # A forked child that unwinds must not stop its parent's server.
            if os.getpid() == process and _lock(users, fcntl.LOCK_EX):
                _stop(site, notify, longest_stop)


def _ensure_ready(site: Site, *, fsync: bool, notify: Notify) -> bool:
    """Return once the server takes connections; true if its cluster was made just now."""
    created, log_begins = False, 0
    word = (
        f"Another command is starting PostgreSQL in {site.cluster}, or a server that was killed is still "
        "going away; waiting for it."
    )
    for _ in _patiently(notify, word):
        if _is_ready(site):
            return False
        with _alone(site) as alive:
            if alive is not None:
                log_begins = _set_long_log_aside(site)
                created = _start(site, alive, fsync=fsync)
                break
    word = (
        f"PostgreSQL is still starting in {site.cluster}. After an unclean stop it first recovers, "
        "which can take minutes; please let it."
    )
    for _ in _patiently(notify, word):
        if _is_ready(site):
            break
        with _alone(site) as alive:
            if alive is not None:
                raise EmbeddedServerError(
                    f"PostgreSQL could not start in {site.cluster}: {_end_of_log(site, log_begins)} "
                    f"(its log is {site.log})."
                )
    return created


def _start(site: Site, alive: int, *, fsync: bool) -> bool:
    """Start a server that holds the lock `alive` from now on; true if its cluster had to be made."""
    programs = runnable_binaries(site.account, site.data_dir)
    make_socket_folder(site)
    new = not has_cluster(site)
    if new:
        make_cluster(site, programs, keep=alive, fsync=fsync)
    _forget_dead_server(site)
    _launch(site, programs, alive, fsync=fsync)
    return new


def _launch(site: Site, programs: Path, alive: int, *, fsync: bool) -> None:
    settings = _SETTINGS if fsync else _SETTINGS | _UNSAFE_BUT_QUICK
    quoted = str(site.socket_folder).replace('"', '""')
    settings = settings | {"unix_socket_directories": f'"{quoted}"'}
    flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
    with open(site.log, "ab", opener=_private) as output:
        server = subprocess.Popen(
            [programs / "postgres", "-D", site.cluster, "-p", str(PORT), *flags],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=SERVER_ENVIRONMENT,
            pass_fds=[alive],
            start_new_session=True,  # Ctrl-C is for the command, not for the server that others may be using
            umask=0o077,
            user=site.account.user,
            group=site.account.group,
            extra_groups=site.account.extra_groups,
        )
    # Others may stop it long before this process ends; it must not stay behind as a zombie.
    threading.Thread(target=server.wait, name="reap postgres", daemon=True).start()


def _stop(site: Site, notify: Notify, longest: float) -> None:
    # A server that still recovers is left to it: else a person who loses patience would never see the end.
    server = _listening_process(site) if _is_ready(site) else None
    if not server:  # or it runs in another container, where its number means nothing to us
        return
    _let_restart(site, notify)
    with suppress(ProcessLookupError):
        os.kill(server, signal.SIGINT)  # "fast": refuse newcomers, end sessions, write everything out
    deadline = time.monotonic() + longest
    for _ in _patiently(notify, f"PostgreSQL is still writing its data in {site.cluster} before it stops."):
        with _alone(site) as alive:
            if alive is not None:
                break
        if time.monotonic() > deadline:
            # "Immediate": nothing committed is lost, and the next start recovers.
            deadline = float("inf")
            if _listening_process(site) == server:
                os.kill(server, signal.SIGQUIT)
    if site.socket_folder != site.cluster:
        with suppress(OSError):
            site.socket_folder.rmdir()


def _let_restart(site: Site, notify: Notify) -> None:
    """Wait, not for ever, while the server restarts after a crash of its own.

    Asked to stop in that moment, PostgreSQL 18 never does: its checkpointer is started and not told.
    """
    deadline = time.monotonic() + _LONGEST_RESTART
    for _ in _patiently(notify, f"PostgreSQL is restarting in {site.cluster} before it stops."):
        if _answers(site) or _listening_process(site) is None or time.monotonic() > deadline:
            return


def _answers(site: Site) -> bool:
    try:
        psycopg.connect(
            host=str(site.socket_folder), port=PORT, user=ROLE, dbname=DATABASE, connect_timeout=2
        ).close()
    except psycopg.OperationalError:
        return False
    return True


def _is_ready(site: Site) -> bool:
    """Whether the server takes connections. What a killed one left says "ready" for ever, so ask both."""
    lines = _postmaster_file(site)
    return bool(lines) and lines[-1].strip() == "ready" and _listening_process(site) is not None


def _postmaster_file(site: Site) -> list[str]:
    # pid, folder, start time, port, socket folder, address, shared memory, state
    with suppress(FileNotFoundError):
        return (site.cluster / "postmaster.pid").read_text(errors="replace").splitlines()
    return []


def _listening_process(site: Site) -> int | None:
    """Who listens on our socket: a process id, 0 if it is in another container, None if nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        try:
            caller.connect(os.fsencode(site.socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        if sys.platform == "linux":
            credentials = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return int(struct.unpack("3i", credentials)[0])
    lines = _postmaster_file(site)
    return int(lines[0]) if lines else None


def _forget_dead_server(site: Site) -> None:
    """Remove what a killed server left, once all its processes are known to be gone.

    PostgreSQL would refuse to start if some other process of the same user has its old number by now.
    """
    lines = _postmaster_file(site)
    if len(lines) > 4 and lines[4] and _somebody_answers(Path(lines[4], f".s.PGSQL.{lines[3]}")):
        return  # started by hand, with another socket: PostgreSQL itself will refuse, and say so
    (site.cluster / "postmaster.pid").unlink(missing_ok=True)
    site.socket.with_name(site.socket.name + ".lock").unlink(missing_ok=True)


def _somebody_answers(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        return caller.connect_ex(os.fsencode(address)) == 0


@contextmanager
def _alone(site: Site) -> Iterator[int | None]:
    """The lock that every server holds, for us to hand to a new one; None while a part of one lives."""
    with _lock_file(site, "alive") as descriptor:
        yield descriptor if _lock(descriptor, fcntl.LOCK_EX) else None


@contextmanager
def _lock_file(site: Site, name: str) -> Iterator[int]:
    path = site.data_dir / f"postgres.{name}"
    with _sentences(site.data_dir):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int) -> bool:
    """Try to take a lock, shared or alone. A lock held before is given up for it, also in vain."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _patiently(notify: Notify, word: str) -> Iterator[None]:
    """Yield again and again, with a pause between, for as long as it takes; tell the user after a while."""
    next_word = time.monotonic() + _FIRST_WORD
    while True:
        yield
        time.sleep(_PAUSE)
        if time.monotonic() >= next_word:
            notify(word)
            next_word = time.monotonic() + _NEXT_WORD


@contextmanager
def _sentences(data_dir: Path) -> Iterator[None]:
    """Turn what the file system refuses into a sentence for the user."""
    try:
        yield
    except OSError as error:
        raise EmbeddedServerError(
            f"The database in {data_dir} cannot be used: {error.strerror or error} "
            f"({error.filename or data_dir}); make room or give access there, or set DEMETER_DATA_DIR to "
            "another folder."
        ) from error


def _url(site: Site) -> str:
    # The port is named although it is the usual one: libpq would take another from PGPORT.
    where = {"host": str(site.socket_folder), "port": str(PORT)}
    url = URL.create("postgresql+psycopg", username=ROLE, database=DATABASE, query=where)
    return url.render_as_string(hide_password=False)


def _set_long_log_aside(site: Site) -> int:
    """Where in the log, in bytes, the next lines will be."""
    site.log.parent.mkdir(exist_ok=True)
    size = site.log.stat().st_size if site.log.exists() else 0
    if size <= _LARGEST_LOG:
        return size
    site.log.replace(site.log.with_suffix(".log.1"))
    return 0


def _private(path: str, flags: int) -> int:
    # Its lines quote statements, and root's data folder is open to all.
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _end_of_log(site: Site, begins: int) -> str:
    with site.log.open("rb") as file:
        file.seek(begins)
        return last_lines(file.read().decode(errors="replace"))
