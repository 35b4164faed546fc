from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import PhotoError, StorageError
from pipeline.folder_store import FolderStore
from pipeline.storage import image_id, original_key
from pipeline.types import Photo

KEY = "original/2026/03/01/name.jpg"


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    path = tmp_path / "IMG 1.jpg"
    content = bytes(range(256)) * 8192  # 2 MB, so that it takes more than one read
    path.write_bytes(content)
    return Photo(path, hashlib.sha256(content).hexdigest(), len(content))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def store_original(root: Path, key: str, photo: Photo) -> bool:
    return FolderStore(root).put_file(key, photo.path, photo.sha256)


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and path != root / KEY]


def test_an_image_has_the_same_id_for_ever() -> None:
    """The ids are in databases and in the names of stored files: this may never change."""
    sha256 = hashlib.sha256(b"a photo").hexdigest()
    assert image_id(sha256) == image_id(sha256) == uuid.UUID("946811a6-31d6-5ea0-87a3-9080211616dc")
    assert image_id(sha256).version == 5
    assert image_id(hashlib.sha256(b"another").hexdigest()) != image_id(sha256)


def test_a_key_is_a_day_and_an_id() -> None:
    key = original_key("ab" * 32, ".JPG", dt.date(2026, 3, 1))
    assert re.fullmatch(r"original/2026/03/01/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.jpg", key)
    assert str(image_id("ab" * 32)) in key


def test_a_photo_is_copied_once(root: Path, photo: Photo) -> None:
    assert store_original(root, KEY, photo) is True
    assert (root / KEY).read_bytes() == photo.path.read_bytes()
    assert store_original(root, KEY, photo) is False
    assert leftovers(root) == []


@pytest.mark.parametrize("damage", ["short", "long", "other bytes", "empty"])
def test_a_damaged_copy_is_replaced(root: Path, photo: Photo, damage: str) -> None:
    content = photo.path.read_bytes()
    (root / KEY).parent.mkdir(parents=True)
    (root / KEY).write_bytes(
        {
            "short": content[:-1],
            "long": content + b"x",
            "other bytes": content[:-1] + b"x",
            "empty": b"",
        }[damage]
    )
    assert store_original(root, KEY, photo) is True
    assert (root / KEY).read_bytes() == content
    assert leftovers(root) == []


def test_a_photo_that_changed_since_it_was_found_is_not_stored(root: Path, photo: Photo) -> None:
    photo.path.write_bytes(photo.path.read_bytes()[:-1] + b"x")
    with pytest.raises(PhotoError, match=r"IMG 1\.jpg changed while it was stored; run again"):
        store_original(root, KEY, photo)
    assert not (root / KEY).exists()
    assert leftovers(root) == []


def test_a_photo_that_went_away_is_named(root: Path, photo: Photo) -> None:
    photo.path.unlink()
    with pytest.raises(PhotoError, match=r"IMG 1\.jpg cannot be read any more: No such file"):
        store_original(root, KEY, photo)
    assert leftovers(root) == []


def test_a_file_where_the_folder_should_be_is_a_sentence(root: Path, photo: Photo) -> None:
    root.write_text("not a folder")
    with pytest.raises(StorageError, match=r"cannot be stored under .*store"):
        store_original(root, KEY, photo)


def test_a_folder_where_the_copy_should_be_is_a_sentence(root: Path, photo: Photo) -> None:
    (root / KEY).mkdir(parents=True)
    with pytest.raises(StorageError, match="Is a directory"):
        store_original(root, KEY, photo)
    assert leftovers(root) == []


def test_the_message_is_one_line_whatever_the_name(tmp_path: Path, root: Path, photo: Photo) -> None:
    root.touch()
    odd = photo.path.rename(tmp_path / os.fsdecode(b"two\nlines \xe9.jpg"))
    with pytest.raises(StorageError, match=r"two\\nlines \\xe9\.jpg cannot be stored") as caught:
        store_original(root, KEY, replace(photo, path=odd))
    str(caught.value).encode("utf-8")


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        made = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        made = False
    if not made:
        pytest.skip("mounting a small file system is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_and_nothing_half_written_stays(mount: Path, photo: Photo) -> None:
    with pytest.raises(StorageError, match=r"the disk is full; make room or set DEMETER_DATA_DIR"):
        store_original(mount, KEY, photo)
    assert leftovers(mount) == []


def test_a_read_only_disk_is_said(mount: Path, photo: Photo) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    with pytest.raises(StorageError, match=r"cannot be stored under .*small: Read-only file system"):
        store_original(mount, KEY, photo)
