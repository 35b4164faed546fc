"""Files as disks, networks and enemies damage them; the campaign (`make faults`) tries it for longer."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from db.errors import UnreadableFile
from db.geojson import shape_columns
from db.imports.maps import read_map
from db.places import Place, PlaceIndex
from pipeline.decode import decode
from pipeline.errors import PhotoError
from pipeline.exif import read_info
from pipeline.find import printable
from tests.mutations import mutate
from tests.pipeline import images

SEEDS = st.integers(0, 2**32)
PHOTOS = [images.encode(images.scenery(80, 60), kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "HEIF")]
PHOTOS.append(images.encode(images.scenery(80, 60), "TIFF", compression="jpeg"))
PHOTOS.append(images.encode(images.scenery(80, 60), "JPEG", progressive=True))
MAP = (Path(__file__).parents[1] / "seeds/demo/01_warehouses.geojson").read_bytes()
CODES = ("N01-NORTE-C01", "N01-NORTE-C07", "N02-SUR-C03", "TUNEL2-C1")
PLACES = PlaceIndex.of(Place(number, code) for number, code in enumerate(CODES))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


@settings(max_examples=300)
@given(source=st.sampled_from(PHOTOS), other=st.sampled_from(PHOTOS), seed=SEEDS)
def test_a_damaged_photo_is_counted_whole_or_refused(
    folder: Path, source: bytes, other: bytes, seed: int
) -> None:
    path = folder / "photo"
    path.write_bytes(mutate(source, Random(seed), other=other))
    try:
        info = read_info(path)
        pixels = decode(path, max_pixels=1_000_000, min_side=16)
    except PhotoError as error:
        assert str(error).startswith(str(path))
        return
    assert pixels.shape == (info.height, info.width, 3)


@settings(max_examples=150)
@given(seed=SEEDS)
def test_a_damaged_map_is_read_or_told_of_in_a_sentence(folder: Path, seed: int) -> None:
    path = folder / "map.geojson"
    path.write_bytes(mutate(MAP, Random(seed)))
    try:
        features = read_map(path).features
    except UnreadableFile as error:
        assert str(error).startswith(str(path))
        return
    for feature in features:
        if feature.geometry and feature.problem is None:
            try:
                shape_columns(feature.geometry)
            except ValueError as error:
                assert str(error)


@given(st.binary(min_size=1, max_size=60))
@example(b"\xff\x00\x1b[31mN01-NORTE-C01\n.jpg")
def test_any_file_name_spells_a_place_that_there_is_or_none(name: bytes) -> None:
    path = Path(os.fsdecode(name))
    found = PLACES.of_path(path)
    assert found is None or found.code in CODES
    assert printable(path).isprintable()


@given(
    code=st.sampled_from(CODES),
    between=st.sampled_from(["-", "_", " ", ".", "--", " - "]),
    before=st.sampled_from(["", "IMG_0042 ", "foto-"]),
    after=st.sampled_from(["", " (2)", "_20260601"]),
    change=st.sampled_from([str.upper, str.lower, str.title]),
)
def test_a_place_is_found_however_its_code_is_spelt(
    code: str, between: str, before: str, after: str, change: type[str]
) -> None:
    spelt = change(code).replace("-", between)
    found = PLACES.of_path(Path("photos") / f"{before}{spelt}{after}.jpg")
    assert found is not None
    assert found.code == code
