"""What a photo file says of itself: kind, size, orientation, time, place and camera. No pixel is decoded.

The header must be right; EXIF may be anything. Cameras, phones and messaging apps write tags that are cut
off, empty or absurd, so every tag is read by itself and is dropped if it makes no sense.
"""

from __future__ import annotations

import datetime as dt
import io
import logging
import math
import re
import struct
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, JpegImagePlugin, TiffImagePlugin

from pipeline.errors import PhotoError
from pipeline.find import printable
from pipeline.types import Gps, PhotoInfo
from pipeline.words import Sentence

HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# Some readers take in the whole file. 100 megapixels with 16 bits and four channels have 0.8 GB.
MAX_BYTES = 1_000_000_000

MAKE, MODEL, ORIENTATION, EXIF_IFD, GPS_IFD = 0x010F, 0x0110, 0x0112, 0x8769, 0x8825
TAKEN, DIGITIZED = 0x9003, 0x9004
TAKEN_OFFSET, DIGITIZED_OFFSET = 0x9011, 0x9012
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, ALTITUDE_REF, ALTITUDE, GPS_ERROR = 1, 2, 3, 4, 5, 6, 31

# What Pillow raises on bytes that are not what they should be.
GARBAGE = (
    SyntaxError, OSError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError,
    ZeroDivisionError, RuntimeError, AttributeError, struct.error, Image.DecompressionBombError,
)  # fmt: skip

_TIME = re.compile(r"\s*([0-9]{4})[:/.-]([0-9]{1,2})[:/.-]([0-9]{1,2})[ T]([0-9]{1,2}):([0-9]{2}):([0-9]{2})")
_OFFSET = re.compile(r"\s*([+-])([0-9]{2}):?([0-9]{2})")

Tags = dict[int, object]


@dataclass(frozen=True, slots=True)
class Exif:
    """The tags we use, of the main directory and of the two that it points to."""

    main: Tags
    details: Tags
    gps: Tags

    @property
    def orientation(self) -> int:
        value = self.main.get(ORIENTATION)
        return value if isinstance(value, int) and 1 <= value <= 8 else 1


@dataclass(frozen=True, slots=True)
class Header:
    """A photo file before its pixels. Width and height are as stored; `orientation` turns them upright."""

    format: str
    width: int
    height: int
    orientation: int  # 1–8 as in EXIF
    exif: Exif

    @property
    def upright(self) -> tuple[int, int]:
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_info(path: Path) -> PhotoInfo:
    """Size (upright), time, place and camera. Raises PhotoError if the file is not a photo that we read."""
    try:
        with path.open("rb") as file:
            header = read_header(file, path)
    except OSError as error:
        raise PhotoError(
            Sentence("{shown} cannot be read: {strerror}.", shown=printable(path), strerror=error.strerror)
        ) from error
    width, height = header.upright
    exif = header.exif
    return PhotoInfo(
        width, height, header.format, _taken_at(exif.details), _gps(exif.gps), _camera(exif.main)
    )


def read_header(file: BinaryIO, path: Path) -> Header:
    """Raises PhotoError; `path` is only for its sentence. The content decides the format, not the name."""
    size = file.seek(0, io.SEEK_END)
    if size > MAX_BYTES:
        raise PhotoError(
            Sentence(
                "{path} has {size:,.0f} MB, which is no photo: the limit is {most:,.0f} MB;"
                " send a smaller copy.",
                path=path,
                size=size / 1e6,
                most=MAX_BYTES / 1e6,
            )
        )
    file.seek(0)
    start = file.read(16)
    file.seek(0)
    name = _format(start)
    if name is None:
        what = Sentence("holds no photo") if start else Sentence("is empty (0 bytes)")
        raise PhotoError(
            Sentence(
                "{shown} {problem}: JPEG, PNG, WebP, TIFF and HEIC can be counted.",
                shown=printable(path),
                problem=what,
            )
        )
    try:
        with _no_comments():
            header = _READERS[name](file)
    except GARBAGE as error:
        raise PhotoError(
            Sentence(
                "{path} starts like a {name} image, but is damaged or cut off: copy it again.",
                path=path,
                name=name,
            )
        ) from error
    if header.width < 1 or header.height < 1:
        raise PhotoError(
            Sentence("{path} is a {name} image without pixels: copy it again.", path=path, name=name)
        )
    return header


