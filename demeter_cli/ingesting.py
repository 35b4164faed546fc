"""Photos that arrive: stored and registered, or read back from the store to be counted."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from pipeline.find import OWN_MARK, printable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.stored import StoredPhoto
    from demeter_cli.locating import Locator
    from demeter_cli.settings import Settings
    from pipeline.storage import Store
    from pipeline.types import Photo, PhotoFailure, PhotoInfo


def staged(
    connection: Connection, store: Store, folder: Path, photos: Sequence[StoredPhoto]
) -> Iterator[Photo | PhotoFailure]:
    """Stored originals as files in `folder`, under the names that they came with; whoever is done with one
    removes it.

    Of a store that is a folder they are links, from a bucket they are fetched, one by one.
    """
    from db.stored import mark_lost
    from pipeline.errors import StorageError
    from pipeline.types import Photo, PhotoFailure

    for number, one in enumerate(photos):
        path = folder / str(number) / Path(one.name).name
        path.parent.mkdir()
        photo = Photo(path, one.sha256, one.size)
        try:
            here = store.local(one.key)
            if here is None:
                store.fetch(one.key, path)
            elif here.is_file():
                path.symlink_to(here)
            else:
                raise StorageError(f"the original of {printable(one.name)} is missing: {printable(here)}")
        except StorageError as error:
            mark_lost(connection, one.image, str(error))
            yield PhotoFailure(photo, str(error))
            continue
        yield photo


def move_aside(failure: PhotoFailure, folder: Path) -> Path | None:
    """Move a file that is no photo into `folder`, with the reason beside it; None if it cannot be moved.

    Names that are taken there get a number. The reason is written first, so that no file lies there without
    one.
    """
    source = failure.photo.path
    if not source.is_file() or source.is_symlink():
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / OWN_MARK).touch()  # should it lie among photos, nobody finds them there again
        target, number = folder / source.name, 1
        while target.exists() or target.with_name(f"{target.name}.reason").exists():
            target, number = folder / f"{source.stem}-{number}{source.suffix}", number + 1
        reason = target.with_name(f"{target.name}.reason")
        reason.write_text(f"{failure.reason}\nFrom: {printable(source)}\n", encoding="utf-8")
        try:
            shutil.move(source, target)
        except OSError:
            reason.unlink()
            raise
    except OSError:
        return None
    return target


@dataclass(slots=True)
class Ingest:
    """One call of `demeter ingest`: every photo is stored, thumbnailed and located, and none is counted."""

    connection: Connection
    settings: Settings
    store: Store
    locator: Locator
    user: int
    rows: list[dict[str, Any]] = field(default_factory=list)

    def run(self, paths: Sequence[str]) -> None:
        from demeter_cli import output
        from pipeline.errors import PhotoError
        from pipeline.find import count_photos, find_photos
        from pipeline.types import PhotoFailure

        with output.photo_progress(count_photos(paths)) as advance:
            for found in find_photos(paths):
                if isinstance(found, PhotoFailure):
                    self._failed(found)
                else:
                    try:
                        self.rows.append(self._take(found))
                    except PhotoError as error:
                        self._failed(PhotoFailure(found, str(error)))
                advance(0)

    def _take(self, photo: Photo) -> dict[str, Any]:
        """Raises PhotoError when the file is no photo, and StorageError when it cannot be stored."""
        from db.sessions import Stored
        from db.stored import register, save_stored
        from pipeline.codes import read_codes
        from pipeline.decode import decode
        from pipeline.exif import read_info
        from pipeline.storage import SUFFIX_OF_FORMAT, image_id, original_key, thumbnail_key
        from pipeline.thumbnail import SUFFIX, make_thumbnail

        info = read_info(photo.path)
        most = int(self.settings.max_megapixels * 1e6)
        pixels = decode(photo.path, max_pixels=most, min_side=self.settings.min_side, sha256=photo.sha256)
        located = self.locator.locate(photo.path, photo.sha256, read_codes(pixels))
        row = register(self.connection, image_id(photo.sha256), photo, self.user)
        told = {
            "photo": printable(photo.path),
            "sha256": photo.sha256,
            "place": located.place.code if located.place else None,
            "located_by": located.by,
            "status": "stored" if row.new else "known",
            "warnings": list(located.warnings),
            "error": None,
        }
        if not row.new:
            return told
        day = row.first_met.date()
        key = original_key(photo.sha256, SUFFIX_OF_FORMAT.get(info.format, photo.path.suffix), day)
        small = thumbnail_key(photo.sha256, SUFFIX, day)
        self.store.put_file(key, photo.path, photo.sha256)
        self.store.put_bytes(small, make_thumbnail(pixels))
        stored = Stored(key, None, taken_at(info, self.settings), None, small)
        place = (located.place, located.by) if located.place and located.by else None
        save_stored(self.connection, row.image, info, stored, place)
        return told

    def _failed(self, failure: PhotoFailure) -> None:
        from demeter_cli import output

        output.report_failure(failure)
        if self.settings.rejected_dir is not None:
            move_aside(failure, self.settings.rejected_dir)
        self.rows.append(
            {
                "photo": printable(failure.photo.path),
                **dict.fromkeys(("sha256", "place", "located_by")),
                "status": "failed",
                "warnings": [],
                "error": failure.reason,
            }
        )


def taken_at(info: PhotoInfo, settings: Settings) -> dt.datetime | None:
    """When the photo was taken; a camera that names no zone is at the site."""
    taken = info.taken_at
    return taken.replace(tzinfo=ZoneInfo(settings.timezone)) if taken and taken.tzinfo is None else taken
