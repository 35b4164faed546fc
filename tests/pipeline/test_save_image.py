"""Pictures that we write: whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.decode import decode, save_image
from pipeline.errors import StorageError
from tests.pipeline import images
from tests.pipeline.test_decode import UPRIGHT, read


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".webp"])
def test_a_picture_is_written_by_its_suffix_and_read_again(tmp_path: Path, suffix: str) -> None:
    pixels = read(tmp_path, images.photo("PNG"))
    path = tmp_path / f"niñera\n{suffix}"
    save_image(path, pixels)
    save_image(path, pixels)
    again = decode(path, max_pixels=10_000, min_side=16)
    assert images.corners(again) == UPRIGHT
    assert sorted(tmp_path.iterdir()) == sorted([path, tmp_path / "photo.jpg"])
    assert path.stat().st_mode & 0o444 == (tmp_path / "photo.jpg").stat().st_mode & 0o444


def test_a_picture_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    pixels = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(StorageError, match="No such file or directory"):
        save_image(tmp_path / "nowhere" / "a.jpg", pixels)
    (tmp_path / "a.jpg").mkdir()
    with pytest.raises(StorageError, match="cannot be written"):
        save_image(tmp_path / "a.jpg", pixels)
    with pytest.raises(StorageError, match="20000×10 pixels do not fit"):
        save_image(tmp_path / "b.webp", np.zeros((10, 20_000, 3), np.uint8))
    assert list(tmp_path.iterdir()) == [tmp_path / "a.jpg"]


def test_a_full_disk_is_said_and_the_old_picture_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    save_image(path, np.zeros((48, 64, 3), np.uint8))
    before = path.read_bytes()
    program = (
        "import resource, sys, signal, pathlib\n"
        "import numpy as np\n"
        "from pipeline.decode import save_image\n"
        "from pipeline.errors import StorageError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"  # no file may grow beyond 1,000 bytes
        "noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)\n"
        "try: save_image(pathlib.Path(sys.argv[1]), noise)\n"
        "except StorageError as error: sys.stdout.write(str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert f"{path} cannot be written: File too large" in done.stdout
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
