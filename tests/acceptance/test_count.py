"""demeter count: no database, nothing stored."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.acceptance.conftest import EXAMPLES, Site, black
from tests.acceptance.test_process import PHOTO_KEYS, STOCK_KEYS, put

KEYS = [
    *("photo", "sha256", "width", "height", "taken_at", "gps", "status", "warnings", "error", "seen"),
    *(
        "hidden",
        "total",
        "low",
        "high",
        "empty_containers",
        "model",
        "seconds",
        "stages",
        "overlay",
        "containers",
    ),
    *("main", "dead", "empty_pots", "findings", "unlikeness"),
]
CONTAINER_KEYS = [
    *("kind", "polygon", "seen", "hidden", "total", "low", "high"),
    *("role", "dead", "empty_pots", "cells", "empty_cells"),
]
MAIN_KEYS = ["seen", "hidden", "total", "low", "high"]
FINDING_KEYS = ["check", "severity", "sentence", "value"]
BOX_KEYS = ["x1", "y1", "x2", "y2", "score", "kind"]


def test_counting_needs_no_database_and_prints_the_documented_json(tmp_path: Path, crops: list[Path]) -> None:
    site = Site(tmp_path)
    put(site, crops[2], "IMG_1.jpg")
    finished = site.run("count", "IMG_1.jpg", "--format", "json", "--boxes", "--draw", "pictures")
    assert finished.code == 0, finished.err
    (photo,) = finished.json

    assert list(photo) == [*KEYS, "detections"]
    assert (photo["width"], photo["height"]) == (600, 500)
    assert len(photo["detections"]) == photo["seen"] == sum(c["seen"] for c in photo["containers"]) > 0
    assert photo["total"] == photo["seen"] + photo["hidden"] == sum(c["total"] for c in photo["containers"])
    assert list(photo["containers"][0]) == CONTAINER_KEYS
    assert list(photo["main"]) == MAIN_KEYS
    own = [container for container in photo["containers"] if container["role"] == "main"]
    assert photo["main"]["total"] == sum(container["total"] for container in own)
    assert photo["main"]["low"] <= photo["main"]["total"] <= photo["main"]["high"]
    for box in photo["detections"]:
        assert list(box) == BOX_KEYS
        assert 0 <= box["x1"] < box["x2"] <= 600
        assert 0 <= box["y1"] < box["y2"] <= 500
    assert Path(photo["overlay"]).is_absolute() or (tmp_path / photo["overlay"]).is_file()


def test_a_photo_that_cannot_be_counted_has_the_same_keys(tmp_path: Path, crops: list[Path]) -> None:
    site = Site(tmp_path)
    (tmp_path / "IMG_1.jpg").write_text("no photo")
    finished = site.run("count", ".", "-f", "json")

    assert finished.code == 8
    assert [list(row) for row in finished.json] == [KEYS]
    assert finished.json[0]["total"] is None
    assert "IMG_1.jpg" in finished.json[0]["error"]


def test_the_table_gives_the_beds_count_and_tells_of_its_neighbours(tmp_path: Path) -> None:
    site = Site(tmp_path)
    put(site, EXAMPLES / "IMG_20260628_1142.jpg", "IMG_1.jpg")
    (row,) = csv.DictReader(io.StringIO(site.run("count", ".", "-f", "csv").out))
    beyond = int(row["total"]) - int(row["main_total"])
    assert beyond > 100
    for columns in ("40", "80", "120"):
        table = site.but(COLUMNS=columns).run("count", ".")
        (line,) = (line for line in table.out.splitlines() if line.startswith("IMG_1.jpg "))
        assert row["main_total"] in line.split()
        assert row["total"] not in line.split()
        assert f"1 photo shows {beyond} more plants in neighbouring beds" in table.out


def test_a_photo_that_shows_nothing_is_refused_with_a_sentence_and_has_no_figures(tmp_path: Path) -> None:
    site = Site(tmp_path)
    black(site, "IMG_1.jpg")
    finished = site.run("count", ".", "-f", "json")
    (row,) = finished.json

    assert finished.code == 0, finished.err
    assert list(row) == KEYS
    assert (row["status"], row["total"], row["main"], row["dead"], row["unlikeness"]) == (
        "refused",
        *[None] * 4,
    )
    (found,) = row["findings"]
    assert list(found) == FINDING_KEYS
    assert (found["check"], found["severity"]) == ("unreadable", "refusal")
    assert row["warnings"] == [found["sentence"]]
    warned = site.but(DEMETER_GATE_UNREADABLE="warn").run("count", ".", "-f", "json").json[0]
    assert warned["total"] is not None
    assert "unreadable" in {found["check"] for found in warned["findings"] if found["severity"] == "warning"}


@pytest.mark.parametrize(
    "key", [*KEYS, *CONTAINER_KEYS, *MAIN_KEYS, *FINDING_KEYS, *BOX_KEYS, *PHOTO_KEYS, *STOCK_KEYS]
)
def test_every_key_is_documented(key: str) -> None:
    assert f"`{key}`" in (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("output_format", ["table", "csv", "json"])
def test_a_reader_that_has_seen_enough_is_no_bug(
    tmp_path: Path, crops: list[Path], output_format: str
) -> None:
    site = Site(tmp_path)
    put(site, crops[0], "IMG_1.jpg")
    process = site.start("count", "IMG_1.jpg", "-f", output_format)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # as `head` does

    assert process.wait(timeout=120) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_workers_do_not_change_the_count(tmp_path: Path, crops: list[Path]) -> None:
    site = Site(tmp_path)
    for number, crop in enumerate(crops[:3]):
        put(site, crop, f"IMG_{number}.jpg")
    results = []
    for workers in ("0", "2"):
        rows = site.run("count", ".", "-f", "json", "--boxes", "--workers", workers).json
        for row in rows:
            del row["seconds"], row["stages"]
        results.append(rows)

    assert results[0] == results[1]
    assert [row["photo"] for row in results[0]] == ["IMG_0.jpg", "IMG_1.jpg", "IMG_2.jpg"]


def test_a_pattern_in_quotes_is_expanded_and_csv_is_plain(tmp_path: Path, crops: list[Path]) -> None:
    site = Site(tmp_path)
    put(site, crops[0], "=danger.jpg")
    put(site, crops[1], "IMG_1.jpg")
    put(site, crops[2], "other.jpg")
    finished = site.run("count", "[=I]*.jpg", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(finished.out)))

    assert [row["photo"] for row in rows] == ["'=danger.jpg", "IMG_1.jpg"]
    assert all(int(row["total"]) > 0 for row in rows)
