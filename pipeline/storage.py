"""Where the files of photos are kept: a folder, or a bucket with the same keys.

Keys are made here and nowhere else. What is stored appears whole or not at all, and only with the sha256
that it should have; whoever writes a row that names a key stores the file first.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from pipeline.errors import PhotoError, StorageError
from pipeline.find import printable

# Images are named after their content, so a retry anywhere gives the same name.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "images.demeter")
SUFFIX_OF_FORMAT = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "HEIF": ".heic"}
ORIGINALS, THUMBNAILS, OVERLAYS, EVIDENCE, FOUND = (
    "original",
    "thumbnail",
    "processed",
    "evidence",
    "lost+found",
)
KINDS = (ORIGINALS, THUMBNAILS, OVERLAYS, EVIDENCE)
CHUNK = 1 << 20
LARGEST_STORED = 64 << 20  # bytes of what is read back whole


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What stands at a key. `sha256` is what the store remembers of it, None if it remembers nothing: the
    bytes themselves are only known once they are read."""

    key: str
    size: int
    modified: dt.datetime
    sha256: str | None = None


class Store(Protocol):
    """A folder or a bucket. Every method raises StorageError when the place cannot be used."""

    @property
    def name(self) -> str:
        """What people call it: a path or a URL."""

    def put_file(self, key: str, source: Path, sha256: str) -> bool:
        """Copy a file to `key` unless the same bytes are there; True if it was copied.

        What stands there with other bytes is replaced. Raises PhotoError when the source is gone or its bytes
        are others than `sha256` says.
        """

    def put_bytes(self, key: str, content: bytes) -> str:
        """Put `content` at `key` and return its sha256."""

    def read_bytes(self, key: str, sha256: str | None = None) -> bytes:
        """What is stored at `key`, at most LARGEST_STORED bytes. Also raises StorageError when it is
        missing or when its bytes are others than `sha256` says."""

    def fetch(self, key: str, target: Path) -> str:
        """Copy what is stored at `key` to a file and return its sha256. Also raises StorageError when it
        is missing."""

    def stat(self, key: str) -> StoredFile | None:
        """None where nothing is stored."""

    def files(self, prefix: str) -> Iterator[StoredFile]:
        """All that is stored below `prefix/`, in no particular order."""

    def move(self, key: str, to: str) -> None:
        """Give a stored file another key."""

    def delete(self, key: str) -> None:
        """Remove what is stored, if anything is."""

    def tidy(self, before: dt.datetime, *, dry_run: bool = False) -> list[StoredFile]:
        """Remove what was begun before then and never came to stand at its key, and say what it was."""

    def where(self, key: str) -> str:
        """A path or a URL, to show."""

    def local(self, key: str) -> Path | None:
        """Where the file lies on this machine; None for a bucket."""


def image_id(sha256: str) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, sha256)


def original_key(sha256: str, suffix: str, day: dt.date) -> str:
    """`original/{YYYY}/{MM}/{DD}/{uuid}{suffix}`; `day` is fixed when the photo is first met."""
    return f"{ORIGINALS}/{day:%Y/%m/%d}/{image_id(sha256)}{suffix.lower()}"


def thumbnail_key(sha256: str, suffix: str, day: dt.date) -> str:
    """As the original's key, in a tree of its own."""
    return f"{THUMBNAILS}/{day:%Y/%m/%d}/{image_id(sha256)}{suffix}"


def evidence_key(sha256: str, session: int, day: dt.date) -> str:
    """One for each session in which a photo was counted."""
    return f"{EVIDENCE}/{day:%Y/%m/%d}/{image_id(sha256)}-{session}.npz"


def proper(key: str) -> str:
    """The key, if it is one that may be joined to a folder or a bucket. Raises StorageError.

    Keys come back from databases and lists; none of them may lead out of the store.
    """
    parts = PurePosixPath(key).parts
    if not parts or key.startswith("/") or ".." in parts or "\\" in key or "\x00" in key or len(key) > 512:
        raise StorageError(f"{printable(key)!r} is no key of a stored file")
    return key


@contextmanager
def as_file(store: Store, key: str, sha256: str | None = None) -> Iterator[Path]:
    """What is stored at `key` as a file to read, for as long as the context lasts.

    Raises StorageError when it is missing or, if `sha256` is given, when its bytes are others.
    """
    here = store.local(key)
    if here is not None and sha256 is None:
        yield here
        return
    with tempfile.TemporaryDirectory(prefix="demeter-") as folder:
        copy = here or Path(folder) / PurePosixPath(key).name
        found = sha256_of(here) if here is not None else store.fetch(key, copy)
        if sha256 is not None and found != sha256:
            raise other_bytes(store, key)
        yield copy


def open_store(
    url: str | None, folder: Path, s3: S3Options | None = None, state: Path | None = None
) -> Store:
    """The store that a setting names: nothing for `folder`, a path, or `s3://bucket/prefix`.

    `state` is a folder in which all processes of this machine share what they know of a bucket that does not
    answer. Raises StorageError for a URL of another kind.
    """
    from pipeline.folder_store import FolderStore

    if not url:
        return FolderStore(folder)
    scheme, separator, rest = url.partition("://")
    if not separator:
        return FolderStore(Path(url).expanduser().absolute())
    if scheme == "file":
        return FolderStore(Path(rest))
    if scheme != "s3" or not rest.strip("/"):
        raise StorageError(f"{url!r} is no place for photos: name a folder, or s3://bucket/prefix")
    from pipeline.s3_store import S3Store

    bucket, _, prefix = rest.partition("/")
    return S3Store.connect(bucket, prefix.strip("/"), s3 or S3Options(), state)


@dataclass(frozen=True, slots=True)
class S3Options:
    """How a bucket is reached. What is None is left to boto3: its files, variables and the machine's role."""

    endpoint: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    encryption: str | None = None  # AES256 or aws:kms
    kms_key: str | None = None
    timeout: float = 30.0  # seconds without a byte
    attempts: int = 5  # of one request, with full jitter between them


def sha256_of(path: Path) -> str:
    """Raises StorageError."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise StorageError(f"the file {printable(path)} is missing; restore it from a backup") from error
    except OSError as error:
        raise StorageError(f"{printable(path)} cannot be read: {error.strerror}") from error


def chunks_of(source: Path) -> Iterator[bytes]:
    """The bytes of a photo that is about to be stored. Raises PhotoError when it is gone."""
    try:
        with source.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
    except OSError as error:
        raise PhotoError(
            f"{printable(source)} cannot be read any more: {error.strerror}; run again"
        ) from error


def changed(source: Path) -> PhotoError:
    return PhotoError(f"{printable(source)} changed while it was stored; run again")


def missing(store: Store, key: str) -> StorageError:
    return StorageError(f"the file {key} is missing under {printable(store.name)}; restore it from a backup")


def other_bytes(store: Store, key: str) -> StorageError:
    return StorageError(
        f"the file {key} under {printable(store.name)} is not the one that was stored: its sha256 is another;"
        " restore it from a backup"
    )
