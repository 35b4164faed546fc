"""Keep originals and evidence: a folder with the same keys that a bucket would have."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import PhotoError, StorageError
from pipeline.find import printable
from pipeline.types import Photo

# Images are named after their content, so a retry anywhere gives the same name.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "images.demeter")
SUFFIX_OF_FORMAT = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "HEIF": ".heic"}
CHUNK = 1 << 20
LARGEST_STORED = 64 << 20  # bytes of what is read back whole


def image_id(sha256: str) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, sha256)


def original_key(sha256: str, suffix: str, day: dt.date) -> str:
    """`original/{YYYY}/{MM}/{DD}/{uuid}{suffix}`; `day` is fixed when the photo is first met."""
    return f"original/{day:%Y/%m/%d}/{image_id(sha256)}{suffix.lower()}"


def store_original(root: Path, key: str, photo: Photo) -> bool:
    """Copy the photo to `root/key` unless it is there; True if it was copied.

    The copy appears whole or not at all, and only if its sha256 is the photo's. What stands there with
    other bytes is replaced. Raises PhotoError when the photo is gone or has changed, StorageError when it cannot
    be kept.
    """
    target = root / key
    try:
        if _holds(target, photo):
            return False
        with _appearing(target) as copy:
            if _copy(photo.path, copy) != photo.sha256:
                raise PhotoError(f"{printable(photo.path)} changed while it was stored; run again")
    except OSError as error:
        raise StorageError(
            f"{printable(photo.path.name)} cannot be stored under {printable(root)}: {_why(error)}"
        ) from error
    return True


def evidence_key(sha256: str, session: int, day: dt.date) -> str:
    """Beside the original of the photo, one for each session in which it was counted."""
    return f"evidence/{day:%Y/%m/%d}/{image_id(sha256)}-{session}.npz"


def store_bytes(root: Path, key: str, content: bytes) -> str:
    """Put `content` at `root/key`, whole or not at all, and return its sha256. Raises StorageError."""
    try:
        with _appearing(root / key) as descriptor:
            _write(descriptor, memoryview(content))
            os.fsync(descriptor)
    except OSError as error:
        raise StorageError(f"{key} cannot be stored under {printable(root)}: {_why(error)}") from error
    return hashlib.sha256(content).hexdigest()


def read_bytes(root: Path, key: str, sha256: str) -> bytes:
    """What was stored at `root/key`. Raises StorageError when it is missing or is not what was stored."""
    try:
        with (root / key).open("rb") as stream:
            content = stream.read(LARGEST_STORED + 1)
    except FileNotFoundError as error:
        raise StorageError(
            f"the file {key} is missing under {printable(root)}; restore it from a backup"
        ) from error
    except OSError as error:
        raise StorageError(f"{key} under {printable(root)} cannot be read: {_why(error)}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise StorageError(
            f"the file {key} under {printable(root)} is not the one that was stored: its sha256 is another; "
            "restore it from a backup"
        )
    return content


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


def _holds(target: Path, photo: Photo) -> bool:
    if not target.is_file() or target.stat().st_size != photo.size:
        return False
    with target.open("rb") as stream:  # Disks rot; reading a few megabytes is cheaper than a lost original.
        return hashlib.file_digest(stream, "sha256").hexdigest() == photo.sha256


def _copy(source: Path, target: int) -> str:
    """Copy bytes, flush them to the disk, and return their sha256."""
    digest = hashlib.sha256()
    for chunk in _chunks(source):
        digest.update(chunk)
        _write(target, memoryview(chunk))
    os.fsync(target)
    return digest.hexdigest()


def _chunks(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
    except OSError as error:
        raise PhotoError(f"{printable(source)} cannot be read any more: {error.strerror}; run again") from error


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
