"""Files of backups: whole or not there, named by their time, and as many as shall be kept."""

from __future__ import annotations

import datetime as dt
import os
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from pipeline.errors import StorageError

_NAME = re.compile(r"demeter-(\d{8}T\d{6}Z)\.dump")
_FORM = "%Y%m%dT%H%M%SZ"


def is_folder(target: Path) -> bool:
    """Whether backups are to be gathered there: a folder, or what has no suffix and is not there yet."""
    return target.is_dir() or (not target.exists() and not target.suffix)


def name_of(moment: dt.datetime) -> str:
    return f"demeter-{moment.astimezone(dt.UTC):{_FORM}}.dump"


@contextmanager
def appearing(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """A path to write to, which becomes `target` if all goes well. Raises BadParameter for a file that is
    there, and StorageError."""
    if not overwrite and os.path.lexists(target):
        raise typer.BadParameter(f"{target} is there already; name another file, or say --overwrite")
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        if not target.parent.exists():
            target.parent.mkdir(parents=True, mode=0o700)
        yield draft
        draft.chmod(0o600)
        draft.replace(target)
        _flush_folder(target.parent)
    except OSError as error:
        raise StorageError(
            f"{target} cannot be written: {error.strerror}; make room or give access"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def superfluous(names: Collection[str], daily: int, weekly: int) -> list[str]:
    """Backups to remove: all but the last of each of the `daily` newest days that have any, and of the
    `weekly` newest weeks. Other files are nobody's business; with 0 and 0 all are kept."""
    if not daily and not weekly:
        return []
    moments = {
        name: dt.datetime.strptime(found[1], _FORM).replace(tzinfo=dt.UTC)
        for name in names
        if (found := _NAME.fullmatch(name))
    }
    days: dict[dt.date, str] = {}
    weeks: dict[tuple[int, int], str] = {}
    for name in sorted(moments, key=lambda one: moments[one]):  # later ones take the place
        moment = moments[name]
        days[moment.date()] = name
        weeks[moment.isocalendar()[:2]] = name
    kept = {days[day] for day in sorted(days, reverse=True)[:daily]}
    kept |= {weeks[week] for week in sorted(weeks, reverse=True)[:weekly]}
    return sorted(set(moments) - kept)


def rotate(folder: Path, daily: int, weekly: int, now: dt.datetime) -> list[str]:
    """Remove what is superfluous, and drafts that a killed backup left a day ago."""
    gone = superfluous([path.name for path in folder.glob("demeter-*.dump")], daily, weekly)
    for name in gone:
        (folder / name).unlink(missing_ok=True)
    for draft in folder.glob(".*.dump.*.part"):
        if draft.stat().st_mtime < (now - dt.timedelta(days=1)).timestamp():
            draft.unlink(missing_ok=True)
    return gone


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
