"""demeter estimate: counts worked out again from what was kept, without the photos."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.acceptance.conftest import Finished, Site
from tests.acceptance.test_process import put
from tests.pipeline.networks import save_detector

KEYS = [
    *("session", "photo", "place", "outcome", "method_before", "seen_before", "hidden_before"),
    *("total_before", "low_before", "high_before", "method", "version", "seen", "hidden", "total"),
    *("low", "high", "booked", "error"),
]


def stock(site: Site) -> dict[str, int]:
    return {row["place"]: row["plants"] for row in site.run("report", "stock", "-f", "json").json}


def evidence(site: Site) -> list[Path]:
    return sorted((Path(site.settings["DEMETER_DATA_DIR"]) / "photos" / "evidence").rglob("*.npz"))


@pytest.fixture
def counted(site: Site, crops: list[Path]) -> Site:
    """Two photos of places, one of nowhere, counted and gone."""
    for crop, name in zip(crops, ("N01-NORTE-C01", "N01-NORTE-C02", "IMG_1"), strict=False):
        put(site, crop, f"{name}.jpg")
    assert site.run("process", ".").code == 0
    shutil.copytree(site.folder, site.folder.parent / "kept")
    for photo in site.folder.iterdir():
        photo.unlink()
    return site


def totals(finished: Finished) -> dict[str, int]:
    return {row["photo"]: row["total"] for row in finished.json}


def test_another_method_is_planned_booked_once_and_comes_to_what_a_new_count_comes_to(counted: Site) -> None:
    before = stock(counted)
    same = counted.run("estimate", "-f", "json")
    assert same.code == 0, same.err
    assert [row["outcome"] for row in same.json] == ["unchanged"] * 3
    assert [list(row) for row in same.json] == [KEYS] * 3

    planned = counted.run("estimate", "--method", "bands", "--dry-run", "-f", "json")
    assert planned.code == 0, planned.err
    assert [row["outcome"] for row in planned.json] == ["would change"] * 3
    assert stock(counted) == before

    done = counted.run("estimate", "--method", "bands", "-f", "json")
    assert done.code == 0, done.err
    assert [row["outcome"] for row in done.json] == ["restated"] * 3
    for row, plan in zip(done.json, planned.json, strict=True):
        assert (row["total_before"], row["total"]) == (plan["total_before"], plan["total"])
        assert row["low"] <= row["total"] == row["seen"] + row["hidden"] <= row["high"]
        assert (row["method_before"], row["method"]) == ("density-map", "bands")
        assert row["booked"] == (row["total"] - row["total_before"] if row["place"] else None)
    assert stock(counted) == {row["place"]: row["total"] for row in done.json if row["place"]}

    again = counted.run("estimate", "--method", "bands", "-f", "json")
    assert [row["outcome"] for row in again.json] == ["unchanged"] * 3
    after = stock(counted)

    # The photos themselves, counted by that method, say the same: nothing is left to book.
    fresh = counted.but(DEMETER_ESTIMATOR="bands").run(
        "process", counted.folder.parent / "kept", "-f", "json"
    )
    assert fresh.code == 0, fresh.err
    assert {Path(row["photo"]).name: row["main"]["total"] for row in fresh.json["photos"]} == totals(done)
    assert not any(row["known"] for row in fresh.json["photos"])
    assert stock(counted) == after

    back = counted.run("estimate", "--place", "N01", "-f", "json")
    assert {row["place"] for row in back.json} == {"N01-NORTE-C01", "N01-NORTE-C02"}
    assert stock(counted) == before


def test_density_asks_the_books_for_the_pots_of_a_place(counted: Site) -> None:
    finished = counted.run("estimate", "--method", "density", "-f", "json")
    assert finished.code == 8  # the photo of nowhere has no pots
    rows = {row["photo"]: row for row in finished.json}
    assert rows["IMG_1.jpg"]["outcome"] == "failed"
    assert "no density parameters" in rows["IMG_1.jpg"]["error"]
    assert "IMG_1.jpg" in finished.err
    assert {row["method"] for row in finished.json} == {"density", None}
    fresh = counted.but(DEMETER_ESTIMATOR="density").run(
        "process", counted.folder.parent / "kept", "-f", "json"
    )
    assert fresh.code == 0, fresh.err
    photos = {Path(row["photo"]).name: row for row in fresh.json["photos"]}
    assert photos["N01-NORTE-C01.jpg"]["main"]["total"] == rows["N01-NORTE-C01.jpg"]["total"]
    assert any("density_parameters" in sentence for sentence in photos["IMG_1.jpg"]["warnings"])


def test_damaged_and_missing_evidence_is_named_and_the_rest_is_restated(counted: Site) -> None:
    files = evidence(counted)
    assert len(files) == 3
    assert all(1_000 < file.stat().st_size < 600_000 for file in files)
    before = stock(counted)
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[: len(whole) // 2])
    files[1].unlink()
    finished = counted.run("estimate", "--method", "bands", "-f", "json")

    assert finished.code == 8
    assert sorted(row["outcome"] for row in finished.json) == ["failed", "failed", "restated"]
    assert "sha256" in finished.err
    assert "is missing" in finished.err
    assert "Traceback" not in finished.err
    failed = [row for row in finished.json if row["outcome"] == "failed"]
    after = stock(counted)
    assert all(after[row["place"]] == before[row["place"]] for row in failed if row["place"])

    files[2].unlink()
    assert counted.run("estimate", "--method", "perspective", "--dry-run").code == 5
    files[0].write_bytes(whole)
    assert counted.run("estimate", "--method", "perspective", "--dry-run").code == 8


def test_evidence_of_another_network_is_not_taken_for_this_ones(counted: Site, tmp_path: Path) -> None:
    other = counted.but(DEMETER_DETECTOR=str(save_detector(tmp_path / "other")))
    finished = other.run("estimate", "-f", "csv")
    assert finished.code == 5
    assert finished.err.count("was counted by another detector") == 3
    assert finished.out.splitlines()[0] == ",".join(KEYS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["99"], "99"),
        (["x"], "x"),
        (["--method", "guess"], "guess"),
        (["--place", "N99"], "N99"),
        (["--since", "yesterday"], "--since"),
        (["--until", "2026-02-30"], "--until"),
    ],
)
def test_a_wrong_argument_gets_a_sentence_and_exit_code_2(
    site: Site, arguments: list[str], words: str
) -> None:
    finished = site.run("estimate", *arguments)
    assert (finished.code, finished.out) == (2, "")
    assert words in finished.err
    assert "Traceback" not in finished.err


def test_where_nothing_was_counted_nothing_is_estimated(site: Site, open_folder: Path) -> None:
    assert "No count of a photo matches" in site.run("estimate").out
    assert site.run("estimate", "-f", "json").json == []
    bare = Site(site.folder, {"DEMETER_DATA_DIR": str(open_folder / "none")})
    finished = bare.run("estimate")
    assert (finished.code, finished.err) == (0, "")
    assert not (open_folder / "none").exists()
