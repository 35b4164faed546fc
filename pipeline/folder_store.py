"""Photos and their files in a folder of this machine."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import StorageError
from pipeline.find import printable
from pipeline.storage import (
    LARGEST_STORED,
    StoredFile,
    changed,
    chunks_of,
    missing,
    other_bytes,
    proper,
    sha256_of,
)


@dataclass(frozen=True, slots=True)
class FolderStore:
    """`root/key` is the file. Written beside its place, flushed to the disk, then renamed."""

    root: Path

    @property
    def name(self) -> str:
        return str(self.root)

    def put_file(self, key: str, source: Path, sha256: str) -> bool:
        target = self._path(key)
        with self._telling(f"{printable(source.name)} cannot be stored under {printable(self.root)}"):
            if self._holds(target, source, sha256):
                return False
            with _appearing(target) as copy:
                if _copy(source, copy) != sha256:
                    raise changed(source)
        return True

    def put_bytes(self, key: str, content: bytes) -> str:
        target = self._path(key)
        with (
            self._telling(f"{key} cannot be stored under {printable(self.root)}"),
            _appearing(target) as descriptor,
        ):
            _write(descriptor, memoryview(content))
            os.fsync(descriptor)
        return hashlib.sha256(content).hexdigest()

    def read_bytes(self, key: str, sha256: str | None = None) -> bytes:
        with self._reading(key), self._path(key).open("rb") as stream:
            content = stream.read(LARGEST_STORED + 1)
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise other_bytes(self, key)
        return content

    def fetch(self, key: str, target: Path) -> str:
        with self._reading(key):
            shutil.copyfile(self._path(key), target)
        return sha256_of(target)

    def stat(self, key: str) -> StoredFile | None:
        path = self._path(key)
        with self._telling(f"{key} under {printable(self.root)} cannot be read"):
            return _stored(path, key) if path.is_file() else None

    def files(self, prefix: str) -> Iterator[StoredFile]:
        top = self._path(prefix)
        with self._telling(f"{printable(top)} cannot be listed"):
            for folder, below, names in os.walk(top, onerror=_raise):
                below.sort()
                for name in sorted(names):
                    path = Path(folder, name)
                    # Hidden files are drafts (`.part`) and marks, and a link is nothing that we have stored.
                    if not name.startswith(".") and path.is_file() and not path.is_symlink():
                        yield _stored(path, path.relative_to(self.root).as_posix())

    def move(self, key: str, to: str) -> None:
        source, target = self._path(key), self._path(to)
        with self._telling(f"{key} under {printable(self.root)} cannot be moved to {to}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
            _flush_folder(target.parent)

    def delete(self, key: str) -> None:
        with self._telling(f"{key} under {printable(self.root)} cannot be removed"):
            self._path(key).unlink(missing_ok=True)

    def tidy(self, before: dt.datetime, *, dry_run: bool = False) -> list[StoredFile]:
        with self._telling(f"what is unfinished in {printable(self.root)} cannot be removed"):
            return clear_folder(self.root, before, pattern=".*.part", dry_run=dry_run)

    def where(self, key: str) -> str:
        return str(self.root / key)

    def local(self, key: str) -> Path | None:
        return self._path(key)

    def _path(self, key: str) -> Path:
        return self.root / proper(key)

    def _holds(self, target: Path, source: Path, sha256: str) -> bool:
        """Disks rot; reading a few megabytes is cheaper than a lost original."""
        if not target.is_file() or (source.is_file() and target.stat().st_size != source.stat().st_size):
            return False
        return sha256_of(target) == sha256

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(f"{what}: {_why(error)}") from error

    @contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise missing(self, key) from error
        except OSError as error:
            raise StorageError(f"{key} under {printable(self.root)} cannot be read: {_why(error)}") from error


def clear_folder(
    top: Path, before: dt.datetime, *, pattern: str = "*", dry_run: bool = False
) -> list[StoredFile]:
    """Remove the files below a folder that nobody wrote to since `before`, then the folders that they leave
    empty; links are not followed. Raises OSError, but not for what another program removed first."""
    gone = []
    for path in sorted(top.rglob(pattern), reverse=True):  # what is in a folder before the folder
        try:
            is_folder = path.is_dir() and not path.is_symlink()
            old = path.lstat().st_mtime < before.timestamp()
            if old and not is_folder:
                gone.append(_stored_link(path, path.relative_to(top).as_posix()))
                if not dry_run:
                    path.unlink()
            elif old and is_folder and not dry_run and not any(path.iterdir()):
                path.rmdir()
        except FileNotFoundError:
            continue
    return gone


def _stored_link(path: Path, key: str) -> StoredFile:
    found = path.lstat()
    return StoredFile(key, found.st_size, dt.datetime.fromtimestamp(found.st_mtime, dt.UTC))


def _stored(path: Path, key: str) -> StoredFile:
    found = path.stat()
    return StoredFile(key, found.st_size, dt.datetime.fromtimestamp(found.st_mtime, dt.UTC))


def _raise(error: OSError) -> None:
    """A folder that nobody filled yet is empty; one that cannot be read is not."""
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def _appearing(target: Path) -> Iterator[int]:
    """A file descriptor to write to. What was written appears at `target` only if nothing goes wrong."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", suffix=".part", delete=False) as copy:
        temporary = Path(copy.name)
        try:
            yield copy.fileno()
            temporary.replace(target)
            _flush_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


def _copy(source: Path, target: int) -> str:
    """Copy bytes, flush them to the disk, and return their sha256."""
    digest = hashlib.sha256()
    for chunk in chunks_of(source):
        digest.update(chunk)
        _write(target, memoryview(chunk))
    os.fsync(target)
    return digest.hexdigest()


def _write(target: int, view: memoryview) -> None:
    while view:
        view = view[os.write(target, view) :]


def _flush_folder(folder: Path) -> None:
    """Make the new name survive a power cut, as the bytes do; the database will say it is there."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _why(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full; make room or set DEMETER_DATA_DIR to another disk"
    return error.strerror or str(error)
