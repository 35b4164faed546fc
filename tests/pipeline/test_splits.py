from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from pipeline.errors import PhotoError
from pipeline.machine import default_threads
from pipeline.splits import measure, splits
from pipeline.types import Photo
from tests.pipeline.networks import tiny_config
from tests.pipeline.scenes import pots


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 6, 8, 12, 16, 64])
def test_splits_leave_no_core_idle_and_ask_for_no_more_threads_than_cores(cores: int) -> None:
    tried = splits(cores)
    assert len(tried) == len(set(tried))
    for workers, threads in tried:
        assert 1 <= threads <= cores
        assert cores - workers < workers * threads <= 2 * cores
    assert (1, cores) in tried
    assert (cores, 1) in tried
    assert all((n, default_threads(cores, n)) in tried for n, _ in tried)


def photo(path: Path, most: int | None = None) -> Photo:
    """A photo of pots, or its first `most` bytes."""
    cv2.imwrite(str(path), pots(12, 10, 5))
    content = path.read_bytes()[:most]
    path.write_bytes(content)
    return Photo(path, hashlib.sha256(content).hexdigest(), len(content))


@pytest.mark.parametrize("workers", [0, 2])
def test_speed_is_measured_over_photos_again_and_again(tmp_path: Path, workers: int) -> None:
    config = replace(tiny_config(tmp_path), workers=workers, threads=1)
    speed = measure([photo(tmp_path / "bed.png")], config, seconds=0.5)
    assert (speed.workers, speed.threads) == (workers, 1)
    assert speed.per_minute > 0  # how many there are is the machine's affair
    assert speed.megabytes > 50


def test_a_photo_that_cannot_be_counted_ends_the_measuring_with_its_sentence(tmp_path: Path) -> None:
    broken = photo(tmp_path / "bed.png", most=200)
    with pytest.raises(PhotoError, match=r"bed\.png is cut off"):
        measure([broken], replace(tiny_config(tmp_path), workers=1, threads=1), seconds=1)
