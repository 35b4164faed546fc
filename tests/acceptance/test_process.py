"""demeter process, as a technician or cron runs it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.acceptance.conftest import Finished, Site

PHOTO_KEYS = [
    *("photo", "sha256", "place", "seen", "hidden", "total", "low", "high", "seconds", "status"),
    *("known", "booked", "warnings", "error", "overlay", "correction", "audit"),
    *("main", "dead", "empty_pots", "findings", "unlikeness"),
]
STOCK_KEYS = [
    *("place", "product", "sku", "state", "size", "packaging", "plants", "low", "high", "counted_at"),
    *("correction", "factor", "audit"),
]


def put(site: Site, photo: Path, name: str) -> Path:
    target = site.folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(photo, target))


def by_name(finished: Finished) -> dict[str, dict[str, object]]:
    return {Path(row["photo"]).name: row for row in finished.json["photos"]}


def test_the_first_run_needs_no_setting_at_all(open_folder: Path, tmp_path: Path, crops: list[Path]) -> None:
    site = Site(tmp_path, {"DEMETER_DATA_DIR": str(open_folder / "first-run")})
    put(site, crops[0], "bed/N01-NORTE-C01.jpg")
    put(site, crops[1], "bed/IMG_7.jpg")

    planned = site.run("process", "bed", "--dry-run")
    assert planned.code == 0
    assert "would create a database" in planned.out
    assert not (open_folder / "first-run").exists()

    first = site.run("process", "bed")
    assert first.code == 0, first.err
    assert "New database" in first.err
    assert "demo nursery" in first.err
    assert "Mammillaria bocasana" in first.out
    assert "needs_location" in first.out
    pictures = open_folder / "first-run" / "photos" / "processed"
    assert str(pictures) in first.out
    assert len(list(pictures.rglob("*.jpg"))) == 2

    again = site.run("process", "bed")
    assert again.code == 0
    assert "New database" not in again.err
    assert "2 of 2 photos were counted before" in again.out
    stock = site.run("report", "stock", "--format", "json")
    assert [row["place"] for row in stock.json] == ["N01-NORTE-C01"]


def test_json_has_the_documented_keys_and_stdout_holds_nothing_else(site: Site, crops: list[Path]) -> None:
    put(site, crops[0], "N01-NORTE-C01.jpg")
    finished = site.run("-v", "process", ".", "--format", "json")

    assert finished.code == 0, finished.err
    assert list(finished.json) == ["photos", "stock", "overlays"]
    (photo,) = finished.json["photos"]
    assert list(photo) == PHOTO_KEYS
    assert list(finished.json["stock"][0]) == STOCK_KEYS
    assert photo["low"] <= photo["total"] <= photo["high"]
    assert finished.json["stock"][0]["plants"] == photo["main"]["total"] == photo["booked"]


def test_photos_are_counted_once_whatever_their_name_and_booked_when_their_place_is_known(
    site: Site, crops: list[Path]
) -> None:
    put(site, crops[0], "N01/norte/c01/IMG_1.jpg")
    put(site, crops[0], "copy of IMG_1.jpg")
    put(site, crops[1], "IMG_2.jpg")
    put(site, crops[2], "N02-SUR-C05.jpg")
    first = site.run("process", ".", "-f", "json")
    rows = by_name(first)

    assert first.code == 0, first.err
    assert len(rows) == 3
    assert "is the same photo as another one" in first.err
    assert rows["IMG_2.jpg"]["status"] == "needs_location"
    assert rows["N02-SUR-C05.jpg"]["status"] == "needs_config"
    assert [row["place"] for row in first.json["stock"]] == ["N01-NORTE-C01"]

    placed = site.run("process", "IMG_2.jpg", "--place", "n01-sur-c02", "-f", "json")
    (row,) = placed.json["photos"]
    assert row["known"]
    assert row["booked"] == row["main"]["total"]
    assert row["main"] == rows["IMG_2.jpg"]["main"]


def test_a_dry_run_says_what_the_run_then_does(site: Site, crops: list[Path]) -> None:
    put(site, crops[0], "N01-NORTE-C01.jpg")
    put(site, crops[1], "IMG_2.jpg")
    plan = {row["photo"]: row["plan"] for row in site.run("process", ".", "--dry-run", "-f", "json").json}
    assert plan == {
        "N01-NORTE-C01.jpg": "count and book",
        "IMG_2.jpg": "count; no place is known, so not book",
    }
    assert site.run("report", "stock", "-f", "json").json == []

    site.run("process", ".")
    plan = {row["photo"]: row["plan"] for row in site.run("process", ".", "--dry-run", "-f", "json").json}
    assert all(words.startswith("nothing: counted before") for words in plan.values())


def test_bad_photos_are_named_and_the_good_ones_are_booked(site: Site, crops: list[Path]) -> None:
    from PIL import Image

    put(site, crops[0], "N01-NORTE-C01.jpg")
    whole = crops[1].read_bytes()
    (site.folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (site.folder / "empty.jpg").write_bytes(b"")
    (site.folder / "text.jpg").write_text("not a photo")
    Image.new("RGB", (1, 1)).save(site.folder / "dot.png")
    with Image.open(crops[2]) as photo:
        photo.convert("CMYK").save(site.folder / "cmyk.jpg")
        photo.convert("L").save(site.folder / "grey.png")
        photo.convert("P").save(site.folder / "palette.png")
    name = os.fsdecode("árbol \n 2 \udcff.jpg".encode("utf-8", "surrogateescape"))
    put(site, crops[3], name)
    finished = site.run("process", ".", "-f", "json")
    rows = by_name(finished)

    assert finished.code == 8
    failed = {name for name, row in rows.items() if row["status"] == "failed"}
    assert failed == {"truncated.jpg", "empty.jpg", "text.jpg", "dot.png"}
    for name in failed:
        assert name in finished.err
        assert rows[name]["error"]
        assert rows[name]["total"] is None
    assert "Traceback" not in finished.err
    assert finished.json["stock"][0]["place"] == "N01-NORTE-C01"
    assert len(rows) == 9


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["process", "nowhere"], 2, "nowhere"),
        (["process", "empty"], 2, "empty"),
        (["process", "photo.jpg", "--place", "N01-NORTE-C99"], 2, "did you mean"),
        (["count", "photo.jpg", "nowhere.jpg"], 2, "nowhere.jpg"),
        (["process"], 2, "photos"),
        (["report", "stock", "--as-of", "31 February"], 2, "as-of"),
    ],
)
def test_a_wrong_argument_gets_a_sentence_and_exit_code_2(
    site: Site, crops: list[Path], arguments: list[str], code: int, words: str
) -> None:
    (site.folder / "empty").mkdir()
    put(site, crops[0], "photo.jpg")
    finished = site.run(*arguments)

    assert finished.code == code
    assert words in finished.err
    assert finished.out == ""
    assert "Traceback" not in finished.err


def test_a_tampered_or_missing_model_is_refused_before_anything_is_counted(
    site: Site, crops: list[Path]
) -> None:
    put(site, crops[0], "N01-NORTE-C01.jpg")
    models = site.folder.parent / "models"
    shutil.copytree(Path(__file__).parents[2] / "configs" / "models", models)
    with (models / "plant.bin").open("r+b") as weights:
        weights.seek(1000)
        weights.write(b"tampered")
    tampered = site.but(DEMETER_DETECTOR=str(models / "plant.json"))

    for finished in (
        tampered.run("process", "."),
        tampered.run("count", "."),
        site.run("count", ".").code == 0 and site.but(DEMETER_DETECTOR="nowhere.json").run("process", "."),
    ):
        assert isinstance(finished, Finished)
        assert finished.code == 6
        assert finished.out == ""
        assert "Traceback" not in finished.err
    assert "sha256" in tampered.run("count", ".").err


def test_a_data_folder_that_cannot_hold_pictures_is_named_before_anything_is_counted(
    site: Site, crops: list[Path]
) -> None:
    put(site, crops[0], "N01-NORTE-C01.jpg")
    in_the_way = site.folder.parent / "data" / "photos" / "processed"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a file where a folder should be")
    finished = site.run("process", ".")

    assert finished.code == 5
    assert str(in_the_way) in finished.err
    assert finished.out == ""
    in_the_way.unlink()
    assert site.run("process", ".").code == 0
