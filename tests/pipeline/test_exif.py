from __future__ import annotations

import datetime as dt
import io
import struct
import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL.TiffImagePlugin import IFDRational

from pipeline.errors import PhotoError
from pipeline.exif import read_header, read_info
from pipeline.types import Gps, PhotoInfo
from tests.pipeline import images

MENDOZA = {1: "S", 2: (32.0, 53.0, 24.0), 3: "W", 4: (68.0, 50.0, 24.0)}
FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"]


def info_of(data: bytes) -> PhotoInfo:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return read_info(Path(file.name))


def gps_of(**changes: object) -> Gps | None:
    """The position in Mendoza with some tags changed (`tag_2=…`), or left out (None)."""
    tags = {**MENDOZA, **{int(name.removeprefix("tag_")): value for name, value in changes.items()}}
    block = images.exif_block(gps={tag: value for tag, value in tags.items() if value is not None})
    return info_of(images.jpeg_with_exif(block)).gps


def taken_at(taken: object, offset: object = None) -> dt.datetime | None:
    details = {images.TAKEN: taken, images.TAKEN_OFFSET: offset}
    block = images.exif_block(details={tag: value for tag, value in details.items() if value is not None})
    return info_of(images.jpeg_with_exif(block)).taken_at


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_tells_time_place_and_camera(kind: str) -> None:
    block = images.exif_block(
        {images.MAKE: "Apple", images.MODEL: "iPhone 13"},
        {images.TAKEN: "2026:03:01 17:45:10", images.TAKEN_OFFSET: "-03:00"},
        {**MENDOZA, 5: b"\0", 6: 761.5, 31: 4.75},
    )
    zone = dt.timezone(dt.timedelta(hours=-3))
    assert info_of(images.encode(images.four_colours(), kind, exif=block)) == PhotoInfo(
        width=64,
        height=48,
        format=kind,
        taken_at=dt.datetime(2026, 3, 1, 17, 45, 10, tzinfo=zone),
        gps=Gps(pytest.approx(-32.89), pytest.approx(-68.84), 761.5, 4.75),
        camera="Apple iPhone 13",
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_a_photo_without_exif_has_a_size_and_nothing_else(kind: str) -> None:
    assert info_of(images.photo(kind)) == PhotoInfo(64, 48, kind)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", FORMATS)
def test_width_and_height_are_those_of_the_upright_photo(kind: str, orientation: int) -> None:
    info = info_of(images.turned(kind, orientation))
    assert (info.width, info.height) == (64, 48)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_impossible_orientation_is_ignored(orientation: int) -> None:
    info = info_of(images.jpeg_with_exif(images.exif_block({images.ORIENTATION: orientation})))
    assert (info.width, info.height) == (64, 48)


def test_exif_behind_the_pixels_of_a_png_is_found() -> None:
    assert info_of(images.png_with_late_exif(images.exif_block({images.MODEL: "X100"}))).camera == "X100"


def test_only_the_header_is_read() -> None:
    data = images.encode(images.scenery(1600, 1200), "JPEG", exif=images.exif_block({images.MODEL: "X100"}))
    assert info_of(data[:2000]) == PhotoInfo(1600, 1200, "JPEG", camera="X100")
    assert read_header(io.BytesIO(images.png_of_size(40_000, 40_000)), Path("a.png")).upright == (
        40_000,
        40_000,
    )


# Time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026:03:01 17:45:10", dt.datetime(2026, 3, 1, 17, 45, 10)),
        ("2026:03:01 17:45:10\0\0", dt.datetime(2026, 3, 1, 17, 45, 10)),
        ("2026-03-01T17:45:10", dt.datetime(2026, 3, 1, 17, 45, 10)),
        ("2026:03:01 17:45:10.123", dt.datetime(2026, 3, 1, 17, 45, 10)),
        ("2024:02:29 00:00:00", dt.datetime(2024, 2, 29)),
        ("2026:02:29 00:00:00", None),
        ("0000:00:00 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("2026:03:01 24:00:00", None),
        ("2026:13:01 10:00:00", None),
        ("1899:12:31 23:59:59", None),
        ("2101:01:01 00:00:00", None),
        ("2026:03:01", None),
        ("٢٠٢٦:03:01 17:45:10".encode(), None),
        (b"\xff" * 19, None),
        (17, None),
        ("", None),
    ],
)
def test_the_time_is_that_of_the_shutter_or_none(text: object, expected: dt.datetime | None) -> None:
    assert taken_at(text) == expected


