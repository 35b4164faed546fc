"""The batch that every scenario counts: sixty drawn photos, two tiny networks, and a database to start from.

The networks are real OpenVINO files without weights (tests/pipeline/networks.py): a bright disc is a plant.
So sixty photos are counted in a few seconds, by the same code and processes that count real ones.
"""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path
from random import Random

import cv2
import numpy as np
from PIL import Image

from tests.pipeline.networks import CELL, save_detector, save_segmenter

ROOT = Path(__file__).parents[2]
PHOTOS = 60
FEW = 24  # for a quick campaign
NAMELESS = 4  # of them tell no place
COLUMNS, ROWS = 24, 16
TAKEN = 0x9003  # EXIF: DateTimeOriginal
EXIF = 0x8769
FIRST_DAY = dt.datetime(2026, 6, 1, 9)
GATE = ("unreadable", "dark", "bright", "haze", "motion", "blur", "small", "angle", "turned")


def places() -> list[str]:
    """The demo nursery's places where something is configured to grow."""
    with (ROOT / "seeds/demo/04_storage_location_config.csv").open(encoding="utf-8") as file:
        return [row["storage_location"] for row in csv.DictReader(file)]


def make_photos(folder: Path, number: int, size: tuple[int, int] = (COLUMNS, ROWS)) -> None:
    """Several photos of each place, a day apart, so that the order of booking could matter; one that is cut
    off, one that is a copy of another, a few that tell no place."""
    folder.mkdir(parents=True)
    random, known = Random(60), places()
    for index in range(number):
        place = known[index % len(known)] if index >= NAMELESS else "IMG"
        taken = FIRST_DAY + dt.timedelta(days=index // len(known), minutes=index)
        _save(folder / f"{place}_{index:04}.jpg", _bed(random, size), taken)
    _spoil(folder)


def _spoil(folder: Path) -> None:
    """The last photo is a copy of the one before it, and the one before that is cut off."""
    *_, cut, copied, copy = sorted(folder.glob("*.jpg"))
    copy.write_bytes(copied.read_bytes())
    whole = cut.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])


def _bed(random: Random, size: tuple[int, int]) -> np.ndarray:
    columns, rows = size
    photo = np.zeros(((rows + 2) * CELL, (columns + 2) * CELL, 3), np.uint8)
    photo[CELL:-CELL, CELL:-CELL] = 60
    most = columns * rows
    for cell in random.sample(range(most), random.randint(most // 10, most * 8 // 10)):
        row, column = divmod(cell, columns)
        middle = ((column + 1) * CELL + CELL // 2, (row + 1) * CELL + CELL // 2)
        cv2.circle(photo, middle, CELL * 3 // 8, (250, 250, 250), -1)
    return photo


def _save(path: Path, pixels: np.ndarray, taken: dt.datetime) -> None:
    exif = Image.Exif()
    exif.get_ifd(EXIF)[TAKEN] = f"{taken:%Y:%m:%d %H:%M:%S}"
    Image.fromarray(pixels).save(path, quality=90, exif=exif)


def make_models(folder: Path) -> dict[str, str]:
    """Write the networks; returns the settings that name them and suit them."""
    settings = {
        "DEMETER_DETECTOR": str(save_detector(folder)),
        "DEMETER_SEGMENTER": str(save_segmenter(folder)),
        "DEMETER_TILE": "64",
        "DEMETER_VIEW_SIDE": "0",
    }
    # Drawn scenes are no photographs: what the gate holds against their pixels is beside the point.
    return settings | {f"DEMETER_GATE_{check.upper()}": "off" for check in GATE}
