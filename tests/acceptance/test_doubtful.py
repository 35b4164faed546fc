"""Photos that the gate refuses, beds behind, pictures sent twice: as a technician meets them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageEnhance, ImageFilter

from pipeline.interval import add
from tests.acceptance.conftest import EXAMPLES, Finished, Site, black
from tests.acceptance.test_process import by_name, put


def smear(photo: Path, target: Path) -> None:
    """So much out of focus that plants run together."""
    with Image.open(photo) as picture:
        picture.filter(ImageFilter.GaussianBlur(9)).save(target, quality=92)


def plants(site: Site) -> dict[str, int]:
    rows = site.run("report", "stock", "-f", "json").json
    return {row["place"]: row["plants"] for row in rows}


def only(finished: Finished) -> dict[str, object]:
    assert finished.code == 0, finished.err
    (row,) = finished.json["photos"]
    assert isinstance(row, dict)
    return row


def test_a_neighbouring_bed_in_the_picture_never_reaches_the_stock(site: Site) -> None:
    put(site, EXAMPLES / "IMG_20260628_1142.jpg", "N01-NORTE-C01.jpg")
    finished = site.run("process", ".")
    assert finished.code == 0, finished.err
    assert "more plants in neighbouring beds" in finished.out

    row = only(site.run("process", ".", "-f", "json"))
    main = row["main"]
    assert isinstance(main, dict)
    assert main["total"] < row["total"]  # type: ignore[operator]
    assert plants(site) == {"N01-NORTE-C01": main["total"]}
    (stock,) = site.run("report", "stock", "-f", "json").json
    assert (stock["low"], stock["high"]) == (main["low"], main["high"])


def test_a_refused_photo_is_kept_told_of_and_booked_only_when_accepted(site: Site, crops: list[Path]) -> None:
    put(site, crops[0], "N01-NORTE-C01.jpg")
    smear(crops[2], site.folder / "N01-NORTE-C02.jpg")
    finished = site.run("process", ".")
    assert finished.code == 0, finished.err
    assert "too blurred to count" in finished.out
    assert "N01-NORTE-C02.jpg: refused, not booked; take it again" in finished.out
    assert list(plants(site)) == ["N01-NORTE-C01"]

    row = only(site.run("process", "N01-NORTE-C02.jpg", "-f", "json"))
    assert (row["status"], row["known"], row["booked"], row["total"]) == ("refused", True, None, None)
    assert list(plants(site)) == ["N01-NORTE-C01"]
    (plan,) = site.run("process", "N01-NORTE-C02.jpg", "--dry-run", "-f", "json").json
    assert "--accept-doubtful" in plan["plan"]

    accepted = only(site.run("process", "N01-NORTE-C02.jpg", "--accept-doubtful", "-f", "json"))
    main = accepted["main"]
    assert isinstance(main, dict)
    assert accepted["status"] == "warning"
    assert accepted["booked"] == main["total"] > 0
    books = plants(site)
    assert books["N01-NORTE-C02"] == main["total"]
    rows = site.run("report", "stock", "-f", "json").json
    low, high = add((row["plants"], row["low"], row["high"]) for row in rows)
    foot = site.run("report", "stock").out.splitlines()[-1]
    assert foot.split() == ["all", str(sum(books.values())), f"{low}–{high}"]
    again = only(site.run("process", "N01-NORTE-C02.jpg", "--accept-doubtful", "-f", "json"))
    assert (again["known"], again["booked"]) == (True, None)
    assert plants(site) == books


def test_a_setting_turns_refusals_into_warnings_and_back(site: Site, crops: list[Path]) -> None:
    black(site, "N01-NORTE-C01.jpg")
    wrong = site.but(DEMETER_GATE_BLUR="perhaps").run("process", ".")
    assert wrong.code == 3
    assert "gate_blur" in wrong.err
    assert "'off', 'warn' or 'refuse'" in wrong.err

    assert only(site.run("process", ".", "-f", "json"))["status"] == "refused"


def test_last_months_picture_sent_again_is_named_with_its_place_and_day(site: Site) -> None:
    first = put(site, EXAMPLES / "N01-NORTE-C01.jpg", "N01-NORTE-C01.jpg")
    again = site.folder / "sent" / "N01-NORTE-C02.jpg"
    again.parent.mkdir()
    with Image.open(first) as photo:  # as a messaging app does, which also drops what the camera wrote
        smaller = photo.resize((photo.width * 2 // 3, photo.height * 2 // 3))
        ImageEnhance.Brightness(smaller).enhance(1.15).save(again, quality=60)
    other = put(site, EXAMPLES / "N01-NORTE-C03.jpg", "sent/N01-NORTE-C03.jpg")
    site.run("process", first.name)
    rows = by_name(site.run("process", "sent", "-f", "json"))

    (told,) = (row for row in rows.values() if "looks like photo" in str(row["warnings"]))
    assert told["photo"] == str(again.relative_to(site.folder))
    assert told["status"] == "warning"
    assert "N01-NORTE-C01.jpg of N01-NORTE-C01, taken on 2026-05-04" in str(told["warnings"])
    assert "repeat" not in str(rows[other.name]["findings"])

    strict = site.but(DEMETER_GATE_REPEAT="refuse")
    third = site.folder / "N01-SUR-C01.jpg"
    with Image.open(first) as photo:
        photo.save(third, quality=50)
    row = only(strict.run("process", third.name, "-f", "json"))
    assert (row["status"], row["booked"]) == ("refused", None)
