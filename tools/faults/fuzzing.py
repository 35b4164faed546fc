"""Damaged files for everything that reads files: only the error that says so may come out, soon, in little
memory.

    python -m tools.faults.fuzzing decode 7 60      target, seed, seconds

A process of its own, since a decoder in C may take the process with it. Prints each case before it is tried,
so that the last line names the one that killed it; exits with 1 at the first other error.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random

SLOWEST = 20.0  # seconds that one case may take
MOST_MEMORY = 3 << 30  # bytes of address space
Target = Callable[[bytes, Path], None]


def photos() -> list[bytes]:
    """A sound file of each kind, with EXIF, and the oddities of each."""
    from tests.pipeline import images

    scene = images.scenery(96, 64)
    made = [images.encode(scene, kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "HEIF")]
    made += [images.encode(scene, "JPEG", progressive=True), images.encode(scene, "WEBP", lossless=True)]
    made += [images.encode(scene, "TIFF", compression=way) for way in ("tiff_lzw", "tiff_deflate", "jpeg")]
    example = Path(__file__).parents[2] / "examples" / "IMG_20260628_1142.jpg"
    return [*made, example.read_bytes()[:200_000]]


def decode_target(data: bytes, folder: Path) -> None:
    from pipeline.decode import decode
    from pipeline.errors import PhotoError
    from pipeline.exif import read_info

    path = folder / "photo"
    path.write_bytes(data)
    try:
        info = read_info(path)
        pixels = decode(path, max_pixels=2_000_000, min_side=16)
    except PhotoError:
        return
    assert pixels.shape == (info.height, info.width, 3), (pixels.shape, info)


def tables() -> list[bytes]:
    """The same list as CSV in several hands, and as a spreadsheet."""
    import xlsxwriter

    text = 'código;cantidad;fecha\nTúnel 2 – ñandú;3,5;01/02/2026\n"a ""b""";1.234;\n' * 5
    book = io.BytesIO()
    with xlsxwriter.Workbook(book, {"in_memory": True}) as workbook:
        sheet = workbook.add_worksheet("Stock")
        for row, line in enumerate(text.splitlines()):
            for column, cell in enumerate(line.split(";")):
                sheet.write(row, column, float(row) if column == 1 else cell)
    made = [text.encode(encoding) for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252")]
    return [*made, text.replace(";", "\t").encode(), book.getvalue()]


def table_target(data: bytes, folder: Path) -> None:
    from db.errors import UnreadableFile
    from db.imports.read import read_rows
    from db.imports.tables import Columns, records

    path = folder / "table.csv"
    path.write_bytes(data)
    try:
        file = read_rows(path)
        records(file, Columns(("código", "cantidad"), ("fecha",)))
    except UnreadableFile:
        return
    assert all(isinstance(cell, str) for row in file.rows for cell in row.cells)


def maps() -> list[bytes]:
    """The demo nursery's maps."""
    seeds = Path(__file__).parents[2] / "seeds" / "demo"
    return [path.read_bytes()[:20_000] for path in seeds.glob("*.geojson")] + [
        path.read_bytes() for path in seeds.glob("01*.geojson")
    ]


def map_target(data: bytes, folder: Path) -> None:
    from db.errors import UnreadableFile
    from db.geojson import shape_columns
    from db.imports.maps import read_map

    path = folder / "map.geojson"
    path.write_bytes(data)
    try:
        features = read_map(path).features
    except UnreadableFile:
        return
    for feature in features:
        try:
            shape_columns(feature.geometry)
        except ValueError:
            continue


def names() -> list[bytes]:
    return [b"N01-NORTE-C01.jpg", b"N01/NORTE/C07/IMG_1.jpg", "señal/N02_SUR c3 (2).JPG".encode(), b"C01"]


def name_target(data: bytes, _folder: Path) -> None:
    """A file name is any bytes but NUL and slash; the place that it spells is one that there is, or none."""
    import os

    from db.places import Place, PlaceIndex
    from pipeline.find import printable

    codes = ("N01-NORTE-C01", "N01-NORTE-C07", "N02-SUR-C03", "N01", "C01")
    index = PlaceIndex.of(Place(number, code) for number, code in enumerate(codes))
    path = Path(os.fsdecode(data.replace(b"\0", b"")))
    found = index.of_path(path)
    assert found is None or found.code in codes
    assert printable(path).isprintable()


TARGETS: dict[str, tuple[Callable[[], list[bytes]], Target]] = {
    "decode": (photos, decode_target),
    "table": (tables, table_target),
    "map": (maps, map_target),
    "name": (names, name_target),
}


def main(name: str, seed: int, seconds: float) -> int:
    from tests.mutations import mutate, mutate_zip

    make, target = TARGETS[name]
    sources = make()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    deadline, number = time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < deadline:
            number += 1
            random = Random(f"{seed}/{number}")
            source = random.choice(sources)
            zipped = source.startswith(b"PK") and random.random() < 0.8
            data = (
                mutate_zip(source, random) if zipped else mutate(source, random, other=random.choice(sources))
            )
            print(number, flush=True)
            started = time.monotonic()
            try:
                target(data, Path(folder))
            except BaseException:  # noqa: BLE001  a panic in Rust is no Exception
                traceback.print_exc()
                Path(f"/var/tmp/demeter-fuzz-{name}-{seed}-{number}").write_bytes(data)
                return 1
            if time.monotonic() - started > SLOWEST:
                sys.stderr.write(f"case {number} took {time.monotonic() - started:.0f} s\n")
                return 1
    sys.stderr.write(json.dumps({"cases": number}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