@pytest.mark.parametrize(
    ("offset", "minutes"),
    [("-03:00", -180), ("+05:45", 345), ("Z", 0), ("+00:00", 0), ("-03:00\0", -180), ("+14:00", 840),
     ("+15:00", None), ("+05:75", None), ("   :  ", None), ("local", None), (3, None)],
)  # fmt: skip
def test_the_time_has_a_zone_only_if_the_camera_wrote_one(offset: object, minutes: int | None) -> None:
    taken = taken_at("2026:03:01 17:45:10", offset)
    assert taken is not None
    assert taken.replace(tzinfo=None) == dt.datetime(2026, 3, 1, 17, 45, 10)
    assert taken.utcoffset() == (None if minutes is None else dt.timedelta(minutes=minutes))


def test_the_time_of_an_edit_is_not_the_time_of_the_photo() -> None:
    modified = 0x0132
    block = images.exif_block({modified: "2026:03:01 17:45:10"})
    assert info_of(images.jpeg_with_exif(block)).taken_at is None


# Place


def test_south_and_west_are_negative() -> None:
    assert gps_of() == Gps(pytest.approx(-32.89), pytest.approx(-68.84))
    assert gps_of(tag_1="N", tag_3="E") == Gps(pytest.approx(32.89), pytest.approx(68.84))
    assert gps_of(tag_1="s\0", tag_3="West") == Gps(pytest.approx(-32.89), pytest.approx(-68.84))


def test_decimal_degrees_and_decimal_minutes_are_read() -> None:
    assert gps_of(tag_2=(32.89,), tag_4=(68.84, 0.0)) == Gps(pytest.approx(-32.89), pytest.approx(-68.84))
    assert gps_of(tag_2=(32.0, 53.4, 0.0)) == Gps(pytest.approx(-32.89), pytest.approx(-68.84))


@pytest.mark.parametrize("tag", [1, 2, 3, 4])
def test_a_position_that_lacks_a_part_is_no_position(tag: int) -> None:
    assert gps_of(**{f"tag_{tag}": None}) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"tag_1": "X"},
        {"tag_1": ""},
        {"tag_1": "E"},
        {"tag_1": 5},
        {"tag_2": (IFDRational(32, 0), 53.0, 24.0)},
        {"tag_2": (32.0, 53.0, IFDRational(0, 0))},
        {"tag_2": (32.0, 61.0, 0.0)},
        {"tag_2": (32.0, 0.0, 61.0)},
        {"tag_2": (91.0, 0.0, 0.0)},
        {"tag_2": (90.0, 1.0, 0.0)},
        {"tag_4": (180.0, 0.0, 1.0)},
        {"tag_2": (1.0, 2.0, 3.0, 4.0)},
        {"tag_2": (0.0, 0.0, 0.0), "tag_4": (0.0, 0.0, 0.0)},
        {"tag_2": (0.0, 0.0, 0.0), "tag_4": (0.0, 0.0, 0.0), "tag_1": "N", "tag_3": "E"},
    ],
)
def test_an_absurd_position_is_no_position(changes: dict[str, object]) -> None:
    assert gps_of(**changes) is None


def test_the_equator_and_the_edges_of_the_map_are_positions() -> None:
    assert gps_of(tag_2=(0.0, 0.0, 0.0)) == Gps(0.0, pytest.approx(-68.84))
    assert gps_of(tag_2=(90.0, 0.0, 0.0), tag_4=(180.0, 0.0, 0.0)) == Gps(-90.0, -180.0)


def test_an_empty_gps_directory_is_no_position() -> None:
    assert info_of(images.jpeg_with_exif(images.exif_block(gps={}))).gps is None


@pytest.mark.parametrize(
    ("reference", "altitude", "expected"),
    [
        (b"\0", 761.5, 761.5),
        (b"\1", 761.5, -761.5),
        (None, 761.5, 761.5),
        (b"\0", IFDRational(5, 0), None),
        (b"\0", 1e6, None),
    ],
)
def test_altitude_is_signed_by_its_reference(
    reference: object, altitude: object, expected: float | None
) -> None:
    gps = gps_of(tag_5=reference, tag_6=altitude)
    assert gps is not None
    assert gps.altitude == expected


@pytest.mark.parametrize(("error", "expected"), [(4.75, 4.75), (0.0, None), (IFDRational(1, 0), None)])
def test_the_error_of_a_position_is_positive_or_unknown(error: object, expected: float | None) -> None:
    gps = gps_of(tag_31=error)
    assert gps is not None
    assert gps.error == expected


