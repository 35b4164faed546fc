"""Photos that arrive: stored, located, counted later, watched for, and what waits is settled."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
import segno
from PIL import Image
from sqlalchemy import text

from tests.acceptance.conftest import Site
from tests.cli.shop import Shop


@pytest.fixture
def shop(site: Site, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The site's commands in this process, which count without workers."""
    monkeypatch.chdir(site.folder)
    names = ("DEMETER_DATA_DIR", "XDG_CACHE_HOME")
    return Shop(
        site.settings["DEMETER_DATABASE_URL"],
        {**{name: site.settings[name] for name in names}, "DEMETER_WORKERS": "0"},
    )


def labelled(crop: Path, target: Path, text: str) -> Path:
    """A photo with a label in its corner."""
    buffer = io.BytesIO()
    segno.make(text, error="m", micro=False).save(buffer, kind="png", scale=5, border=4)
    with Image.open(crop) as photo, Image.open(buffer) as label:
        photo.paste(label.convert("RGB"), (0, 0))
        photo.save(target, quality=92)
    return target


def rows(shop: Shop, *arguments: object) -> list[dict[str, Any]]:
    return list(shop.done("process", *arguments)["photos"])


def test_what_is_stored_is_counted_later_from_the_store(site: Site, shop: Shop, crops: list[Path]) -> None:
    shutil.copy(crops[0], site.folder / "N01-NORTE-C01.jpg")
    (site.folder / "places.csv").write_text("file,place\nIMG_2.jpg,N01-NORTE-C02\nIMG_3.jpg,nowhere\n")
    shutil.copy(crops[1], site.folder / "IMG_2.jpg")
    (site.folder / "broken.jpg").write_bytes(b"no photo")
    told = shop.run("ingest", ".", "--format", "json")
    assert told.code == 8
    assert "there is no place 'nowhere'" in told.err
    found = {Path(row["photo"]).name: (row["place"], row["located_by"], row["status"]) for row in told.json}
    assert found == {
        "N01-NORTE-C01.jpg": ("N01-NORTE-C01", "name", "stored"),
        "IMG_2.jpg": ("N01-NORTE-C02", "sidecar", "stored"),
        "broken.jpg": (None, None, "failed"),
    }
    assert shop.done("report", "stock") == []
    assert [row["status"] for row in shop.run("ingest", "IMG_2.jpg", "--format", "json").json] == ["known"]

    for path in site.folder.glob("*.jpg"):
        path.unlink()
    planned = shop.done("process", "--pending", "--dry-run")
    assert [(row["photo"], row["plan"]) for row in planned] == [
        ("IMG_2.jpg", "count and book"),
        ("N01-NORTE-C01.jpg", "count and book"),
    ]
    assert "2 photos to count" in shop.run().out
    counted = site.run("process", "--pending", "--workers", "2", "--format", "json").json["photos"]
    assert [(Path(row["photo"]).name, row["place"]) for row in counted] == [
        ("IMG_2.jpg", "N01-NORTE-C02"),
        ("N01-NORTE-C01.jpg", "N01-NORTE-C01"),
    ]
    assert len(shop.done("report", "stock")) == 2
    assert rows(shop, "--pending") == []
    assert shop.run("storage", "check", "--deep").code == 0


def test_a_label_in_the_photo_says_the_place_and_a_contradiction_waits(
    site: Site, shop: Shop, crops: list[Path]
) -> None:
    labelled(crops[0], site.folder / "IMG_1.jpg", "QR-N01N-C01")
    labelled(crops[1], site.folder / "N01-NORTE-C03.jpg", "QR-N01N-C02")
    counted = {Path(row["photo"]).name: row for row in rows(shop, ".")}
    assert counted["IMG_1.jpg"]["place"] == "N01-NORTE-C01"
    doubtful = counted["N01-NORTE-C03.jpg"]
    assert (doubtful["place"], doubtful["status"]) == (None, "needs_location")
    assert any(
        "a code in the photo says N01-NORTE-C02; its name says N01-NORTE-C03" in w
        for w in doubtful["warnings"]
    )

    [waiting] = shop.done("photos", "list")
    number = waiting["session"]
    assert (waiting["status"], waiting["place"]) == ("needs_location", None)
    assert f"demeter photos assign {number} --to PLACE" in shop.run("photos", "list").out
    [settled] = shop.done("photos", "assign", number, "--to", "N01-NORTE-C02")
    assert settled["place"] == "N01-NORTE-C02"
    assert settled["booked"] > 0
    assert shop.done("photos", "list") == []
    shown = shop.done("photos", "show", number)
    assert (shown["located_by"], shown["place"]) == ("assigned", "N01-NORTE-C02")
    assert Path(shown["storage_key"]).is_file()
    refused = shop.run("photos", "assign", number, "--to", "N01-NORTE-C01")
    assert refused.code == 9
    assert "is in the books at N01-NORTE-C02" in refused.err


