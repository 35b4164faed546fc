"""The sheet of an audit: a page to print, a picture per tile, a file to type the counts into.

Whoever counts must not know what the machine counted, so nothing in these files says it: the pictures show a
frame and what is around it, and no box.
"""

from __future__ import annotations

import base64
import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.audit.records import Frame
from pipeline.audit.words import COLUMNS, DELIMITERS, Words
from pipeline.decode import JPEG_QUALITY, decode, save_image
from pipeline.errors import PhotoError, StorageError
from pipeline.find import own_folder, printable
from pipeline.types import Pixels

PAGE, COUNTS = "sheet.html", "counts.csv"
TEMPLATE = "sheet.html.jinja"
# Around the frame, in plant sizes: enough to see where a plant on its edge has its middle.
CONTEXT = 1.0
# A picture's longer side; on paper it is some 9 cm, so this prints at 225 dots an inch.
LONG_SIDE = 800
MOST_ENLARGED = 8.0
# How far what lies outside the frame fades to white.
FADE = 0.55
LINE = 3  # pixels, of black and again of white


@dataclass(frozen=True, slots=True)
class SheetTile:
    """A tile as the sheet shows it: where it is, not what is in it."""

    number: int
    place: str
    product: str
    day: str
    photo: Path
    frame: Frame


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is to be counted by hand."""

    code: str
    words: Words
    tiles: tuple[SheetTile, ...]


def write_sheet(folder: Path, sheet: Sheet, max_pixels: int) -> Path:
    """Write all files of the sheet into a folder of its own, and return the path of the page.

    Raises PhotoError where an original cannot be read, StorageError where a file cannot be written.
    """
    own_folder(folder)
    pictures: dict[int, str] = {}
    of_photo: dict[Path, list[SheetTile]] = defaultdict(list)
    for tile in sheet.tiles:
        of_photo[tile.photo].append(tile)
    for photo, tiles in of_photo.items():  # each photo is decoded once
        pixels = decode(photo, max_pixels=max_pixels, min_side=1)
        for tile in tiles:
            picture = draw_tile(pixels, tile.frame, photo)
            save_image(folder / f"tile-{tile.number:02d}.png", picture)
            pictures[tile.number] = _data_url(picture)
    _write(folder / COUNTS, _blank_counts(sheet))
    return _write(folder / PAGE, _page(sheet, pictures))


def draw_tile(photo: Pixels, frame: Frame, file: Path) -> Pixels:
    """The frame, enlarged, with what lies around it faded. Raises PhotoError if the photo is too small."""
    height, width = photo.shape[:2]
    if frame.x2 > width or frame.y2 > height:
        raise PhotoError(f"{printable(file)} has changed since it was counted: it is {width}×{height} pixels")
    margin = max(2, round(CONTEXT * frame.plant_px))
    left, top = max(0, frame.x1 - margin), max(0, frame.y1 - margin)
    crop = photo[top : frame.y2 + margin, left : frame.x2 + margin]
    scale = min(MOST_ENLARGED, LONG_SIDE / max(crop.shape[:2]))
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large: Pixels = cv2.resize(crop, size, interpolation=way).astype(np.uint8, copy=False)
    # The lines lie around the frame, so that they cover nothing of what is to be counted, and need room where
    # it ends with the photo.
    room = 2 * LINE
    x1, x2 = (round((x - left) * scale) for x in (frame.x1, frame.x2))
    y1, y2 = (round((y - top) * scale) for y in (frame.y1, frame.y2))
    faded = np.round(large + FADE * (255.0 - large)).astype(np.uint8)
    canvas: Pixels = np.pad(faded, ((room, room), (room, room), (0, 0)), constant_values=255)
    for ink, reach in ((0, room), (255, LINE)):
        canvas[y1 + room - reach : y2 + room + reach, x1 + room - reach : x2 + room + reach] = ink
    canvas[y1 + room : y2 + room, x1 + room : x2 + room] = large[y1:y2, x1:x2]
    return canvas


def _data_url(picture: Pixels) -> str:
    """The page holds its pictures, so that it can be sent and carried about as one file."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"


def _page(sheet: Sheet, pictures: dict[int, str]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    tiles = [
        {
            "number": tile.number,
            "place": tile.place,
            "product": tile.product,
            "day": tile.day,
            "picture": pictures[tile.number],
        }
        for tile in sheet.tiles
    ]
    return environment.get_template(TEMPLATE).render(
        code=sheet.code,
        words=sheet.words,
        tiles=tiles,
    )


def _blank_counts(sheet: Sheet) -> str:
    language = sheet.words.language
    text = io.StringIO()
    writer = csv.writer(text, delimiter=DELIMITERS[language], lineterminator="\r\n")
    writer.writerow(COLUMNS[language])
    writer.writerows((sheet.code, tile.number, "", "") for tile in _by_number(sheet.tiles))
    return text.getvalue()


def _by_number(tiles: Sequence[SheetTile]) -> list[SheetTile]:
    return sorted(tiles, key=lambda tile: tile.number)


def _write(path: Path, text: str) -> Path:
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise StorageError(
            f"{printable(path)} cannot be written: {error.strerror}."
            " Free some space, or choose another folder."
        ) from error
    return path