def _format(start: bytes) -> str | None:
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start.startswith(PNG_SIGNATURE):
        return "PNG"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "WEBP"
    if start[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
        return "TIFF"
    if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS:
        return "HEIF"
    return None


# Not by Image.open, which guesses among fifty formats and has a size limit of its own.
def _jpeg(file: BinaryIO) -> Header:
    image = JpegImagePlugin.JpegImageFile(file)
    exif = _exif(image.info.get("exif"))
    return Header("JPEG", image.width, image.height, exif.orientation, exif)


def _png(file: BinaryIO) -> Header:
    """By hand: Pillow decodes all pixels to look for EXIF behind them, and stumbles over large texts."""
    file.seek(len(PNG_SIGNATURE))
    # The first chunk is the header. Decoders look there, so a second one must not hide a bomb from us.
    _, kind, width, height = struct.unpack(">I4sII", file.read(16))
    if kind != b"IHDR":
        raise ValueError("no header")
    block = b""
    file.seek(len(PNG_SIGNATURE))
    while len(lead := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", lead)
        after = file.tell() + length + 4
        if kind == b"eXIf":
            block = file.read(length)
        file.seek(after)
    exif = _exif(block)
    return Header("PNG", width, height, exif.orientation, exif)


def _webp(file: BinaryIO) -> Header:
    """By hand: Pillow makes room for all pixels to look at the header."""
    file.seek(12)
    kind, _, start = struct.unpack("<4sI10s", file.read(18))
    if kind == b"VP8X":  # with EXIF, transparency or frames
        width, height = (1 + int.from_bytes(start[at : at + 3], "little") for at in (4, 7))
    elif kind == b"VP8L":  # lossless: 14 bits each, after a signature
        bits = int.from_bytes(start[1:5], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (size & 0x3FFF for size in struct.unpack("<HH", start[6:]))
    else:
        raise ValueError("no image")
    block = b""
    file.seek(12)
    while len(lead := file.read(8)) == 8:
        kind, length = struct.unpack("<4sI", lead)
        after = file.tell() + length + length % 2
        if kind == b"EXIF":
            block = file.read(length)
        file.seek(after)
    exif = _exif(block)
    return Header("WEBP", width, height, exif.orientation, exif)


def _tiff(file: BinaryIO) -> Header:
    image = TiffImagePlugin.TiffImageFile(file)
    width, height = (
        int(image.tag_v2[tag]) for tag in (TiffImagePlugin.IMAGEWIDTH, TiffImagePlugin.IMAGELENGTH)
    )
    exif = _exif_of(file)  # a TIFF file is its own EXIF block
    return Header("TIFF", width, height, exif.orientation, exif)


def _heif(file: BinaryIO) -> Header:
    """HEIF turns its pixels by itself; its EXIF orientation is for the record only."""
    import pillow_heif

    image = pillow_heif.open_heif(file)
    width, height = image.size
    return Header("HEIF", width, height, 1, _exif(image.info.get("exif")))


_READERS = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "TIFF": _tiff, "HEIF": _heif}


@contextmanager
def _no_comments() -> Iterator[None]:
    """Pillow warns of and logs every odd tag; odd tags are our daily bread, and what is fatal is raised."""
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _exif(block: bytes | None) -> Exif:
    return _exif_of(io.BytesIO(re.sub(rb"^(?:Exif\x00\x00)+", b"", block or b"")))


def _exif_of(file: BinaryIO) -> Exif:
    """Whatever can be read from a TIFF structure."""
    with _no_comments():
        main = _tags(file, (MAKE, MODEL, ORIENTATION, EXIF_IFD, GPS_IFD))
        details = _tags(file, (TAKEN, TAKEN_OFFSET, DIGITIZED, DIGITIZED_OFFSET), main.get(EXIF_IFD, 0))
        gps = _tags(file, (*range(LATITUDE_REF, ALTITUDE + 1), GPS_ERROR), main.get(GPS_IFD, 0))
    return Exif(main, details, gps)


def _tags(file: BinaryIO, wanted: Iterable[int], offset: object = None) -> Tags:
    """Those of the wanted tags that can be read, from the directory at `offset` (None: the first one)."""
    tags: Tags = {}
    try:
        file.seek(0)
        head = file.read(8)
        head += file.read(8) if b"+" in head[2:4] else b""  # BigTIFF
        directory = TiffImagePlugin.ImageFileDirectory_v2(head)
        start = directory.next if offset is None else offset
        if not isinstance(start, int) or start < 8:
            return tags
        file.seek(start)
        directory.load(file)
    except GARBAGE:
        return tags
    for tag in wanted:
        try:
            tags[tag] = directory[tag]
        except GARBAGE:  # missing or unreadable: one bad tag must not cost the others
            continue
    return tags


def _text(value: object) -> str:
    """A tag as text that may be shown and stored: no NUL, no control characters."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    value = value.split("\0", 1)[0]
    return " ".join("".join(char if char.isprintable() else " " for char in value).split())[:100]


def _camera(tags: Tags) -> str | None:
    make, model = _text(tags.get(MAKE)), _text(tags.get(MODEL))
    if model.lower().startswith(make.lower()):  # "Canon" and "Canon EOS 80D"
        make = ""
    return f"{make} {model}".strip() or None


def _taken_at(tags: Tags) -> dt.datetime | None:
    for time, offset in ((TAKEN, TAKEN_OFFSET), (DIGITIZED, DIGITIZED_OFFSET)):
        match = _TIME.match(_text(tags.get(time)))
        if match is None:
            continue
        try:
            taken = dt.datetime(*(int(part) for part in match.groups()), tzinfo=_zone(tags.get(offset)))  # type: ignore[arg-type,misc]
        except ValueError:
            continue
        if 1900 <= taken.year <= 2100:
            return taken
    return None


def _zone(value: object) -> dt.timezone | None:
    text = _text(value)
    if text == "Z":
        return dt.UTC
    match = _OFFSET.match(text)
    if match is None:
        return None
    sign, hours, minutes = match.groups()
    offset = dt.timedelta(hours=int(hours), minutes=int(minutes))
    if offset > dt.timedelta(hours=14) or int(minutes) >= 60:
        return None
    return dt.timezone(-offset if sign == "-" else offset)


def _gps(tags: Tags) -> Gps | None:
    """A position, or None: without its hemispheres it could be on the other side of the world."""
    latitude = _degrees(tags.get(LATITUDE), _text(tags.get(LATITUDE_REF)), "NS", 90)
    longitude = _degrees(tags.get(LONGITUDE), _text(tags.get(LONGITUDE_REF)), "EW", 180)
    if latitude is None or longitude is None or (latitude, longitude) == (0, 0):  # (0, 0): no fix yet
        return None
    return Gps(latitude, longitude, _altitude(tags), _error(tags))


def _degrees(value: object, reference: str, letters: str, limit: int) -> float | None:
    """Signed decimal degrees from degrees, minutes and seconds."""
    parts = [_number(part) for part in (value if isinstance(value, tuple) else (value,))]
    letter = reference[:1].upper()
    if letter not in letters or not letter or len(parts) > 3:
        return None
    total = 0.0
    for part, unit, most in zip(parts, (1, 60, 3600), (limit, 60, 60), strict=False):
        if part is None or not 0 <= part <= most:
            return None
        total += part / unit
    if total > limit:
        return None
    return -total if letter == letters[1] else total


def _altitude(tags: Tags) -> float | None:
    metres = _number(tags.get(ALTITUDE))
    if metres is None or not 0 <= metres <= 10_000:
        return None
    reference = tags.get(ALTITUDE_REF)
    below = reference in (1, 3, b"\x01", b"\x03")  # 3: below the ellipsoid, since EXIF 3.0
    return -metres if below and metres else metres


def _error(tags: Tags) -> float | None:
    metres = _number(tags.get(GPS_ERROR))
    return metres if metres is not None and 0 < metres <= 1_000_000 else None


def _number(value: object) -> float | None:
    """None for what is no number, and for x/0, which some cameras write for "unknown"."""
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    if not isinstance(value, int | float | TiffImagePlugin.IFDRational):
        return None
    try:
        number = float(value)
    except (ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) else None
