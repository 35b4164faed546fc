from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.decode import decode
from pipeline.errors import PhotoError
from pipeline.exif import read_info
from pipeline.types import Pixels
from tests.pipeline import images

UPRIGHT = ["red", "green", "blue", "white"]
FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"]


def read(tmp_path: Path, data: bytes, *, name: str = "photo.jpg", reduce: int = 1) -> Pixels:
    path = tmp_path / name
    path.write_bytes(data)
    pixels = decode(path, max_pixels=1_000_000, min_side=16, reduce=reduce)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    return pixels


def refusal(tmp_path: Path, data: bytes, name: str = "photo.jpg") -> str:
    with pytest.raises(PhotoError) as caught:
        read(tmp_path, data, name=name)
    sentence = str(caught.value)
    assert name in sentence
    return sentence


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_picture(tmp_path: Path, kind: str) -> None:
    pixels = read(tmp_path, images.photo(kind))
    assert pixels.shape == (48, 64, 3)
    assert images.corners(pixels) == UPRIGHT


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", FORMATS)
def test_photos_are_turned_upright_once(tmp_path: Path, kind: str, orientation: int) -> None:
    data = images.turned(kind, orientation)
    pixels = read(tmp_path, data)
    info = read_info(tmp_path / "photo.jpg")
    assert images.corners(pixels) == UPRIGHT
    assert pixels.shape == (info.height, info.width, 3) == (48, 64, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_grey_tiff_is_turned_upright_whatever_its_depth(tmp_path: Path, orientation: int, dtype: str) -> None:
    # OpenCV turns 8-bit TIFF by itself and leaves 16-bit TIFF as it is.
    stored = Image.open(io.BytesIO(images.turned("PNG", orientation)))
    grey = np.asarray(stored.convert("L")).astype(dtype) * (257 if dtype == "uint16" else 1)
    data = images.encode(Image.fromarray(grey), "TIFF", tiffinfo={images.ORIENTATION: orientation})
    expected = np.asarray(images.four_colours().convert("L"))
    assert np.array_equal(read(tmp_path, data), np.dstack([expected] * 3))


@pytest.mark.parametrize(
    ("kind", "mode"),
    [(kind, mode) for kind in ("PNG", "TIFF") for mode in ("1", "L", "LA", "P", "RGBA")]
    + [("WEBP", "L"), ("WEBP", "RGBA")],
)
def test_every_mode_gives_three_channels(tmp_path: Path, kind: str, mode: str) -> None:
    picture = images.four_colours().convert(mode)
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = read(tmp_path, images.encode(picture, kind, **options))
    assert np.array_equal(pixels[..., ::-1], np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("options", [{}, {"lossless": True}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_every_kind_of_webp_is_read(tmp_path: Path, mode: str, options: dict[str, object]) -> None:
    data = images.encode(images.four_colours(203, 151).convert(mode), "WEBP", **options)
    pixels = read(tmp_path, data)
    assert pixels.shape == (151, 203, 3)
    assert images.corners(pixels) == UPRIGHT


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "HEIF"])
def test_transparency_is_laid_over_black(tmp_path: Path, kind: str) -> None:
    picture = images.four_colours().convert("RGBA")
    alpha = Image.new("L", picture.size, 255)
    alpha.paste(0, (0, 0, 32, 24))
    alpha.paste(128, (32, 0, 64, 24))
    picture.putalpha(alpha)
    pixels = read(tmp_path, images.encode(picture, kind)).astype(int)
    assert pixels[6, 8].max() <= 4
    assert np.abs(pixels[6, 56, ::-1] - np.array(images.GREEN) * 128 / 255).max() <= 10
    assert images.corners(pixels.astype(np.uint8))[2:] == ["blue", "white"]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_are_scaled_to_8(tmp_path: Path, channels: int) -> None:
    values = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    samples = values if channels == 1 else np.dstack([values] * 3)
    if channels == 4:
        samples = np.dstack([samples, np.full_like(values, 65535)])
    pixels = read(tmp_path, images.png_16bit(samples))
    assert np.abs(pixels - np.dstack([values / 257] * 3)).max() <= 1
    assert pixels.max() == 255


def test_16_bit_colour_tiff_is_scaled_to_8(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64 * 48 * 3).astype(np.uint16).reshape(48, 64, 3)
    data = cv2.imencode(".tiff", values)[1].tobytes()
    assert np.abs(read(tmp_path, data) - values / 257).max() <= 1


def test_measurements_in_tiff_are_no_photo(tmp_path: Path) -> None:
    heights = Image.fromarray(np.full((48, 64), 1.5, np.float32))
    assert "cannot be read" in refusal(tmp_path, images.encode(heights, "TIFF"))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_has_its_true_colours(tmp_path: Path, kind: str) -> None:
    data = images.encode(images.four_colours().convert("CMYK"), kind)
    assert images.corners(read(tmp_path, data)) == UPRIGHT


def test_cmyk_of_photoshop_has_its_true_colours(tmp_path: Path) -> None:
    assert images.corners(read(tmp_path, images.ycck_jpeg())) == UPRIGHT


def test_grey_and_progressive_jpeg_are_read(tmp_path: Path) -> None:
    grey = images.four_colours().convert("L")
    pixels = read(tmp_path, images.encode(grey, "JPEG", quality=95))
    assert np.abs(pixels.astype(int) - np.asarray(grey)[..., None]).max() <= 16
    progressive = images.encode(images.four_colours(), "JPEG", progressive=True)
    assert images.corners(read(tmp_path, progressive)) == UPRIGHT


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_counted(tmp_path: Path, kind: str) -> None:
    black = Image.new("RGB", (64, 48))
    data = images.encode(images.four_colours(), kind, save_all=True, append_images=[black, black])
    assert images.corners(read(tmp_path, data)) == UPRIGHT


@pytest.mark.parametrize("reduce", [2, 4, 8])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_reduced_photo_is_upright_and_rounded_up(tmp_path: Path, kind: str, reduce: int) -> None:
    data = images.turned(kind, 6, (203, 151))
    pixels = read(tmp_path, data, reduce=reduce)
    assert pixels.shape == (-(-151 // reduce), -(-203 // reduce), 3)
    assert images.corners(pixels) == UPRIGHT


# Names, sizes, rubbish


@pytest.mark.parametrize(
    "name", [b"a b.jpg", "año.jpg".encode(), b"two\nlines.jpg", b"\xff\xe9.jpg", b"x.dat"]
)
def test_any_file_name_can_be_decoded(tmp_path: Path, name: bytes) -> None:
    assert images.corners(read(tmp_path, images.photo(), name=os.fsdecode(name))) == UPRIGHT


def test_the_content_decides_and_not_the_extension(tmp_path: Path) -> None:
    assert images.corners(read(tmp_path, images.photo("PNG"), name="photo.heic")) == UPRIGHT


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty (0 bytes)"),
        (b"\xff", "holds no photo"),
        (b"Dear customer, enclosed you will find", "holds no photo"),
        (b"GIF89a" + bytes(100), "holds no photo"),
        (b"\xff\xd8\xff", "damaged or cut off"),
        (b"\x89PNG\r\n\x1a\n", "damaged or cut off"),
        (images.png_of_size(0, 40), "without pixels"),
        (b"RIFF\x10\0\0\0WEBP", "damaged or cut off"),
        (b"II*\0\x08\0\0\0", "damaged or cut off"),
        (b"\0\0\0\x18ftypheic", "damaged or cut off"),
    ],
)
def test_what_is_no_photo_is_refused_with_a_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    assert sentence in refusal(tmp_path, data)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.jpg", tmp_path):
        with pytest.raises(PhotoError, match="cannot be read"):
            decode(path, max_pixels=100, min_side=1)
        with pytest.raises(PhotoError, match="cannot be read"):
            read_info(path)


@pytest.mark.parametrize("kind", FORMATS[:4])
def test_a_photo_of_one_pixel_is_too_small(tmp_path: Path, kind: str) -> None:
    sentence = refusal(tmp_path, images.photo(kind, (2, 2)))
    assert "too small to count (2×2 pixels)" in sentence
    assert "at least 16 pixels" in sentence
    with pytest.raises(PhotoError, match="1×1"):
        read(tmp_path, images.encode(Image.new("RGB", (1, 1)), kind))


@pytest.mark.parametrize(
    "make", [images.png_of_size, images.jpeg_of_size, images.webp_of_size, images.tiff_of_size]
)
def test_a_decompression_bomb_is_refused_by_its_header(
    tmp_path: Path, make: Callable[[int, int], bytes]
) -> None:
    sentence = refusal(tmp_path, make(40_000, 40_000))
    assert "1,600.0 megapixels" in sentence
    assert "the limit is 1.0 megapixels" in sentence


def test_a_second_header_does_not_hide_a_bomb(tmp_path: Path) -> None:
    header = slice(8, 33)
    bomb, small = images.png_of_size(40_000, 40_000), images.png_of_size(100, 100)
    assert "megapixels" in refusal(tmp_path, bomb[:33] + small[header] + bomb[33:])


def test_a_file_too_large_for_a_photo_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(images.photo())
    os.truncate(path, 50_000_000_000)  # a hole: reading it would fill the memory
    with pytest.raises(PhotoError, match="50,000 MB"):
        decode(path, max_pixels=1_000_000, min_side=16)


# Cut off


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("HEIF", {}),
    ],
)
def test_a_photo_that_is_cut_off_is_refused_wherever_it_is_cut(
    tmp_path: Path, kind: str, options: dict[str, object]
) -> None:
    data = images.encode(images.scenery(), kind, **options)
    whole = read(tmp_path, data)
    lengths = {*range(1, len(data), max(1, len(data) // 150)), *range(len(data) - 20, len(data))}
    for length in lengths:
        refusal(tmp_path, data[:length])
    assert np.array_equal(read(tmp_path, data), whole)


def test_a_jpeg_whose_rest_was_never_copied_is_refused(tmp_path: Path) -> None:
    # Some programs make room for the whole file first: it has its full length, and zeros to the end.
    data = images.encode(images.scenery(), "JPEG")
    for length in range(1, len(data) - 1, 40):
        refusal(tmp_path, data[:length] + bytes(len(data) - length))


def test_a_tiff_whose_directory_comes_first_is_refused_when_cut_off(tmp_path: Path) -> None:
    data = images.encode(images.scenery(), "TIFF")
    offset = int.from_bytes(data[4:8], "little")
    assert offset == 8, "Pillow writes the directory before the pixels"
    refusal(tmp_path, data[:-1000])


def test_a_preview_in_exif_does_not_make_a_photo_whole(tmp_path: Path) -> None:
    block = images.exif_block({images.MAKE: "Camera"}) + images.photo("JPEG")
    data = images.jpeg_with_exif(block, (160, 120))
    assert read(tmp_path, data).shape == (120, 160, 3)
    assert "cut off" in refusal(tmp_path, data[: len(block) + 200])


@pytest.mark.parametrize("trailer", [b"\0" * 5000, b"\xff" * 100, b"SEFT samsung trailer", images.photo()])
def test_what_follows_a_whole_jpeg_does_not_matter(tmp_path: Path, trailer: bytes) -> None:
    assert images.corners(read(tmp_path, images.photo() + trailer)) == UPRIGHT


@pytest.mark.parametrize("options", [{}, {"quality": 60}, {"subsampling": 0}])
def test_a_jpeg_that_is_closed_too_early_is_refused(tmp_path: Path, options: dict[str, object]) -> None:
    # Programs that rescue photos from a broken card put an end marker behind what they found.
    data = images.encode(images.scenery(), "JPEG", **options)
    start = data.rindex(b"\xff\xda") + 14
    for length in range(start, len(data) - 100, 97):
        closed = data[:length].rstrip(b"\xff") + b"\xff\xd9"
        assert "damaged" in refusal(tmp_path, closed)


@pytest.mark.parametrize("grey", [0, 127, 128, 129, 255])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_flat_grey_photo_is_not_taken_for_a_damaged_one(
    tmp_path: Path, grey: int, options: dict[str, object]
) -> None:
    flat = Image.new("RGB", (160, 120), (grey, grey, grey))
    assert np.abs(read(tmp_path, images.encode(flat, "JPEG", **options)).astype(int) - grey).max() <= 1


SOURCES = [images.encode(images.scenery(80, 60), kind) for kind in FORMATS]


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    source=st.sampled_from(SOURCES),
    where=st.floats(0, 1),
    bytes_=st.binary(min_size=1, max_size=40),
    cut=st.booleans(),
)
def test_damage_anywhere_never_raises_anything_else(
    tmp_path: Path, source: bytes, where: float, bytes_: bytes, cut: bool
) -> None:
    at = int(where * len(source))
    data = source[:at] + bytes_ + (b"" if cut else source[at + len(bytes_) :])
    path = tmp_path / "photo"
    path.write_bytes(data)
    try:
        info = read_info(path)
        pixels = decode(path, max_pixels=1_000_000, min_side=16)
    except PhotoError:
        return
    assert pixels.shape == (info.height, info.width, 3)


def test_decoders_keep_quiet(tmp_path: Path) -> None:
    whole = {kind: images.encode(images.scenery(), kind) for kind in FORMATS}
    half = {f"half.{kind}": data[: len(data) // 2] for kind, data in whole.items()}
    hole = {f"hole.{kind}": data[:-900] + bytes(300) + data[-600:] for kind, data in whole.items()}
    closed = {"closed.JPEG": whole["JPEG"][: len(whole["JPEG"]) // 2] + b"\xff\xd9"}
    odd = {"channels.TIFF": images.tiff_of_channels(2000)}
    for name, data in {**half, **hole, **closed, **odd}.items():
        (tmp_path / name).write_bytes(data)
    program = (
        "import sys, pathlib\n"
        "from pipeline.decode import decode\n"
        "from pipeline.errors import PhotoError\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try: decode(path, max_pixels=10**6, min_side=16)\n"
        "    except PhotoError as error: sys.stdout.write(f'{error}\\n')\n"
        "sys.stderr.write('stderr is back')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stderr == "stderr is back"
    assert {f"{tmp_path}/half.{kind}" for kind in FORMATS} <= {
        line.split(" ", 1)[0] for line in done.stdout.splitlines()
    }


def test_a_missing_system_library_is_said_in_a_sentence(tmp_path: Path) -> None:
    # A module that fails to load as OpenCV does where libGL is missing.
    (tmp_path / "cv2.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')"
    )
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from pipeline.decode import require_opencv\n"
        "try: require_opencv()\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert "libGL.so.1" in done.stdout
    assert "apt-get install libgl1 libglib2.0-0" in done.stdout
