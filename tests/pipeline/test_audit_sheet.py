"""The sheet shows what is to be counted, and nothing of what was."""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from demeter_cli.language import LANGUAGES, speaking
from demeter_cli.sheet_words import sheet_words
from pipeline.audit.records import Frame
from pipeline.audit.sheet import CONTEXT, LINE, Sheet, SheetTile, draw_tile, write_sheet
from pipeline.audit.words import COLUMNS, DELIMITERS
from pipeline.errors import PhotoError, StorageError

DAY = dt.date(2026, 11, 24)
FRAME = Frame(1, 300, 200, 460, 320, seen=13, hidden=1.75, plant_px=40.0)


class Page(HTMLParser):
    """Texts, attributes and the tree's balance of a page."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script") and data.strip():
            self.texts.append(data.strip())


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    noise = np.random.default_rng(1).integers(0, 120, (600, 800, 3)).astype(np.uint8)
    assert cv2.imwrite(str(path), noise)
    return path


def a_sheet(photo: Path, language: str = "en", product: str = "Mammillaria bocasana") -> Sheet:
    day = DAY.isoformat()
    tiles = (
        SheetTile(1, "N01-NORTE-C01", product, day, photo, FRAME),
        SheetTile(2, "N01-NORTE-C02", product, day, photo, replace(FRAME, x1=0, y1=0, x2=90, y2=120)),
        SheetTile(
            3,
            "N01-NORTE-C02",
            product,
            DAY.isoformat(),
            photo,
            replace(FRAME, x1=700, y1=480, x2=800, y2=600),
        ),
    )
    with speaking(language):
        return Sheet("AUD-2026-11-24-01", sheet_words(dt.date(2027, 3, 24)), tiles)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def test_a_sheet_is_a_page_that_holds_its_pictures_a_picture_each_and_a_file_to_fill_in(
    photo: Path, tmp_path: Path
) -> None:
    page = write_sheet(tmp_path / "sheet", a_sheet(photo), 10**7)
    parsed = Page(page.read_text(encoding="utf-8"))

    assert set(files_of(page.parent)) == {
        *("sheet.html", "counts.csv", "tile-01.png", "tile-02.png", "tile-03.png"),
    }
    assert parsed.open == []
    sources = [value for tag, name, value in parsed.attributes if (tag, name) == ("img", "src")]
    assert len(sources) == 3
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    # Opened from a stick, with no network: nothing is fetched.
    assert [a for a in parsed.attributes if a[1] in ("href", "src") and not a[2].startswith("data:")] == []
    assert {"1", "2", "3", "AUD-2026-11-24-01"} <= set(parsed.texts)
    assert (page.parent / ".demeter-output").exists()  # no later search takes the pictures for photos


def test_nothing_on_the_sheet_depends_on_what_the_machine_counted(photo: Path, tmp_path: Path) -> None:
    sheet = a_sheet(photo)
    tiles = tuple(
        replace(tile, frame=replace(tile.frame, seen=77, hidden=0.0, far=True)) for tile in sheet.tiles
    )
    write_sheet(tmp_path / "a", sheet, 10**7)
    write_sheet(tmp_path / "b", replace(sheet, tiles=tiles), 10**7)

    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


@pytest.mark.parametrize("language", list(COLUMNS))
def test_the_file_to_fill_in_opens_in_a_spreadsheet_of_its_language(
    photo: Path, tmp_path: Path, language: str
) -> None:
    sheet = a_sheet(photo, language)
    page = write_sheet(tmp_path / "sheet", sheet, 10**7)
    with (page.parent / "counts.csv").open(newline="") as file:
        rows = list(csv.reader(file, delimiter=DELIMITERS[language]))

    assert rows == [list(COLUMNS[language]), *(["AUD-2026-11-24-01", str(n), "", ""] for n in (1, 2, 3))]
    text = page.read_text(encoding="utf-8")
    assert f'<html lang="{language}">' in text
    assert all(rule in Page(text).texts for rule in sheet.words.rules)
    assert sheet.words.valid in text


def test_both_languages_have_the_same_columns() -> None:
    assert {len(set(columns)) for columns in COLUMNS.values()} == {4}
    assert COLUMNS.keys() == DELIMITERS.keys() == set(LANGUAGES)


def test_what_a_person_named_is_text_and_never_markup(photo: Path, tmp_path: Path) -> None:
    name = '<script>alert("1")</script> & "Cía"'
    page = write_sheet(tmp_path / "sheet", a_sheet(photo, product=name), 10**7)
    parsed = Page(page.read_text(encoding="utf-8"))

    assert "script" not in {tag for tag, _, _ in parsed.attributes}
    assert f"N01-NORTE-C01 · {name} · 2026-11-24" in parsed.texts


def test_the_frame_is_bright_what_is_around_it_faded_and_a_line_between() -> None:
    grey = np.full((600, 800, 3), 100, np.uint8)
    picture = draw_tile(grey, FRAME, Path("photo.jpg"))
    bright = (picture == 100).all(axis=2)
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1

    assert bright[top:bottom, left:right].all()
    assert (right - left) / (bottom - top) == pytest.approx(160 / 120, rel=0.02)
    scale = (right - left) / 160
    assert picture.shape[1] == pytest.approx((160 + 2 * CONTEXT * 40) * scale + 4 * LINE, abs=3)
    assert (picture[top + 5, left - LINE : left] == 255).all()
    assert (picture[top + 5, left - 2 * LINE : left - LINE] == 0).all()
    faded = picture[top + 5, left // 2]
    assert 150 < faded[0] < 220


@pytest.mark.parametrize("edges", [(0, 0, 90, 120), (700, 480, 800, 600), (0, 0, 800, 600), (0, 300, 2, 600)])
def test_a_frame_at_the_border_of_the_photo_has_its_line_all_around(
    edges: tuple[int, int, int, int],
) -> None:
    grey = np.full((600, 800, 3), 100, np.uint8)
    x1, y1, x2, y2 = edges
    picture = draw_tile(grey, replace(FRAME, x1=x1, y1=y1, x2=x2, y2=y2), Path("photo.jpg"))
    black = (picture == 0).all(axis=2)
    rows, columns = np.flatnonzero(black.any(axis=1)), np.flatnonzero(black.any(axis=0))

    for row in (rows[0], rows[-1]):
        assert black[row, columns[0] : columns[-1] + 1].all()
    for column in (columns[0], columns[-1]):
        assert black[rows[0] : rows[-1] + 1, column].all()


def test_a_photo_that_was_replaced_by_a_smaller_one_is_refused(photo: Path, tmp_path: Path) -> None:
    sheet = a_sheet(photo)
    tile = replace(sheet.tiles[0], frame=replace(FRAME, x2=801))

    with pytest.raises(PhotoError, match="has changed since it was counted"):
        write_sheet(tmp_path / "sheet", replace(sheet, tiles=(tile,)), 10**7)


def test_a_folder_of_photos_is_no_place_for_a_sheet(photo: Path) -> None:
    with pytest.raises(StorageError, match="holds photos"):
        write_sheet(photo.parent, a_sheet(photo), 10**7)
