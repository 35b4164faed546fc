"""Labels with a QR code for the places, as sheets of A4: a PDF, or a PNG for each sheet.

The grids fit labels that are sold on A4 sheets; on plain paper thin lines show where to cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pypdfium2
import segno
from fpdf import FPDF
from PIL import Image

from pipeline.errors import StorageError

A4_MM = (210.0, 297.0)
DPI = 300
_PADDING = 2.5  # mm between the edge of a label and what is printed
_LINE = 0.42  # mm from line to line, per point of the type
_MODULE_PX = 8  # of the picture of a QR code; printed, it is scaled
_QUIET = 4  # modules of white that a reader needs around a QR code


@dataclass(frozen=True, slots=True)
class Label:
    """`payload` is what the QR code says."""

    code: str
    name: str
    payload: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A grid of labels on A4, in millimetres. Centred; `gap` is between columns."""

    columns: int
    rows: int
    width: float
    height: float
    gap: float

    @property
    def per_page(self) -> int:
        return self.columns * self.rows

    def corner(self, place: int) -> tuple[float, float]:
        """The upper left corner of the label at a place of the page, counted along the rows."""
        row, column = divmod(place, self.columns)
        left = (A4_MM[0] - self.columns * self.width - (self.columns - 1) * self.gap) / 2
        top = (A4_MM[1] - self.rows * self.height) / 2
        return left + column * (self.width + self.gap), top + row * self.height


SHEETS = {
    "24": Sheet(3, 8, 63.5, 33.9, 2.5),
    "8": Sheet(2, 4, 99.1, 67.7, 2.5),
    "65": Sheet(5, 13, 38.1, 21.2, 2.5),
}


def save_labels(
    path: Path, labels: Sequence[Label], sheet: Sheet, *, title: str = "", skip: int = 0, lines: bool = True
) -> list[Path]:
    """Write the labels and return the files: one PDF, or `x-1.png`, `x-2.png` … if there are several pages.

    `skip` leaves the first places of the first page empty, for a sheet that was begun; `lines` draws where to
    cut. Raises StorageError.
    """
    document = _draw(labels, sheet, title, skip, lines)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".pdf":
            path.write_bytes(document)
            return [path]
        return _save_pages(path, document)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}.") from error


def _draw(labels: Sequence[Label], sheet: Sheet, title: str, skip: int, lines: bool) -> bytes:
    pdf = FPDF(unit="mm", format="A4")
    pdf.set_auto_page_break(False)
    pdf.set_title(title)
    pdf.set_line_width(0.1)
    pdf.set_draw_color(190)
    for number, label in enumerate(labels, skip):
        if number % sheet.per_page == 0 or number == skip:
            pdf.add_page()
        _draw_label(pdf, label, sheet, sheet.corner(number % sheet.per_page), lines)
    return bytes(pdf.output())


def _draw_label(pdf: FPDF, label: Label, sheet: Sheet, corner: tuple[float, float], cut: bool) -> None:
    left, top = corner
    side = min(sheet.height, sheet.width / 2)  # with its own white margin
    pdf.image(qr_picture(label.payload), left, top + (sheet.height - side) / 2, side, side)
    width = sheet.width - side - _PADDING
    # The parts of a code one under the other, as large as the longest allows: read from two metres away.
    parts = _printable(label.code).split("-")
    size = min(_fitting(pdf, part, width, 60) for part in parts)
    size = min(size, sheet.height * 0.55 / len(parts) / _LINE)
    small = max(5.0, sheet.height / 4.5)
    room = math.floor((sheet.height - 2 * _PADDING - len(parts) * size * _LINE) / (small * _LINE))
    lines = _wrapped(pdf, _printable(label.name), width, small)
    if len(lines) > room:
        lines = [*lines[: room - 1], f"{lines[room - 1]}..."] if room > 0 else []
    block = (len(parts) * size + len(lines) * small) * _LINE
    y = top + (sheet.height - block) / 2
    for text, style, points in [(part, "B", size) for part in parts] + [(line, "", small) for line in lines]:
        pdf.set_font("Helvetica", style, points)
        pdf.text(left + side, y + points * 0.31, text)
        y += points * _LINE
    if cut:
        pdf.rect(left, top, sheet.width, sheet.height)


def _wrapped(pdf: FPDF, text: str, width: float, points: float) -> list[str]:
    pdf.set_font("Helvetica", "", points)
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and pdf.get_string_width(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _fitting(pdf: FPDF, text: str, width: float, largest: float) -> float:
    pdf.set_font("Helvetica", "B", largest)
    return min(largest, largest * width / max(pdf.get_string_width(text), 0.1))


def _printable(text: str) -> str:
    """In the letters that a PDF's own fonts have: those of Western Europe."""
    return text.encode("cp1252", "replace").decode("cp1252").encode("latin-1", "replace").decode("latin-1")


def qr_picture(payload: str) -> Image.Image:
    """Black on white, with the margin that readers need. A quarter of it may be dirty (level Q)."""
    code = segno.make_qr(payload, error="Q", boost_error=False)
    rows = [bytes(0 if dark else 255 for dark in row) for row in code.matrix]
    picture = Image.frombytes("L", (len(rows[0]), len(rows)), b"".join(rows))
    side = len(rows) + 2 * _QUIET
    framed = Image.new("L", (side, side), 255)
    framed.paste(picture, (_QUIET, _QUIET))
    return framed.resize((side * _MODULE_PX, side * _MODULE_PX), Image.Resampling.NEAREST)


def _save_pages(path: Path, document: bytes) -> list[Path]:
    pages = pypdfium2.PdfDocument(document)
    try:
        names = (
            [path]
            if len(pages) == 1
            else [path.with_stem(f"{path.stem}-{n}") for n in range(1, len(pages) + 1)]
        )
        for page, name in zip(pages, names, strict=True):
            page.render(scale=DPI / 72).to_pil().convert("L").save(name, dpi=(DPI, DPI), optimize=True)
    finally:
        pages.close()
    return names
