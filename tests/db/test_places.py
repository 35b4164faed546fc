"""Which place a photo shows, by what people write on files and folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.errors import NotFound
from db.places import Place, PlaceIndex

CODES = ["N01-NORTE-C07", "N01-NORTE-C08", "N01-SUR-C07", "N01-SUR-C07-B", "TUNEL_2-C2-C01"]
PLACES = PlaceIndex.of(Place(number, code) for number, code in enumerate(CODES, start=1))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("N01-NORTE-C07.jpg", "N01-NORTE-C07"),
        ("n01-norte-c07.JPG", "N01-NORTE-C07"),
        ("N01_NORTE_C07_20251014.jpg", "N01-NORTE-C07"),
        ("IMG_4711 N01-NORTE-C08 (2).jpg", "N01-NORTE-C08"),
        ("photos/N01/NORTE/C07/IMG_0412.jpg", "N01-NORTE-C07"),
        ("photos/N01/norte/c07-second.jpg", "N01-NORTE-C07"),
        ("N01-NORTE-C07/IMG_1.jpg", "N01-NORTE-C07"),
        ("N01-SUR-C07-B.jpg", "N01-SUR-C07-B"),
        ("TUNEL_2-C2-C01.jpg", "TUNEL_2-C2-C01"),
    ],
)
def test_names_that_people_write_are_understood(path: str, code: str) -> None:
    found = PLACES.of_path(Path(path))
    assert found is not None
    assert found.code == code


def test_the_file_name_outranks_the_folder() -> None:
    found = PLACES.of_path(Path("N01/NORTE/C07/N01-SUR-C07.jpg"))
    assert found is not None
    assert found.code == "N01-SUR-C07"


@pytest.mark.parametrize(
    "path",
    ["IMG_20251014_0915.jpg", "N01-NORTE-C99.jpg", "XN01-NORTE-C07.jpg", "N01-NORTE.jpg", "C07.jpg", ""],
)
def test_a_name_that_spells_no_place_is_not_guessed_at(path: str) -> None:
    assert PLACES.of_path(Path(path)) is None


def test_a_name_that_spells_two_places_is_not_guessed_at() -> None:
    assert PLACES.of_path(Path("N01-NORTE-C07 and N01-NORTE-C08.jpg")) is None


def test_a_file_name_with_two_places_does_not_fall_back_to_its_folder() -> None:
    assert PLACES.of_path(Path("N01-SUR-C07/N01-NORTE-C07_N01-NORTE-C08.jpg")) is None


def test_an_unknown_code_suggests_the_nearest() -> None:
    with pytest.raises(NotFound, match=r"'N01-NORTE-C70'.*did you mean .*N01-NORTE-C07"):
        PLACES.named("N01-NORTE-C70")


def test_a_code_is_found_in_any_case() -> None:
    assert PLACES.named("n01-sur-c07").code == "N01-SUR-C07"
