"""Makers of ordinary and odd image files. Every photo is made when it is asked for; none is stored."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.types import Pixels

# Four colours that no decoder confuses, so every turn and mirror image can be told from the corners.
RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 200, 40), (40, 50, 210), (240, 240, 240)

EXIF_IFD, GPS_IFD, ORIENTATION = 0x8769, 0x8825, 0x0112
TAKEN, TAKEN_OFFSET, MAKE, MODEL = 0x9003, 0x9011, 0x010F, 0x0110

# How a camera stores an upright picture before it writes this orientation beside it.
_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def four_colours(width: int = 64, height: int = 48) -> Image.Image:
    """Red and green above, blue and white below."""
    pixels = np.empty((height, width, 3), np.uint8)
    middle, centre = height // 2, width // 2
    pixels[:middle, :centre], pixels[:middle, centre:] = RED, GREEN
    pixels[middle:, :centre], pixels[middle:, centre:] = BLUE, WHITE
    return Image.fromarray(pixels)


def scenery(width: int = 160, height: int = 120, seed: int = 1) -> Image.Image:
    """Soft blobs with grain, like a photo: no two rows alike, so that nothing missing stays unseen."""
    random = np.random.default_rng(seed)
    blobs = random.integers(0, 256, (height // 10, width // 10, 3), np.uint8)
    soft = cv2.resize(blobs, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    return Image.fromarray(np.clip(soft + random.integers(-9, 10, soft.shape), 0, 255).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """`kind` as Pillow names it: JPEG, PNG, WEBP, TIFF, HEIF."""
    if kind == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo(kind: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    return encode(four_colours(*size), kind)


def turned(kind: str, orientation: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """`four_colours` as a camera held that way stores it."""
    how = _STORED[orientation]
    upright = four_colours(*size)
    stored = upright if how is None else upright.transpose(how)
    return encode(stored, kind, exif=exif_block({ORIENTATION: orientation}))


def exif_block(
    main: Mapping[int, object] | None = None,
    details: Mapping[int, object] | None = None,
    gps: Mapping[int, object] | None = None,
) -> bytes:
    exif = Image.Exif()
    for tag, value in (main or {}).items():
        exif[tag] = value
    for pointer, tags in ((EXIF_IFD, details), (GPS_IFD, gps)):
        if tags is not None:
            exif[pointer] = dict(tags)
    return exif.tobytes()


def jpeg_with_exif(block: bytes, size: tuple[int, int] = (64, 48)) -> bytes:
    """A JPEG with these bytes, sense or nonsense, as its EXIF block."""
    plain = photo("JPEG", size)
    segment = b"Exif\0\0" + block.removeprefix(b"Exif\0\0")
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]


def ycck_jpeg() -> bytes:
    """`four_colours` as Photoshop saves CMYK: inks inverted, and three of them as luminance and chroma."""
    inks = 255 - np.asarray(four_colours())
    light = np.asarray(Image.fromarray(inks).convert("YCbCr"))  # YCCK inverts once more
    no_black = np.full(light.shape[:2], 255, np.uint8)
    samples = 255 - np.dstack([light, no_black])  # Pillow inverts all four on saving
    data = encode(Image.frombytes("CMYK", (64, 48), samples.tobytes()), "JPEG", quality=95, subsampling=0)
    transform = data.index(b"Adobe") + 11
    return data[:transform] + b"\x02" + data[transform + 1 :]


def png_16bit(samples: NDArray[np.uint16]) -> bytes:
    """(height, width) grey, or with 3 or 4 channels blue green red (alpha)."""
    return cv2.imencode(".png", samples)[1].tobytes()


def png_of_size(width: int, height: int) -> bytes:
    """A header that promises more than the file holds: 40,000 × 40,000 pixels in a hundred bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def jpeg_of_size(width: int, height: int) -> bytes:
    data = bytearray(photo("JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def webp_of_size(width: int, height: int) -> bytes:
    plain = encode(four_colours(), "WEBP", exif=exif_block({MODEL: "X100"}))
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return plain[:24] + size + plain[30:]


def tiff_of_size(width: int, height: int) -> bytes:
    return _tiff_with({0x0100: width, 0x0101: height})


def tiff_of_channels(channels: int) -> bytes:
    """More channels than Pillow can decode, which it logs as an error."""
    return _tiff_with({0x0115: channels})


def png_with_late_exif(block: bytes) -> bytes:
    """EXIF behind the pixels, where some editors put it."""
    plain = photo("PNG")
    end = plain.rindex(b"IEND") - 4
    return plain[:end] + _chunk(b"eXIf", block.removeprefix(b"Exif\0\0")) + plain[end:]


def corners(pixels: Pixels) -> list[str]:
    """Colours of the corners: top left, top right, bottom left, bottom right."""
    height, width = pixels.shape[:2]
    y, x = height // 8, width // 8
    return [colour(pixels[row, column]) for row in (y, height - 1 - y) for column in (x, width - 1 - x)]


def colour(pixel: NDArray[np.uint8]) -> str:
    """The nearest of the four colours, or "none of them" if it is off by more than 16 in any channel."""
    names = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE}
    for name, rgb in names.items():
        if np.abs(pixel[::-1].astype(int) - rgb).max() <= 16:
            return name
    return "none of them"


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _tiff_with(values: Mapping[int, int]) -> bytes:
    """`four_colours` with other numbers in the entries of some tags (tag, type, count, value)."""
    data = bytearray(photo("TIFF"))
    (start,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, start)
    for at in range(start + 2, start + 2 + 12 * entries, 12):
        tag, kind = struct.unpack_from("<HH", data, at)
        if tag in values:
            struct.pack_into("<H" if kind == 3 else "<I", data, at + 8, values[tag])
    return bytes(data)
