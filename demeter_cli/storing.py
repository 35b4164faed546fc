"""What `demeter storage` does: compare the store with the rows that name its files, mend, and move a site."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.files import NamedFile
    from demeter_cli.settings import Settings
    from pipeline.storage import Store, StoredFile

# Beyond these, files are rather mislaid (another disk, another bucket) than lost.
MOST_LOST, MOST_LOST_SHARE = 10, 0.1
GRACE = dt.timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Depth:
    """How closely files are looked at: their sha256 too for this share, and orphans older than `grace`."""

    share: float = 0.0
    grace: dt.timedelta = GRACE


@dataclass(slots=True)
class StorageCheck:
    """One comparison. `rows` are the differences, each with what was done about it."""

    connection: Connection
    settings: Settings
    store: Store
    depth: Depth
    rows: list[dict[str, Any]] = field(default_factory=list)
    files: int = 0

    def run(self, *, repair: bool) -> None:
        """Find all differences, then mend them if asked. Raises Refused if so much is missing that another
        store must be meant."""
        from db.files import images_without_original, named_files
        from pipeline.storage import KINDS

        there = {one.key: one for kind in KINDS for one in self.store.files(kind)}
        self.files = len(there)
        with self.connection.begin():
            named = list(named_files(self.connection))
            lost_before = images_without_original(self.connection)
        differing = [(one, problem) for one in named if (problem := self._problem(one, there.get(one.key)))]
        missing = sum(problem == "missing" for _, problem in differing)
        if repair and missing > max(MOST_LOST, MOST_LOST_SHARE * len(named)):
            from db.errors import Refused

            raise Refused(
                f"{missing} of {len(named)} files are missing in {self.store.name}: that is rather another"
                " store than a loss; nothing was changed. Correct storage_url, or bring the files back"
            )
        for one, problem in differing:
            done = self._mend(one, problem) if repair else ""
            self._add(one.kind.value, one.key, one.session, problem, done)
        known = {one.key for one in named}
        for orphan in self._orphans(there, known):
            done = self._put_away(orphan, lost_before) if repair else ""
            self._add(orphan.key.partition("/")[0], orphan.key, None, "no row names it", done)

    @property
    def unmended(self) -> int:
        return sum(not row["done"] for row in self.rows)

    def _problem(self, named: NamedFile, there: StoredFile | None) -> str:
        """Empty where the file is as its row says."""
        if there is None:
            return "missing"
        if named.size is not None and there.size != named.size:
            return f"{there.size} bytes instead of {named.size}"
        if named.sha256 is None or random.random() >= self.depth.share:  # noqa: S311  a sample, no secret
            return ""
        return "" if self._sha256(named.key) == named.sha256 else "other bytes"

    def _sha256(self, key: str) -> str:
        from pipeline.storage import as_file, sha256_of

        with as_file(self.store, key) as path:
            return sha256_of(path)

    def _orphans(self, there: dict[str, StoredFile], known: set[str]) -> Iterator[StoredFile]:
        """What no row names. A run stores first and saves then, so what is young may still get its row."""
        now = dt.datetime.now(dt.UTC)
        for key in sorted(there.keys() - known):
            if now - there[key].modified > self.depth.grace:
                yield there[key]

    def _mend(self, one: NamedFile, problem: str) -> str:
        from db.files import FileKind, forget_file, stored_image

        if problem != "missing" and one.kind in (FileKind.ORIGINAL, FileKind.EVIDENCE):
            self._quarantine(one.key)
        with self.connection.begin():
            image = stored_image(self.connection, one.image)
        if one.kind is FileKind.THUMBNAIL and image and image.original_key and self._draw(image, one.key):
            return "made again"
        with self.connection.begin():
            forget_file(self.connection, one)
        return "no row names it any more"

    def _draw(self, image: Any, key: str) -> bool:
        """Make a thumbnail again from the original, if that can be read."""
        from pipeline.decode import decode
        from pipeline.errors import PhotoError, StorageError
        from pipeline.storage import as_file
        from pipeline.thumbnail import make_thumbnail

        try:
            with as_file(self.store, image.original_key, image.sha256) as path:
                most = int(self.settings.max_megapixels * 1e6)
                pixels = decode(path, max_pixels=most, min_side=1, sha256=None)
        except (PhotoError, StorageError):
            return False
        self.store.put_bytes(key, make_thumbnail(pixels))
        return True

    def _put_away(self, orphan: StoredFile, lost: dict[UUID, str]) -> str:
        """An original whose image lost its file is found again; anything else is kept aside."""
        from db.files import found_again
        from pipeline.storage import ORIGINALS

        image = _image_of(orphan.key)
        if (
            orphan.key.startswith(f"{ORIGINALS}/")
            and image in lost
            and self._sha256(orphan.key) == lost[image]
        ):
            with self.connection.begin():
                found_again(self.connection, image, orphan.key)
            return "found again"
        self._quarantine(orphan.key)
        return "moved to lost+found"

    def _quarantine(self, key: str) -> None:
        from pipeline.storage import FOUND

        self.store.move(key, f"{FOUND}/{key}")

    def _add(self, kind: str, key: str, session: int | None, problem: str, done: str) -> None:
        self.rows.append({"kind": kind, "key": key, "photo": session, "problem": problem, "done": done})


def _image_of(key: str) -> UUID | None:
    try:
        return UUID(PurePosixPath(key).stem)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of the files of one kind; bytes are those that were copied."""

    kind: str
    files: int
    copied: int
    bytes: int


def copy_store(
    source: Store, target: Store, hashes: dict[str, str], *, dry_run: bool, delete: bool
) -> Iterator[Copied]:
    """Copy every file that the other store lacks, kind by kind, each compared by its sha256.

    `hashes` are those that rows know, so that a damaged file is told instead of copied; raises StorageError
    for it. With `delete`, a file is removed from the source once the target has it.
    """
    from pipeline.storage import KINDS, as_file, sha256_of

    for kind in KINDS:
        files = copied = size = 0
        for one in source.files(kind):
            files += 1
            if dry_run:
                there = target.stat(one.key)
                new = there is None or there.size != one.size
            else:
                with as_file(source, one.key, hashes.get(one.key)) as path:
                    new = target.put_file(one.key, path, hashes.get(one.key) or sha256_of(path))
            copied += new
            size += one.size if new else 0
            if delete and not dry_run:
                source.delete(one.key)
        yield Copied(kind, files, copied, size)
