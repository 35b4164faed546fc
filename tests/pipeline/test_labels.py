"""Labels to print: what a phone reads from the paper is the place."""

from __future__ import annotations

from pathlib import Path

import pypdfium2
import pytest
import zxingcpp
from PIL import Image

from pipeline.errors import StorageError
from pipeline.labels import A4_MM, SHEETS, Label, qr_picture, save_labels


def labels(number: int) -> list[Label]:
    return [
        Label(f"N{n:02d}-NORTE-C{n:02d}", f"Nave {n}, Cantero Norte, Claro {n}", f"QR-N{n:02d}N-C{n:02d}")
        for n in range(1, number + 1)
    ]


def read(path: Path) -> list[str]:
    with Image.open(path) as picture:
        return sorted(code.text for code in zxingcpp.read_barcodes(picture))


@pytest.mark.parametrize("name", SHEETS)
def test_every_code_on_a_sheet_is_read_back(tmp_path: Path, name: str) -> None:
    sheet = SHEETS[name]
    made = labels(sheet.per_page)
    [path] = save_labels(tmp_path / "sheet.png", made, sheet)

    assert read(path) == [label.payload for label in made]
    with Image.open(path) as picture:
        assert picture.size == pytest.approx((2480, 3508), abs=2)  # A4 at 300 dots per inch


def test_a_pdf_has_a_page_for_each_sheet_and_the_codes_as_text(tmp_path: Path) -> None:
    [path] = save_labels(tmp_path / "new" / "sheet.pdf", labels(50), SHEETS["24"])
    document = pypdfium2.PdfDocument(path)
    text = document[2].get_textpage().get_text_bounded()
    assert len(document) == 3
    assert [word for word in text.split() if word.startswith("C")][:1] == ["C49"]
    document.close()


def test_a_sheet_that_was_begun_is_used_up(tmp_path: Path) -> None:
    files = save_labels(tmp_path / "sheet.png", labels(10), SHEETS["24"], skip=20)
    assert [path.name for path in files] == ["sheet-1.png", "sheet-2.png"]
    assert [len(read(path)) for path in files] == [4, 6]


def test_labels_lie_on_the_paper() -> None:
    for sheet in SHEETS.values():
        left, top = sheet.corner(0)
        right, bottom = sheet.corner(sheet.per_page - 1)
        assert left >= 0 and top >= 0
        assert right + sheet.width <= A4_MM[0] and bottom + sheet.height <= A4_MM[1]


@pytest.mark.parametrize(
    "label",
    [
        Label("X" * 40, "y" * 300, "QR-LONG-1"),
        Label("N01-NORTE-C01", "名前 – “ñandú”", "QR-SIGNS-1"),
        Label("A-B-C-D-E-F-G-H", "", "QR-PARTS-1"),
    ],
)
def test_any_name_fits_on_the_smallest_label(tmp_path: Path, label: Label) -> None:
    [path] = save_labels(tmp_path / "sheet.png", [label], SHEETS["65"])
    assert read(path) == [label.payload]


def test_a_dirty_code_is_still_read() -> None:
    picture = qr_picture("QR-N01N-C07")
    side = picture.width
    picture.paste(255, (int(side * 0.55), int(side * 0.55), int(side * 0.68), int(side * 0.68)))
    assert [code.text for code in zxingcpp.read_barcodes(picture)] == ["QR-N01N-C07"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        save_labels(tmp_path / "file" / "x.pdf", labels(1), SHEETS["24"])