def test_a_walk_gives_photos_to_places_in_the_order_of_their_times(
    site: Site, shop: Shop, crops: list[Path]
) -> None:
    for number, crop in enumerate(crops[:2]):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"2026:03:01 10:0{9 - number}:00"  # the second was taken first
        with Image.open(crop) as photo:
            photo.save(site.folder / f"IMG_{number}.jpg", exif=exif, quality=92)
    rows(shop, ".")
    numbers = [row["session"] for row in shop.done("photos", "list")]
    walk = (*numbers, "--from", "N01-NORTE-C01", "--to")
    told = shop.run("photos", "assign", *walk, "N01-NORTE-C03")
    assert told.code == 9
    assert "2 photos do not fit 3 places" in told.err
    planned = shop.done("photos", "assign", *walk, "N01-NORTE-C02", "--dry-run")
    assert {row["photo"]: row["place"] for row in planned} == {
        "IMG_1.jpg": "N01-NORTE-C01",
        "IMG_0.jpg": "N01-NORTE-C02",
    }
    done = shop.done("photos", "assign", *walk, "N01-NORTE-C02")
    assert {row["photo"]: row["place"] for row in done} == {row["photo"]: row["place"] for row in planned}
    assert [row["place"] for row in shop.done("report", "stock")] == ["N01-NORTE-C01", "N01-NORTE-C02"]


def test_a_crop_books_what_waited_and_what_is_discarded_comes_back(
    site: Site, shop: Shop, crops: list[Path]
) -> None:
    bare = "N01-NORTE-C04"
    with shop.database() as connection:
        connection.execute(
            text(
                "DELETE FROM storage_location_config WHERE storage_location_id ="
                " (SELECT id FROM storage_locations WHERE code = :code)"
            ),
            {"code": bare},
        )
    shutil.copy(crops[0], site.folder / f"{bare}.jpg")
    [counted] = rows(shop, ".")
    assert counted["status"] == "needs_config"
    [waiting] = shop.done("photos", "list", "--status", "needs_config")
    number = waiting["session"]

    shop.done("photos", "discard", number, "--reason", "shows the path")
    assert shop.done("photos", "list") == []
    [discarded] = shop.done("photos", "list", "--status", "discarded")
    assert discarded["notes"] == "shows the path"
    assert rows(shop, ".")[0]["status"] == "discarded"  # once more named, it stays where it is
    shop.done("photos", "discard", number, "--undo")

    [booked] = shop.done("photos", "configure", number, "--product", "MAM-BOC-001", "--packaging", "MAC-R8-T")
    assert booked["status"] in ("completed", "warning")
    [stock] = shop.done("report", "stock")
    assert (stock["place"], stock["plants"]) == (bare, booked["booked"])


def test_what_is_no_photo_is_moved_aside_with_its_reason_if_asked(site: Site, shop: Shop) -> None:
    (site.folder / "broken.jpg").write_bytes(b"no photo")
    (site.folder / "ok").mkdir()
    asked = Shop(shop.url, shop.settings | {"DEMETER_REJECTED_DIR": str(site.folder / "rejected")})
    assert shop.run("process", ".").code == 8
    assert (site.folder / "broken.jpg").exists()
    for _ in range(2):
        assert asked.run("process", ".", "--retry").code == 8
        assert not (site.folder / "broken.jpg").exists()
        (site.folder / "broken.jpg").write_bytes(b"no photo, again")
    aside = sorted(path.name for path in (site.folder / "rejected").glob("[!.]*"))
    assert aside == ["broken-1.jpg", "broken-1.jpg.reason", "broken.jpg", "broken.jpg.reason"]
    assert "broken.jpg" in (site.folder / "rejected" / "broken.jpg.reason").read_text()


def test_a_watch_for_cron_counts_what_is_there_and_ends(site: Site, shop: Shop, crops: list[Path]) -> None:
    shutil.copy(crops[0], site.folder / "N01-NORTE-C01.jpg")
    fast = Shop(shop.url, shop.settings | {"DEMETER_WATCH_STABLE": "0.2"})
    told = fast.run("watch", site.folder, "--once", "--interval", "0.2")
    assert told.code == 0
    assert "N01-NORTE-C01.jpg: N01-NORTE-C01, " in told.out
    assert [row["place"] for row in shop.done("report", "stock")] == ["N01-NORTE-C01"]


def test_what_was_counted_is_drawn_from_what_is_stored(site: Site, shop: Shop, crops: list[Path]) -> None:
    for number, crop in enumerate(crops[:2], 1):
        shutil.copy(crop, site.folder / f"N01-NORTE-C0{number}.jpg")
    rows(shop, ".")
    pictures = site.folder / "pictures"
    for kind in ("hidden", "all"):
        drawn = shop.done("photos", "draw", 1, 2, "--kind", kind, "--out", pictures)
        assert [Path(row["file"]).name.endswith(f"-{kind}.jpg") for row in drawn] == [True, True]
        for row in drawn:
            with Image.open(row["file"]) as picture:
                assert picture.size == (600, 500)
    assert len(rows(shop, ".")) == 2  # nobody takes the pictures for photos
    again = shop.run("photos", "draw", 1, "--kind", "all", "--out", pictures)
    assert again.code == 8
    assert "is there already; --force replaces it" in again.err
    Path(shop.done("photos", "show", 1)["evidence_key"]).unlink()
    told = shop.run("photos", "draw", 1, 2, "--out", pictures, "--format", "json")
    assert told.code == 8
    assert [row["file"] is None for row in told.json] == [True, False]
    assert "is missing" in told.err
