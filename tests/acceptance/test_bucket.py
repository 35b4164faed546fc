"""A nursery that keeps its photos in a bucket."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.storage import Store, open_store
from tests.acceptance.conftest import Site
from tests.buckets import BUCKET, KEYS, fault_proxy, options, s3_server


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as url:
        yield url


def in_bucket(site: Site, url: str) -> tuple[Site, Store]:
    place = f"s3://{BUCKET}/{site.folder.name}"
    settings = {
        "DEMETER_STORAGE_URL": place,
        "DEMETER_S3_ENDPOINT": url,
        "DEMETER_S3_ACCESS_KEY": KEYS["access_key"],
        "DEMETER_S3_SECRET_KEY": KEYS["secret_key"],
        "DEMETER_S3_TIMEOUT": "2",
        "DEMETER_S3_ATTEMPTS": "2",
    }
    return site.but(**settings), open_store(place, site.folder, options(url))


def test_photos_go_into_the_bucket_and_are_estimated_and_explained_from_it(
    site: Site, endpoint: str, crops: list[Path]
) -> None:
    site, store = in_bucket(site, endpoint)
    shutil.copy(crops[0], site.folder / "N01-NORTE-C01.jpg")
    first = site.run("process", "N01-NORTE-C01.jpg", "--format", "json")
    assert first.code == 0, first.err
    kinds = ("original", "thumbnail", "processed", "evidence")
    assert [len(list(store.files(kind))) for kind in kinds] == [1, 1, 1, 1]
    assert first.json["photos"][0]["overlay"].startswith(f"{store.name}/processed/")
    assert not list((site.folder / "data").rglob("*.jpg"))
    [original] = store.files("original")
    assert store.read_bytes(original.key) == crops[0].read_bytes()

    again = site.run("estimate", "--dry-run", "--format", "json")
    assert again.code == 0, again.err
    explained = site.run("explain", "N01-NORTE-C01", "--format", "json")
    assert original.key in explained.out


def test_a_bucket_that_does_not_answer_loses_nothing(site: Site, endpoint: str, crops: list[Path]) -> None:
    with fault_proxy(endpoint) as (url, faults):
        site, store = in_bucket(site, url)
        faults.always, faults.method = 503, "PUT"
        for number, crop in enumerate(crops[:2], 1):
            shutil.copy(crop, site.folder / f"N01-NORTE-C0{number}.jpg")
        failed = site.run("process", ".")
        assert failed.code == 5, failed.err
        assert "cannot be stored in s3://" in failed.err
        assert site.run("report", "stock", "--format", "json").json == []

        faults.always = None
        # Of this machine's circuit, which is open for a minute.
        shutil.rmtree(Path(site.settings["DEMETER_DATA_DIR"]) / "state")
        done = site.run("process", ".", "--format", "json")
        assert done.code == 0, done.err
        assert {row["status"] for row in done.json["photos"]} <= {"completed", "warning"}
        assert len(list(store.files("original"))) == 2
