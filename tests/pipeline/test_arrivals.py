"""Which files of a folder are there whole. Time is a number that the tests turn."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.arrivals import Arrivals
from pipeline.errors import StorageError
from tests.pipeline.images import photo as photo_bytes


@pytest.fixture
def whole() -> bytes:
    return photo_bytes()


def test_a_file_is_ready_when_it_has_not_changed_for_a_while(tmp_path: Path, whole: bytes) -> None:
    arrivals = Arrivals(tmp_path, settle=10, patience=600)
    photo = tmp_path / "a.jpg"
    photo.write_bytes(whole[:200])
    assert arrivals.ready(0, 9) == []
    photo.write_bytes(whole[:300])
    assert arrivals.ready(9, 9) == []
    photo.write_bytes(whole)
    assert arrivals.ready(11, 9) == []  # it changed a moment ago
    assert arrivals.ready(20, 9) == []
    assert arrivals.ready(21, 9) == [photo]
    assert arrivals.ready(22, 9) == [photo]  # until somebody took it
    arrivals.taken([photo])
    assert arrivals.ready(23, 9) == []
    assert arrivals.waiting == []


def test_what_is_cut_off_waits_and_is_told_of_and_is_handed_over_in_the_end(
    tmp_path: Path, whole: bytes
) -> None:
    arrivals = Arrivals(tmp_path, settle=1, patience=600)
    photo = tmp_path / "a.jpg"
    photo.write_bytes(whole[:-50])
    arrivals.ready(0, 9)
    assert arrivals.ready(5, 9) == []
    assert arrivals.stuck(5) == [photo] == arrivals.waiting
    photo.write_bytes(whole)
    arrivals.ready(6, 9)
    assert arrivals.stuck(7) == []
    assert arrivals.ready(8, 9) == [photo]

    photo.write_bytes(b"no photo at all")
    arrivals.ready(10, 9)
    assert arrivals.ready(609, 9) == []
    assert arrivals.ready(610, 9) == [photo]


def test_a_file_that_changes_after_it_was_taken_is_ready_again(tmp_path: Path, whole: bytes) -> None:
    arrivals = Arrivals(tmp_path, settle=0, patience=600)
    photo = tmp_path / "a.jpg"
    photo.write_bytes(whole)
    assert arrivals.ready(0, 9) == [photo]
    arrivals.taken([photo])
    os.utime(photo, ns=(1, 1))
    assert arrivals.ready(1, 9) == [photo]


def test_at_most_so_many_come_at_once_and_those_that_went_away_are_forgotten(
    tmp_path: Path, whole: bytes
) -> None:
    arrivals = Arrivals(tmp_path, settle=0, patience=600)
    names = [tmp_path / f"IMG_{number}.jpg" for number in (2, 10, 30)]
    for name in names:
        name.write_bytes(whole)
    assert arrivals.ready(0, 2) == names[:2]
    arrivals.taken(names[:2])
    names[2].unlink()
    names[0].unlink()
    assert arrivals.ready(1, 2) == []
    names[0].write_bytes(whole)
    assert arrivals.ready(2, 2) == [names[0]]  # another one, of the same name


def test_a_folder_that_is_not_there_is_said_and_may_come_back(tmp_path: Path, whole: bytes) -> None:
    folder = tmp_path / "share"
    arrivals = Arrivals(folder, settle=0, patience=600)
    with pytest.raises(StorageError, match=r"share is not there: plug the disk in or mount"):
        arrivals.ready(0, 9)
    folder.mkdir()
    (folder / "a.jpg").write_bytes(whole)
    assert arrivals.ready(1, 9) == [folder / "a.jpg"]
