"""Whether all is ready for a night alone: what `demeter doctor` looks at on this machine.

Nothing is made or changed; a file written to try a disk is taken away again.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import shutil
import stat
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from demeter_cli.environment import cache_dir, find_config, os_login

if TYPE_CHECKING:
    from demeter_cli.settings import Settings

GIGA = 1_000_000_000
LEAST_FREE = 1.0  # GB; below it a night fails
LEAST_MEMORY = 1.0  # GB; two workers hold less than that
CLOCK_STEP = 5.0  # seconds between two clocks that nobody minds


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """`remedy` is what to do; empty where all is well."""

    name: str
    state: State
    found: str
    remedy: str = ""


def ok(name: str, found: str) -> Check:
    return Check(name, State.OK, found)


def warn(name: str, found: str, remedy: str) -> Check:
    return Check(name, State.WARN, found, remedy)


def fail(name: str, found: str, remedy: str) -> Check:
    return Check(name, State.FAIL, found, remedy)


def of_the_program(config: Path | None) -> Iterator[Check]:
    """What needs no settings."""
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield ok("version", f"demeter {version('demeter')}, {python}")
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    if encoding == "utf8":
        yield ok("terminal", "prints UTF-8")
    else:
        yield warn("terminal", f"prints {encoding or 'nothing known'}", "set LC_ALL=C.UTF-8")
    path = find_config(config)
    yield ok("settings", str(path) if path else "no file, only defaults and variables")


def of_the_machine(settings: Settings) -> Iterator[Check]:
    yield ok("time zone", f"{settings.timezone}, where it is {settings.today(dt.datetime.now(dt.UTC))}")
    yield from _data_folder(settings)
    if settings.storage_url is not None or settings.data_dir.is_dir():
        yield from _photos(settings)
    yield from _disks(settings)
    yield from _memory()
    yield from _secrets(settings)
    yield from _destinations(settings)


def _data_folder(settings: Settings) -> Iterator[Check]:
    folder = settings.data_dir
    if not folder.is_dir():
        yield warn("data folder", f"{folder} is not there", "the first `demeter process` makes it")
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o002:
        yield fail("data folder", f"{folder} can be written by everybody", f"chmod o-w {folder}")
    elif not os.access(folder, os.W_OK | os.X_OK):
        who = os_login() or os.geteuid()
        yield fail("data folder", f"{folder} cannot be written by {who}", "run as its owner, or chown it")
    else:
        yield ok("data folder", f"{folder}, mode {mode:04o}")


def _photos(settings: Settings) -> Iterator[Check]:
    """A round trip to where photos are kept, and for a folder what time its disk thinks it is."""
    if settings.storage_url is not None:
        yield from _named_store(settings)
        return
    folder = next(one for one in (settings.photo_dir, *settings.photo_dir.parents) if one.is_dir())
    content = os.urandom(64)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            before = dt.datetime.now(dt.UTC).timestamp()
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            same = Path(file.name).read_bytes() == content
            ahead = os.fstat(file.fileno()).st_mtime - before
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        yield fail("photo store", f"{folder}: {why}", "give the right to write there, or make room")
        return
    if not same:
        yield fail("photo store", f"{folder} gives back other bytes than it took", "check the disk")
    else:
        yield ok("photo store", f"{folder} takes and gives back")
    if abs(ahead) > CLOCK_STEP:
        yield warn("disk clock", f"the disk is {ahead:+.0f} s off this machine", "set both by NTP")


def _named_store(settings: Settings) -> Iterator[Check]:
    from demeter_cli.site import open_store
    from pipeline.errors import StorageError

    key, content = f"doctor/{uuid.uuid4()}", os.urandom(64)
    try:
        store = open_store(settings)
        try:
            store.read_bytes(key, store.put_bytes(key, content))
        finally:
            store.delete(key)
    except StorageError as error:
        yield fail("photo store", str(error), "nothing can be kept until then; see docs/storage.md")
        return
    yield ok("photo store", f"{store.name} takes and gives back")


def _disks(settings: Settings) -> Iterator[Check]:
    seen = set()
    for name, wanted in (("data", settings.data_dir), ("cache", cache_dir()), ("temporary", _temporary())):
        folder = next(one for one in (wanted, *wanted.parents) if one.is_dir())
        device = folder.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        usage = shutil.disk_usage(folder)
        found = f"{usage.free / GIGA:.1f} of {usage.total / GIGA:.0f} GB free at {folder}"
        label = f"disk ({name})"
        if usage.free < LEAST_FREE * GIGA:
            yield fail(label, found, "make room: a run needs some, and so does the database")
        elif name == "data" and usage.free < settings.free_gb * GIGA:
            yield warn(label, found, "make room, or `demeter db maintain`; the setting free_gb says when")
        else:
            yield ok(label, found)
        inodes = os.statvfs(folder)
        if inodes.f_files and inodes.f_favail < inodes.f_files // 100:
            yield warn(label, "fewer than 1 % of its inodes are free", "remove small files")


def _temporary() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path("/")


def _memory() -> Iterator[Check]:
    from pipeline.machine import cores, free_memory

    free = free_memory()
    if free is None:
        return
    found = f"{free / GIGA:.1f} GB free, {cores()} cores"
    if free < LEAST_MEMORY * GIGA:
        yield warn("memory", found, "stop other programs, or set workers = 1")
    else:
        yield ok("memory", found)


def _secrets(settings: Settings) -> Iterator[Check]:
    """Those in files are refused with the settings; the periods' key is read only when one is closed."""
    path = settings.period_key
    if path is None:
        return
    try:
        mode = path.stat().st_mode
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        yield fail("period key", f"{path}: {why}", "restore it from its copy; months are signed with it")
        return
    if stat.S_IMODE(mode) & 0o077:
        yield fail("period key", f"{path} can be read by others", f"chmod 600 {path}")
    else:
        yield ok("period key", f"{path}, only its owner reads it")


def _destinations(settings: Settings) -> Iterator[Check]:
    """Where logs and metrics go. Nobody is pinged or written to."""
    for name, path in (("log file", settings.log_file), ("metrics file", settings.metrics_file)):
        if path is None:
            continue
        target = path if path.exists() and name == "log file" else path.parent
        if not target.exists():
            yield warn(name, f"{target} is not there", f"mkdir -p {target}, writable by who runs Demeter")
        elif not os.access(target, os.W_OK):
            yield warn(name, f"{target} cannot be written", "give the right to, or name another file")
        else:
            yield ok(name, str(path))
    told = [name for name in ("ping_url", "webhook_url", "mail_to") if getattr(settings, name) is not None]
    if told:
        yield ok("notices", f"{', '.join(told)} set; `demeter doctor --notify` tries them")
    else:
        yield warn("notices", "nobody is told when a run fails", "set ping_url, mail_to or webhook_url")


def of_the_models(settings: Settings) -> Iterator[Check]:
    """Verified by sha256, then loaded, as a worker does. Raises nothing: a model's trouble is a finding."""
    from pipeline.detect import load_detector, load_segmenter
    from pipeline.errors import ModelError

    config = replace(settings.pipeline(1), cache_dir=None)  # nothing is written, compiled networks neither
    for name, load in (("detector", load_detector), ("segmenter", load_segmenter)):
        try:
            card = load(config).card
        except (ModelError, ImportError) as error:
            yield fail(name, str(error), "install Demeter again, or correct the setting")
        else:
            yield ok(name, f"{card.label}, as its sha256 says, can be loaded")
