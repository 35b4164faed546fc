"""What grows where, since when; and the site as a map that goes out and comes back."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from db.codes import Codes
from db.engine import connect
from db.errors import NotFound, Refused, SeedError, UnreadableFile
from db.neighbours import neighbours, refresh_neighbours
from db.place_config import Crop, close_crop, correct_crop, history, places_within, set_crop
from db.place_files import carry_out, parse_start, read_crops
from db.site_map import export_map, import_map, list_places, neighbours_of, sites

ZONE = ZoneInfo("America/Argentina/Mendoza")
PLACE = "N01-NORTE-C01"
CACTUS = Crop("MAM-BOC-001", "MAC-R8-T", size="M")
SUCCULENT = Crop("ECH-ELE-001", "MAC-R8-D")


def day(month: int, number: int = 1) -> dt.datetime:
    return dt.datetime(2026, month, number, tzinfo=dt.UTC)


@pytest.fixture
def nursery(books: Connection) -> Connection:
    """The demo nursery; what a test does to it is rolled back."""
    return books


def spans(connection: Connection) -> list[tuple[Any, ...]]:
    rows = history(connection, PLACE)
    return [
        (row["product"], row["valid_from"].date(), row["valid_to"] and row["valid_to"].date()) for row in rows
    ]


def test_a_new_crop_ends_the_one_before_and_both_stay(nursery: Connection) -> None:
    change = set_crop(nursery, Codes.load(nursery), PLACE, SUCCULENT, day(3))

    assert (change.action, change.before and change.before.product) == ("replaced", "MAM-BOC-001")
    assert spans(nursery) == [
        ("MAM-BOC-001", dt.date(2020, 1, 1), dt.date(2026, 3, 1)),
        ("ECH-ELE-001", dt.date(2026, 3, 1), None),
    ]


def test_the_same_crop_again_changes_nothing(nursery: Connection) -> None:
    codes = Codes.load(nursery)
    set_crop(nursery, codes, PLACE, SUCCULENT, day(3))
    assert set_crop(nursery, codes, PLACE, SUCCULENT, day(4)).action == "unchanged"
    assert len(spans(nursery)) == 2


def test_a_correction_changes_the_crop_for_all_of_its_time(nursery: Connection) -> None:
    assert correct_crop(nursery, Codes.load(nursery), PLACE, SUCCULENT).action == "corrected"
    assert spans(nursery) == [("ECH-ELE-001", dt.date(2020, 1, 1), None)]


def test_a_place_whose_crop_is_closed_has_none_until_another_is_set(nursery: Connection) -> None:
    codes = Codes.load(nursery)
    close_crop(nursery, codes, PLACE, day(3))
    with pytest.raises(Refused, match=r"N01-NORTE-C01 has no configuration in force"):
        close_crop(nursery, codes, PLACE, day(4))
    with pytest.raises(Refused, match="no configuration to correct"):
        correct_crop(nursery, codes, PLACE, SUCCULENT)
    assert set_crop(nursery, codes, PLACE, SUCCULENT, day(5)).action == "opened"
    assert [(begin, end) for _, begin, end in spans(nursery)] == [
        (dt.date(2020, 1, 1), dt.date(2026, 3, 1)),
        (dt.date(2026, 5, 1), None),
    ]


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        (dt.datetime(2019, 1, 1, tzinfo=dt.UTC), "stands; a new crop begins after that"),
        (dt.datetime(2020, 1, 1, tzinfo=dt.UTC), "stands; a new crop begins after that"),
        (dt.datetime(2099, 1, 1, tzinfo=dt.UTC), "cannot begin in the future"),
    ],
)
def test_crops_neither_overlap_nor_begin_in_the_future(
    nursery: Connection, start: dt.datetime, sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        set_crop(nursery, Codes.load(nursery), PLACE, SUCCULENT, start)


def test_a_crop_that_was_closed_is_not_overlapped_either(nursery: Connection) -> None:
    codes = Codes.load(nursery)
    close_crop(nursery, codes, PLACE, day(6))
    with pytest.raises(Refused, match="until or since 2026-06-01"):
        set_crop(nursery, codes, PLACE, SUCCULENT, day(5))


@pytest.mark.parametrize(
    ("crop", "sentence"),
    [
        (Crop("MAM-BOC-01"), "there is no product 'MAM-BOC-01'; did you mean 'MAM-BOC-001'"),
        (Crop("MAM-BOC-001", "MAC-R8-X"), "there is no pot 'MAC-R8-X'; did you mean"),
        (Crop("MAM-BOC-001", state="ADULTS"), "there is no state 'ADULTS'; did you mean 'ADULT'"),
        (Crop("MAM-BOC-001", size="HUGE"), "there is no size 'HUGE'"),
    ],
)
def test_unknown_codes_name_the_nearest(nursery: Connection, crop: Crop, sentence: str) -> None:
    with pytest.raises(NotFound, match=sentence):
        set_crop(nursery, Codes.load(nursery), PLACE, crop, day(3))


@settings(max_examples=15)
@given(moves=st.lists(st.tuples(st.sampled_from("sce"), st.integers(1, 28), st.booleans()), max_size=8))
def test_whatever_is_set_and_closed_spans_never_overlap(
    module_url: str, moves: list[tuple[str, int, bool]]
) -> None:
    with connect(module_url) as connection, connection.begin() as transaction:
        codes = Codes.load(connection)
        for move, number, cactus in moves:
            crop = CACTUS if cactus else SUCCULENT
            try:
                if move == "s":
                    set_crop(connection, codes, PLACE, crop, day(2, number))
                elif move == "c":
                    correct_crop(connection, codes, PLACE, crop)
                else:
                    close_crop(connection, codes, PLACE, day(2, number))
            except Refused:
                continue
        rows = history(connection, PLACE)
        transaction.rollback()
    assert all(before["valid_to"] <= after["valid_from"] for before, after in itertools.pairwise(rows))
    assert sum(row["valid_to"] is None for row in rows) <= 1


def test_a_bed_or_bay_stands_for_its_places(nursery: Connection) -> None:
    assert places_within(nursery, ["n01-norte"]) == [f"N01-NORTE-C0{n}" for n in range(1, 6)]
    assert len(places_within(nursery, ["N01", "N01-SUR-C01"])) == 10
    with pytest.raises(NotFound, match="there is no place, bed or bay 'N01-NORT'; did you mean 'N01-NORTE'"):
        places_within(nursery, ["N01-NORT"])


def put(folder: Path, content: str) -> Path:
    path = folder / "crops.csv"
    path.write_text(content, encoding="cp1252")
    return path


NOW = dt.datetime(2026, 6, 1, 12, tzinfo=ZONE)


def test_a_file_sets_many_places_at_once(nursery: Connection, tmp_path: Path) -> None:
    file = put(
        tmp_path,
        "claro;producto;maceta;desde;area_cm2;notas\r\n"
        "N01-NORTE;ECH-ELE-001;MAC-R8-D;1/3/2026;66.150,5;año\r\n"
        "N02-SUR-C05;ECH-ELE-001;;;;\r\n",
    )
    changes, problems = carry_out(nursery, read_crops(nursery, file, NOW, ZONE), correct=False)

    assert (len(changes), problems) == (6, [])
    assert changes[0].since == dt.datetime(2026, 3, 1, 3, tzinfo=dt.UTC)  # midnight in Mendoza
    [*_, now] = history(nursery, PLACE)
    assert (now["area_cm2"], now["notes"], now["packaging"]) == (Decimal("66150.50"), "año", "MAC-R8-D")
    assert changes[5].since == NOW


def test_every_line_that_is_wrong_is_told_at_once(nursery: Connection, tmp_path: Path) -> None:
    file = put(
        tmp_path,
        "place,product,from,area_cm2\n"
        "N01-NORTE-C01,NOPE-001,,\n"
        "N01-NORTE-C02,ECH-ELE-001,31/2/2026,\n"
        "N01-NORTE-C99,ECH-ELE-001,,\n"
        "N01-NORTE-C03,ECH-ELE-001,,1.050\n"
        "N01-NORTE-C04,ECH-ELE-001,,-5\n"
        "N01-NORTE-C05,ECH-ELE-001\n"
        "N02-NORTE-C01,ECH-ELE-001,,\n"
        "N02-NORTE-C01,MAM-BOC-001,,\n"
        ",MAM-BOC-001,,\n",
    )
    changes, problems = carry_out(nursery, read_crops(nursery, file, NOW, ZONE), correct=False)

    assert [change.place for change in changes] == ["N02-NORTE-C01"]
    expected = (
        "line 2: there is no product 'NOPE-001'",
        "line 3: from is no day of the calendar: '31/2/2026'",
        "line 4: there is no place, bed or bay 'N01-NORTE-C99'; did you mean",
        "line 5: area_cm2 is unclear: '1.050' may be 1,050 or 1.05",
        "line 6: the usable area must be more than 0 cm², not -5",
        "line 7: has 2 cells where the header has 4",
        "line 9: N02-NORTE-C01 is set by line 8 already",
        "line 10: has no place",
    )
    assert len(problems) == len(expected)
    assert all(problem.startswith(start) for problem, start in zip(problems, expected, strict=True))


def test_a_day_begins_at_the_site_and_a_moment_keeps_its_zone() -> None:
    assert parse_start("1/3/2026", ZONE) == dt.datetime(2026, 3, 1, 3, tzinfo=dt.UTC)
    assert parse_start("2026-03-01T08:00", ZONE) == dt.datetime(2026, 3, 1, 11, tzinfo=dt.UTC)
    assert parse_start("2026-03-01T08:00+00:00", ZONE) == dt.datetime(2026, 3, 1, 8, tzinfo=dt.UTC)


def save(folder: Path, document: dict[str, Any]) -> Path:
    path = folder / "site.geojson"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


ALL = ("bay", "bed", "place")


def test_the_map_comes_back_as_it_went_out(nursery: Connection, tmp_path: Path) -> None:
    out = export_map(nursery, ALL)
    reports = import_map(nursery, save(tmp_path, out))

    assert [(report.read, report.unchanged, len(report.rejected)) for report in reports] == [
        (2, 2, 0),
        (4, 4, 0),
        (20, 20, 0),
    ]
    assert export_map(nursery, ALL) == out
    assert {feature["properties"]["level"] for feature in export_map(nursery, ("bed",))["features"]} == {
        "bed"
    }


def test_an_empty_database_takes_the_whole_map(
    nursery: Connection, tmp_path: Path, database_url: str
) -> None:
    out = export_map(nursery, ALL)
    with connect(database_url) as empty, empty.begin():
        reports = import_map(empty, save(tmp_path, out))
        assert [report.inserted for report in reports] == [2, 4, 20]
        assert export_map(empty, ALL) == out


def test_what_was_changed_in_the_map_is_changed_and_what_is_wrong_is_told(
    nursery: Connection, tmp_path: Path
) -> None:
    out = export_map(nursery, ALL)
    named = {feature["properties"]["code"]: feature for feature in out["features"]}
    named["N01"]["properties"]["name"] = "Nave Uno"
    named["N01-SUR-C01"]["properties"]["storage_area"] = "N01-SURR"
    named["N02-SUR-C01"]["properties"]["code"] = "n02"
    out["features"].append({"type": "Feature", "properties": {"fid": 3}, "geometry": None})
    reports = import_map(nursery, save(tmp_path, out))

    assert sites(nursery)[0]["name"] == "Nave Uno"
    reasons = " | ".join(reason for report in reports for _, reason in report.rejected)
    assert "storage_area 'N01-SURR' is not in storage_areas; did you mean 'N01-SUR'?" in reasons
    assert "it breaks the rule code" in reasons
    assert "is neither a bay, a bed nor a place" in reasons
    assert sum(len(report.rejected) for report in reports) == 3


def test_a_map_of_something_else_is_told(nursery: Connection, tmp_path: Path) -> None:
    feature = {"type": "Feature", "properties": {"name": "Nave 1"}, "geometry": None}
    with pytest.raises(UnreadableFile, match="no feature with a code and a level"):
        import_map(nursery, save(tmp_path, {"type": "FeatureCollection", "features": [feature]}))
    feature["properties"] = {"level": "bay", "code": "N09", "name": "x", "type": "greenhouse", "fid": "3"}
    with pytest.raises(SeedError, match="unknown column 'fid'"):
        import_map(nursery, save(tmp_path, {"type": "FeatureCollection", "features": [feature]}))


def test_places_are_listed_with_what_grows_there(nursery: Connection) -> None:
    [row] = list_places(nursery, PLACE)
    assert (row["product"], row["packaging"], row["bay"], row["plants"]) == (
        "MAM-BOC-001",
        "MAC-R8-T",
        "N01",
        0,
    )
    assert [(site["code"], site["beds"], site["places"]) for site in sites(nursery)] == [
        ("N01", 2, 10),
        ("N02", 2, 10),
    ]
    nursery.execute(text("UPDATE storage_locations SET active = false WHERE code = 'N01-NORTE-C01'"))
    assert len(list_places(nursery, "N01")) == 9
    assert len(list_places(nursery, "N01", everything=True)) == 10


def test_neighbours_share_a_border_and_not_a_corner(nursery: Connection) -> None:
    refresh_neighbours(nursery)
    beside = [(row["code"], float(row["shared_m"])) for row in neighbours_of(nursery, "N01-NORTE-C02")]
    assert [code for code, _ in beside] == ["N01-NORTE-C01", "N01-NORTE-C03", "N01-SUR-C02"]
    assert beside[0][1] == pytest.approx(4.2, abs=0.2)


@settings(max_examples=60)
@given(width=st.floats(1, 10), gap=st.floats(0, 2), turn=st.integers(0, 3), shift=st.floats(-3, 3))
def test_two_squares_touch_when_the_gap_is_small_and_they_overlap_sideways(
    width: float, gap: float, turn: int, shift: float
) -> None:
    def square(east: float, north: float) -> list[tuple[float, float]]:
        ring = [(east, north), (east + width, north), (east + width, north + width), (east, north + width)]
        ring = ring[turn:] + ring[:turn]
        return [*ring, ring[0]]

    found = list(neighbours({1: square(0, 0), 2: square(width + gap, shift)}))
    along = width - abs(shift)
    assume_clear = abs(gap - 0.25) > 1e-6 and abs(along - 0.3) > 1e-6
    if assume_clear and along > 0.6:
        assert [pair[:2] for pair in found] == ([(1, 2)] if gap < 0.25 else [])
        assert all(shared == pytest.approx(along, abs=0.6) for *_, shared in found)
