"""The folder in which the embedded server keeps its data: checked, or made in one step.

DATA_DIR/postgres/      the cluster, mode 0700, owned by the user who runs the server
DATA_DIR/postgres.*     locks; see db/embedded.py
DATA_DIR/log/           the server's log
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from db.embedded_host import Account, name_of, require_entry, run_as
from db.errors import EmbeddedServerError

MAJOR_VERSION = "18"
ROLE = DATABASE = "demeter"
PORT = 5432  # only a part of the socket's name: the server listens on no network

_LONGEST_SOCKET_PATH = 103  # bytes, on macOS; 107 on Linux
_SPACE_FOR_A_CLUSTER = 200_000_000  # bytes: 40 MB of catalogue, 16 MB of log to begin with, and room to work


@dataclass(frozen=True, slots=True)
class Site:
    """Where one embedded server lives, and whom it runs as. `data_dir` is absolute."""

    data_dir: Path
    account: Account

    @property
    def cluster(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def log(self) -> Path:
        return self.data_dir / "log" / "postgres.log"

    @property
    def socket_folder(self) -> Path:
        """The cluster itself, unless its path cannot be the address of a socket.

        The other choice depends on nothing that differs between a login and cron: both find the server.
        """
        socket = os.fsencode(self.cluster / f".s.PGSQL.{PORT}")
        # libpq takes a comma for the end of a host name
        if len(socket) <= _LONGEST_SOCKET_PATH and b"," not in socket and _is_text(socket):
            return self.cluster
        digest = sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path("/tmp") / f"demeter-{self.account.uid}-{digest}"  # noqa: S108  made and checked below

    @property
    def socket(self) -> Path:
        return self.socket_folder / f".s.PGSQL.{PORT}"


def prepare(site: Site) -> None:
    """Make the data folder and refuse what cannot be used, before anything in it is touched.

    Raises EmbeddedServerError, or OSError from the file system.
    """
    if (site.data_dir / "PG_VERSION").exists():
        raise EmbeddedServerError(
            f"{site.data_dir} is itself the folder of a PostgreSQL server; "
            "set DEMETER_DATA_DIR to a folder of Demeter's own."
        )
    for place in (site.data_dir, *site.data_dir.parents):
        if place.exists() and not place.is_dir():
            raise EmbeddedServerError(
                f"{place} is a file and not a folder; set DEMETER_DATA_DIR to a folder that you can write to."
            )
    require_entry(site.account, site.data_dir)
    _make_folders(site.data_dir, 0o755 if site.account.switch else 0o700)
    if site.cluster.exists():
        _require_ours(site)


def has_cluster(site: Site) -> bool:
    return (site.cluster / "PG_VERSION").exists()


def make_cluster(site: Site, programs: Path, *, keep: int, fsync: bool) -> None:
    """Make the cluster with its database, in one step: a start which is cut off leaves no half of one.

    `keep` is a descriptor whose lock lives as long as the programs do. The folder's lock must be held.
    """
    if shutil.disk_usage(site.data_dir).free < _SPACE_FOR_A_CLUSTER:
        raise EmbeddedServerError(
            f"{site.data_dir} has less than {_SPACE_FOR_A_CLUSTER // 1_000_000} MB left, too little for a "
            "new database; free some space, or set DEMETER_DATA_DIR to another disk."
        )
    fresh = site.data_dir / "postgres.new"
    if fresh.exists():  # left by a first start that was killed
        shutil.rmtree(fresh)
    fresh.mkdir(mode=0o700)
    try:
        if site.account.switch:
            os.chown(fresh, site.account.uid, site.account.gid, follow_symlinks=False)
        _initialise(site, programs, fresh, keep=keep, fsync=fsync)
        fresh.rename(site.cluster)
        if fsync:
            _flush_folder(site.data_dir)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def make_socket_folder(site: Site) -> None:
    """Have a folder for the socket that nobody else can enter. Raises EmbeddedServerError if it is taken."""
    folder = site.socket_folder
    if folder == site.cluster:
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid not in {site.account.uid, os.geteuid()} or found.st_mode & 0o077:
        raise EmbeddedServerError(
            f"{folder}, where the socket of the database should be, is not ours alone; remove it, or set "
            f"DEMETER_DATA_DIR to a shorter path than {site.data_dir}, and without commas."
        )
    if site.account.switch:
        os.chown(folder, site.account.uid, site.account.gid, follow_symlinks=False)


def _initialise(site: Site, programs: Path, fresh: Path, *, keep: int, fsync: bool) -> None:
    initdb: list[str | Path] = [programs / "initdb", "-D", fresh, f"--username={ROLE}"]
    # Trust is safe, since only the server's user and root can enter the folder of the socket.
    initdb += ["--auth-local=trust", "--auth-host=reject"]
    # PostgreSQL's own C.UTF-8: a bare machine need not have that locale.
    initdb += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    initdb += ["--data-checksums", "--no-instructions"]
    if not fsync:
        initdb.append("--no-sync")
    single: list[str | Path] = [programs / "postgres", "--single", "-D", fresh, "-c", "exit_on_error=on"]
    single += ["-c", f"fsync={'on' if fsync else 'off'}", "postgres"]
    for command, stdin in ((initdb, ""), (single, f"CREATE DATABASE {DATABASE};\n")):
        done = run_as(site.account, command, stdin=stdin, keep=[keep])
        if done.returncode != 0:
            raise EmbeddedServerError(
                f"PostgreSQL could not make a new database in {site.data_dir}: {last_lines(done.stdout)}"
            )


def last_lines(text: str) -> str:
    """The end of a program's output, on one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-5:]) or "it gave no reason"


def _require_ours(site: Site) -> None:
    owner = site.cluster.stat().st_uid
    if owner != site.account.uid:
        raise EmbeddedServerError(
            f"The database in {site.cluster} belongs to user {name_of(owner)}, but would run as "
            f"{site.account.name}; run Demeter as its owner, give it to that user, or set DEMETER_DATA_DIR "
            "to another folder."
        )
    version_file = site.cluster / "PG_VERSION"
    if not any(site.cluster.iterdir()):
        return
    if not version_file.is_file():
        raise EmbeddedServerError(
            f"{site.cluster} holds files but no PostgreSQL database, and was left as it is; "
            "move it away, or set DEMETER_DATA_DIR to another folder."
        )
    major = version_file.read_text().strip()
    if major != MAJOR_VERSION:
        raise EmbeddedServerError(
            f"The database in {site.cluster} was made by PostgreSQL {major}, but this Demeter brings "
            f"PostgreSQL {MAJOR_VERSION}; with the Demeter that made it: `demeter db backup FILE`, then with "
            "this one and a new DEMETER_DATA_DIR: `demeter db restore FILE`."
        )


def _make_folders(folder: Path, mode: int) -> None:
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(exist_ok=True)
        place.chmod(mode)  # the umask may be 077


def _flush_folder(folder: Path) -> None:
    # Else a power cut could undo the rename, and with it all that was stored since.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_text(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True
