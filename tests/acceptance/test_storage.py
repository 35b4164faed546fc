"""demeter storage: what the rows say against what is there, and a site that moves."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.acceptance.conftest import Site
from tests.buckets import BUCKET, KEYS, s3_server
from tests.cli.shop import Shop


@pytest.fixture
def shop(site: Site, crops: list[Path], monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A nursery with two counted photos, and its commands in this process."""
    for number, crop in enumerate(crops[:2], 1):
        shutil.copy(crop, site.folder / f"N01-NORTE-C0{number}.jpg")
    monkeypatch.chdir(site.folder)
    names = ("DEMETER_DATA_DIR", "XDG_CACHE_HOME")
    shop = Shop(site.settings["DEMETER_DATABASE_URL"], {name: site.settings[name] for name in names})
    shop.done("process", ".", "--workers", "0")
    return shop


def stored(shop: Shop, kind: str) -> list[Path]:
    folder = Path(shop.settings["DEMETER_DATA_DIR"]) / "photos" / kind
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def test_files_are_as_the_rows_say(shop: Shop) -> None:
    told = shop.run("storage", "check", "--deep")
    assert (told.code, told.err) == (0, "")
    assert "8 files in" in told.out


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes((content[-1] ^ 1,)))


LOSSES = [
    ("thumbnail", Path.unlink, "missing", "made again"),
    ("processed", Path.unlink, "missing", "no row names it any more"),
    ("evidence", flip, "other bytes", "no row names it any more"),
    ("original", flip, "other bytes", "no row names it any more"),
    ("original", Path.unlink, "missing", "no row names it any more"),
]


def test_a_loss_is_told_mended_and_told_no_more(shop: Shop) -> None:
    for kind, damage, problem, done in LOSSES:
        damage(stored(shop, kind)[0])
        told = shop.run("storage", "check", "--deep", "--format", "json")
        assert told.code == 9
        [row] = told.json
        assert (row["problem"], row["done"]) == (problem, "")
        told = shop.run("storage", "check", "--deep", "--repair", "--format", "json")
        assert (told.code, [row["done"] for row in told.json]) == (0, [done])
        assert shop.run("storage", "check", "--deep").code == 0
    # The books do not change with it, and what was damaged is kept.
    assert len(shop.done("report", "stock")) == 2
    assert len(stored(shop, "lost+found")) == 2


def test_an_original_that_comes_back_is_taken_up_and_what_nobody_knows_is_kept_aside(shop: Shop) -> None:
    [original, _] = stored(shop, "original")
    away = original.rename(original.with_name(".away"))
    shop.run("storage", "check", "--repair")
    away.rename(original)
    stranger = original.with_name("00000000-0000-5000-8000-000000000000.jpg")
    stranger.write_bytes(b"whose?")
    told = shop.run("storage", "check", "--format", "json")
    assert told.code == 0  # both are younger than a day
    for path in (original, stranger):
        os.utime(path, (1e9, 1e9))
    told = shop.run("storage", "check", "--repair", "--format", "json")
    assert sorted(row["done"] for row in told.json) == ["found again", "moved to lost+found"]
    assert shop.run("storage", "check", "--deep").code == 0
    assert original in stored(shop, "original")
    assert stored(shop, "lost+found")[0].read_bytes() == b"whose?"


def test_an_empty_disk_is_not_taken_for_a_loss(shop: Shop, site: Site, crops: list[Path]) -> None:
    for number, crop in enumerate(crops[2:4], 3):
        shutil.copy(crop, site.folder / f"N01-NORTE-C0{number}.jpg")
    shop.done("process", ".", "--workers", "0")
    photos = Path(shop.settings["DEMETER_DATA_DIR"]) / "photos"
    photos.rename(photos.with_name("elsewhere"))
    told = shop.run("storage", "check", "--repair")
    assert told.code == 9
    assert "16 of 16 files are missing" in told.err
    photos.with_name("elsewhere").rename(photos)
    assert shop.run("storage", "check").code == 0


def test_a_site_moves_into_a_bucket_and_back(shop: Shop, tmp_path: Path) -> None:
    with s3_server() as url:
        bucket = f"s3://{BUCKET}/site"
        s3 = {
            "DEMETER_S3_ENDPOINT": url,
            "DEMETER_S3_ACCESS_KEY": KEYS["access_key"],
            "DEMETER_S3_SECRET_KEY": KEYS["secret_key"],
        }
        there = Shop(shop.url, shop.settings | s3)
        planned = there.done("storage", "push", "--to", bucket, "--dry-run")
        assert [row["copied"] for row in planned] == [2, 2, 2, 2]
        assert there.done("storage", "push", "--to", bucket) == planned
        assert [row["copied"] for row in there.done("storage", "push", "--to", bucket)] == [0, 0, 0, 0]

        moved = Shop(shop.url, there.settings | {"DEMETER_STORAGE_URL": bucket})
        assert moved.run("storage", "check", "--deep").code == 0
        shutil.rmtree(Path(shop.settings["DEMETER_DATA_DIR"]) / "photos")
        there.done("storage", "pull", "--from", bucket, "--delete-source")
        assert shop.run("storage", "check", "--deep").code == 0
        assert moved.run("storage", "check").code == 9


@pytest.mark.parametrize("url", ["ftp://host/x", "s3://"])
def test_a_place_that_is_none_is_refused(shop: Shop, url: str) -> None:
    told = shop.run("storage", "push", "--to", url)
    assert told.code in (2, 3, 5)
    assert url in told.err
