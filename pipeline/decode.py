"""Files in, upright pixels out; and pixels back into files.

A photo that is cut off must never be counted as if it were whole, and decoders are forgiving: some fill what
is missing with grey and say nothing. So the structure of each file is checked to its end before decoding.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from pipeline.errors import PhotoError, StorageError
from pipeline.exif import GARBAGE, PNG_SIGNATURE, Header, read_header
from pipeline.find import printable
from pipeline.machine import free_memory
from pipeline.types import Pixels
from pipeline.words import Sentence

JPEG_QUALITY = 90
WEBP_QUALITY = 85
BYTES_PER_PIXEL = 6  # three as decoded, and three again where the photo is turned upright

# The end of entropy-coded JPEG data: a marker that is neither a stuffed 0xFF nor a restart.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

_MORE_SCAN_DATA = b"\x35\xa9\x5c\x12" * 64

_one_at_a_time = threading.Lock()

Samples = NDArray[
    np.integer[Any] | np.floating[Any]
]  # (height, width) or (height, width, channels), 8 or 16 bits


def require_opencv() -> None:
    """Raises ImportError with a sentence when OpenCV lacks a system library, as on a bare server."""
    try:
        import cv2  # noqa: F401
    except ModuleNotFoundError as error:
        raise ImportError("OpenCV is not installed: install Demeter again with pip.") from error
    except ImportError as error:
        raise ImportError(
            f"OpenCV cannot be loaded ({error}): install its system libraries,"
            " on Debian and Ubuntu with `apt-get install libgl1 libglib2.0-0`."
        ) from error


def decode(
    path: Path, *, max_pixels: int, min_side: int, reduce: int = 1, sha256: str | None = None
) -> Pixels:
    """The photo as uint8 blue-green-red, upright, in C order; of several frames the first.

    16-bit samples are scaled to 8 bits, transparency is laid over black, colour profiles are ignored.
    `reduce` 2, 4 or 8 gives sides of ceil(side / reduce), for JPEG in a fraction of the time.
    `max_pixels` and `min_side` concern the photo before reduction. Raises PhotoError, also if the file's
    sha256 is not the one given.
    """
    require_opencv()
    shown = printable(path)
    try:
        with path.open("rb") as file:
            header = read_header(file, path)
            _check_size(header, max_pixels, min_side, shown)
            _check_memory(header, shown)
            file.seek(0)
            data = file.read()
    except OSError as error:
        raise PhotoError(
            Sentence("{shown} cannot be read: {strerror}.", shown=shown, strerror=error.strerror)
        ) from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise PhotoError(
            Sentence(
                "{shown} changed since it was found: another file has its name now; run again.", shown=shown
            )
        )
    if not _is_whole(header.format, data):
        raise PhotoError(
            Sentence(
                "{shown} is cut off: part of the {format} image is missing; copy it again.",
                shown=shown,
                format=header.format,
            )
        )
    pixels = _pixels(header, data, reduce)
    width, height = header.upright
    if pixels is None or pixels.shape[:2] != (-(-height // reduce), -(-width // reduce)):
        raise PhotoError(
            Sentence(
                "{shown} is damaged, or a kind of {format} image that cannot be read: copy it again.",
                shown=shown,
                format=header.format,
            )
        )
    return pixels


def is_whole_file(path: Path) -> bool:
    """Whether a file is a photo that goes on to its end; its pixels may still be damaged."""
    try:
        with path.open("rb") as file:
            header = read_header(file, path)
            file.seek(0)
            return _is_whole(header.format, file.read())
    except (OSError, PhotoError):
        return False


def save_image(path: Path, pixels: Pixels) -> None:
    """Write JPEG, WebP or PNG, by the suffix. The file appears whole or not at all. Raises StorageError."""
    import cv2

    quality = {
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
        ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY],
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY],
        ".png": [],
    }[path.suffix.lower()]
    try:
        with _quiet():
            done, data = cv2.imencode(path.suffix.lower(), pixels, quality)
    except cv2.error:
        done = False
    if not done:
        height, width = pixels.shape[:2]
        raise StorageError(
            Sentence(
                "{path} cannot be written: {width}×{height} pixels do not fit this format.",
                path=path,
                width=width,
                height=height,
            )
        )
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        try:
            part.write_bytes(data.tobytes())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            Sentence(
                "{path} cannot be written: {strerror}. Free some space, or choose another folder.",
                path=path,
                strerror=error.strerror,
            )
        ) from error


def _check_size(header: Header, max_pixels: int, min_side: int, shown: str) -> None:
    """Before a byte is decoded: a small file can hold pixels for more memory than there is."""
    width, height = header.upright
    if min(width, height) < min_side:
        raise PhotoError(
            Sentence(
                "{shown} is too small to count ({width}×{height} pixels): each side must have at"
                " least {min_side} pixels.",
                shown=shown,
                width=width,
                height=height,
                min_side=min_side,
            )
        )
    if width * height > max_pixels:
        raise PhotoError(
            Sentence(
                "{shown} is too large ({width}×{height}, {size:,.1f} megapixels): the limit is"
                " {most:,.1f} megapixels; raise it or send a smaller copy.",
                shown=shown,
                width=width,
                height=height,
                size=width * height / 1e6,
                most=max_pixels / 1e6,
            )
        )


def _check_memory(header: Header, shown: str) -> None:
    """A photo for which there is no room would take the whole process with it."""
    width, height = header.upright
    needed, free = width * height * BYTES_PER_PIXEL, free_memory()
    if free is not None and needed > free:
        raise PhotoError(
            Sentence(
                "{shown} ({width}×{height}) needs about {needed:,} MB of memory, and {free:,} MB"
                " are free: count with fewer workers, or send a smaller copy.",
                shown=shown,
                width=width,
                height=height,
                needed=needed >> 20,
                free=free >> 20,
            )
        )


def _is_whole(name: str, data: bytes) -> bool:
    """Whether the file goes on to the end that its own structure announces."""
    match name:
        case "JPEG":
            return _jpeg_end(data) > 0
        case "PNG":
            return _png_is_whole(data)
        case "WEBP":
            return len(data) >= int.from_bytes(data[4:8], "little") + 8
        case _:
            return True  # their decoders refuse what is cut off


def _jpeg_end(data: bytes) -> int:
    """Where the image ends, or -1. Previews in EXIF have ends of their own: they are skipped."""
    at, scans = 2, 0
    while marker := _MARKER.search(data, at):
        code, at = data[marker.start() + 1], marker.end()
        if code == 0xD9:
            return marker.start() if scans else -1
        scans += code == 0xDA
        if code not in (0x01, 0xD8):  # these two stand alone; a length follows all others
            at += int.from_bytes(data[at : at + 2], "big")
    return -1


def _png_is_whole(data: bytes) -> bool:
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        at += length + 12
        if kind == b"IEND":
            return bool(at <= len(data))
    return False


def _pixels(header: Header, data: bytes, reduce: int) -> Pixels | None:
    """None if the data are damaged."""
    with _quiet():
        match header.format:
            case "JPEG":
                samples, reduce = _upright(_jpeg(data, reduce), header.orientation), 1
            case "TIFF":
                samples = _tiff(data)  # upright already
            case "HEIF":
                samples = _heif(data)  # likewise
            case _:
                samples = _upright(_opencv(data), header.orientation)
    return None if samples is None else _reduced(_to_bgr(samples), reduce)


def _jpeg(data: bytes, reduce: int) -> Samples | None:
    """Pixels as stored; scaled while decoding, which skips most of the work."""
    import cv2

    mode = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }[reduce]
    mode |= cv2.IMREAD_IGNORE_ORIENTATION
    pixels = _imdecode(data, mode)
    if pixels is None or (pixels[-4:, -4:] != pixels[-1, -1]).any():
        return pixels
    # A flat last corner: scenery, or what the decoder fills in when its data end early, as after a hole. More
    # data before the end change nothing in a whole image; in the other they take the place of the filling.
    end = _jpeg_end(data)
    again = _imdecode(data[:end] + _MORE_SCAN_DATA + data[end:], mode)
    return pixels if again is not None and np.array_equal(again, pixels) else None


def _opencv(data: bytes) -> Samples | None:
    import cv2

    return _imdecode(data, cv2.IMREAD_UNCHANGED)  # all bits and channels, as stored


def _imdecode(data: bytes, mode: int) -> Samples | None:
    import cv2

    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error:
        return None


def _tiff(data: bytes) -> Samples | None:
    """By Pillow: OpenCV turns some TIFF files upright and others not."""
    try:
        image = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
        image.load()
    except GARBAGE:
        return None
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode in {"I", "F"}:
        return None  # measurements, not brightness
    samples = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    return samples[..., [2, 1, 0, 3][: samples.shape[2]]]


def _heif(data: bytes) -> Samples | None:
    import pillow_heif

    try:
        return np.array(pillow_heif.open_heif(io.BytesIO(data), bgr_mode=True))
    except GARBAGE:
        return None


def _to_bgr(samples: Samples) -> Pixels:
    """Grey, with or without transparency, 8 or 16 bits: all become three channels of 8 bits."""
    import cv2

    if samples.dtype == np.uint16:
        samples = cv2.convertScaleAbs(samples, alpha=1 / 257)
    if samples.ndim == 2:
        samples = cv2.cvtColor(samples, cv2.COLOR_GRAY2BGR)
    if samples.shape[2] == 4:
        alpha = cv2.cvtColor(samples[..., 3], cv2.COLOR_GRAY2BGR)
        samples = cv2.multiply(cv2.cvtColor(samples, cv2.COLOR_BGRA2BGR), alpha, scale=1 / 255)
    return np.ascontiguousarray(samples, np.uint8)


def _upright(samples: Samples | None, orientation: int) -> Samples | None:
    """Turn stored pixels as the camera was held. Orientations as in EXIF: 6 is stored 90° anticlockwise."""
    import cv2

    if samples is None:
        return None
    mirrored = orientation in {2, 4, 5, 7}
    if mirrored:
        samples = cv2.flip(samples, 1)
    turn = {
        3: cv2.ROTATE_180,
        4: cv2.ROTATE_180,
        5: cv2.ROTATE_90_COUNTERCLOCKWISE,
        6: cv2.ROTATE_90_CLOCKWISE,
        7: cv2.ROTATE_90_CLOCKWISE,
        8: cv2.ROTATE_90_COUNTERCLOCKWISE,
    }.get(orientation)
    return samples if turn is None else cv2.rotate(samples, turn)


def _reduced(pixels: Pixels, reduce: int) -> Pixels:
    import cv2

    if reduce == 1:
        return pixels
    height, width = pixels.shape[:2]
    size = -(-width // reduce), -(-height // reduce)
    return np.ascontiguousarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


@contextmanager
def _quiet() -> Iterator[None]:
    """Decoders in C write to file descriptor 2, past sys.stderr; the reader shall see only our sentence.

    One thread at a time, as descriptors belong to the process. What other threads write meanwhile is lost.
    """
    with _one_at_a_time, warnings.catch_warnings(), Path(os.devnull).open("wb") as nowhere:
        warnings.simplefilter("ignore")
        try:
            stderr = os.dup(2)
        except OSError:  # a daemon without stderr
            yield
            return
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