# Camera


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("NIKON", "COOLPIX P6000", "NIKON COOLPIX P6000"),
        ("Canon", "Canon EOS 80D", "Canon EOS 80D"),
        ("SONY  ", "DSC-W830\0\0\0", "SONY DSC-W830"),
        (None, "X100", "X100"),
        ("Fuji", None, "Fuji"),
        ("  ", "\0", None),
        ("\x1b[31mred", "a\nb", "[31mred a b"),
        ("x" * 5000, None, "x" * 100),
        ("café".encode("latin-1"), None, "café"),
    ],
)
def test_the_camera_is_make_and_model_fit_to_be_shown(
    make: object, model: object, camera: str | None
) -> None:
    tags = {images.MAKE: make, images.MODEL: model}
    block = images.exif_block({tag: value for tag, value in tags.items() if value is not None})
    assert info_of(images.jpeg_with_exif(block)).camera == camera


# Garbage


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "HEIF"])
@pytest.mark.parametrize(
    "block",
    [b"", b"MM", b"II*\0", b"MM\0*\0\0\0\x08", b"II*\0\xff\xff\xff\xff", b"not EXIF at all" * 10, bytes(64)],
)
def test_exif_garbage_does_not_fail_a_photo(kind: str, block: bytes) -> None:
    data = images.encode(images.four_colours(), kind, exif=b"Exif\0\0" + block)
    assert info_of(data) == PhotoInfo(64, 48, kind)


def raw_block(*entries: tuple[int, int, int, bytes]) -> bytes:
    """A directory entry by entry: tag, type (2 text, 3 short, 4 long, 5 ratio), how many, value or offset."""
    packed = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4)


def test_one_bad_tag_does_not_cost_the_others() -> None:
    far = struct.pack("<I", 60_000)
    block = raw_block((images.MAKE, 2, 90, far), (images.MODEL, 2, 4, b"X10\0"))
    assert info_of(images.jpeg_with_exif(block)).camera == "X10"


def test_tags_of_the_wrong_type_are_ignored() -> None:
    seven = struct.pack("<I", 7)
    details = 8 + 2 + 4 * 12 + 4
    block = raw_block(
        (images.MAKE, 3, 1, seven),
        (images.ORIENTATION, 2, 2, b"6\0"),
        (images.EXIF_IFD, 4, 1, struct.pack("<I", details)),
        (images.GPS_IFD, 2, 4, b"here"),
    )
    taken = raw_block((images.TAKEN, 4, 1, seven), (images.TAKEN_OFFSET, 3, 2, seven))[8:]
    assert info_of(images.jpeg_with_exif(block + taken)) == PhotoInfo(64, 48, "JPEG")


def test_a_directory_that_points_to_itself_ends() -> None:
    here = struct.pack("<I", 8)
    block = raw_block((images.EXIF_IFD, 4, 1, here), (images.GPS_IFD, 4, 1, here))
    assert info_of(images.jpeg_with_exif(block[:-4] + here)) == PhotoInfo(64, 48, "JPEG")


WHOLE = images.exif_block(
    {images.MAKE: "Apple", images.MODEL: "iPhone 13", images.ORIENTATION: 1},
    {images.TAKEN: "2026:03:01 17:45:10", images.TAKEN_OFFSET: "-03:00"},
    {**MENDOZA, 5: b"\0", 6: 761.5, 31: 4.75},
)


def checked(info: PhotoInfo) -> None:
    """Whatever was in the block, what comes out can be shown, stored and compared."""
    assert {info.width, info.height} == {64, 48}
    assert info.camera is None or (info.camera.isprintable() and 0 < len(info.camera) <= 100)
    assert info.taken_at is None or 1900 <= info.taken_at.year <= 2100
    if info.gps is not None:
        assert -90 <= info.gps.latitude <= 90
        assert -180 <= info.gps.longitude <= 180
        assert info.gps.altitude is None or abs(info.gps.altitude) <= 10_000
        assert info.gps.error is None or info.gps.error > 0


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400))
def test_random_bytes_as_exif_are_survived(block: bytes) -> None:
    checked(info_of(images.jpeg_with_exif(block)))


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0"]),
       st.binary(max_size=400))  # fmt: skip
def test_random_directories_are_survived(head: bytes, rest: bytes) -> None:
    checked(info_of(images.jpeg_with_exif(head + rest)))


@settings(deadline=None, max_examples=500)
@given(st.lists(st.tuples(st.integers(6, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=6),
       st.integers(6, len(WHOLE)))  # fmt: skip
def test_a_damaged_block_gives_what_can_still_be_read(changes: list[tuple[int, int]], length: int) -> None:
    block = bytearray(WHOLE)
    for at, value in changes:
        block[at] = value
    checked(info_of(images.jpeg_with_exif(bytes(block[:length]))))


def test_a_file_that_is_no_photo_is_refused() -> None:
    with pytest.raises(PhotoError, match="holds no photo"):
        info_of(b"text")
    with pytest.raises(PhotoError, match=r"is empty \(0 bytes\)"):
        info_of(b"")
    with pytest.raises(PhotoError, match="damaged or cut off"):
        info_of(images.photo("JPEG")[:30])
