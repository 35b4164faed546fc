"""Seed files as text: one CSV or GeoJSON per table, named in load order (`05_products.csv`).

Nothing here knows the database. Cells are text or None; GeoJSON properties are cells too, and the geometry
is the cell `geometry`.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from db.errors import SeedError

_NAME = re.compile(r"\d+_(?P<table>[a-z0-9_]+)\.(csv|geojson)")


class Reject(NamedTuple):
    """A row that was not loaded, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    line: int
    cells: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class SeedFile:
    path: Path
    table: str
    columns: tuple[str, ...]
    records: tuple[Record, ...]
    rejects: tuple[Reject, ...]  # rows that do not even fit the header


def find_seed_files(folder: Path) -> list[Path]:
    """The seed files of a folder in load order. Raises SeedError."""
    try:
        found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_file()]
    except OSError as error:
        raise SeedError(f"The seed folder {folder} cannot be read: {error.strerror}.") from error
    if not found:
        raise SeedError(f"The folder {folder} holds no seed file, such as 01_users.csv.")
    return sorted(found, key=lambda path: (int(path.name.split("_")[0]), path.name))


def read_seed_file(path: Path) -> SeedFile:
    """Raises SeedError when the file as a whole makes no sense."""
    named = _NAME.fullmatch(path.name)
    if named is None:
        raise SeedError(f"{path} is no seed file: name it like 01_users.csv or 01_warehouses.geojson.")
    try:
        text = path.read_bytes().decode("utf-8-sig")  # spreadsheets write a byte order mark
    except OSError as error:
        raise SeedError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SeedError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8.") from error
    read = _read_csv if path.suffix == ".csv" else _read_geojson
    columns, rows = read(path, text)
    records = tuple(row for row in rows if isinstance(row, Record))
    rejects = tuple(row for row in rows if isinstance(row, Reject))
    return SeedFile(path, named["table"], columns, records, rejects)


def _read_csv(path: Path, text: str) -> tuple[tuple[str, ...], list[Record | Reject]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = tuple(name.strip() for name in next(reader, []))
        repeated = {name for name in header if header.count(name) > 1}
        if not any(header) or repeated:
            what = f"names {', '.join(sorted(repeated))} twice" if repeated else "has no header"
            raise SeedError(f"{path} {what}: its first line must name each column once.")
        return header, list(_csv_rows(reader, header))
    except csv.Error as error:
        raise SeedError(f"{path}, line {reader.line_num}: {error}.") from error


def _csv_rows(reader: Any, header: tuple[str, ...]) -> Iterator[Record | Reject]:
    line = reader.line_num + 1
    for cells in reader:
        if len(cells) == len(header):
            yield Record(line, {name: _cell(cell) for name, cell in zip(header, cells, strict=True)})
        elif cells:  # a blank line is none
            yield Reject(line, f"has {len(cells)} cells where the header has {len(header)}")
        line = reader.line_num + 1


def _read_geojson(path: Path, text: str) -> tuple[tuple[str, ...], list[Record | Reject]]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise SeedError(f"{path} is not JSON: {error}.") from error
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list):
        raise SeedError(f"{path} is no GeoJSON FeatureCollection: it has no list of features.")
    lines = feature_lines(text)
    rows = [_feature(line, feature) for line, feature in zip(lines, features, strict=True)]
    columns = {name: None for row in rows if isinstance(row, Record) for name in row.cells}
    return tuple(columns), rows


def _feature(line: int, feature: Any) -> Record | Reject:
    parts = feature if isinstance(feature, dict) else {}
    properties, geometry = parts.get("properties"), parts.get("geometry")
    if not isinstance(properties, dict) or not isinstance(geometry, dict):
        return Reject(line, "is no feature with properties and a geometry")
    cells = {
        name: _cell(value if isinstance(value, str) else _json(value)) for name, value in properties.items()
    }
    return Record(line, {**cells, "geometry": _json(geometry)})


def feature_lines(text: str) -> Iterator[int]:
    """The line on which each member of "features" begins; JSON itself does not tell."""
    opening = re.search(r'"features"\s*:\s*\[', text)
    position = opening.end() if opening else len(text)
    decoder = json.JSONDecoder()
    while True:
        position = re.compile(r"[\s,]*").match(text, position).end()  # type: ignore[union-attr]  # matches ""
        if text[position : position + 1] in {"]", ""}:
            return
        yield text.count("\n", 0, position) + 1
        _, position = decoder.raw_decode(text, position)


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value)


def _cell(value: str | None) -> str | None:
    """Trimmed, with accents in one spelling; None if nothing is left."""
    return unicodedata.normalize("NFC", value).strip() or None if value is not None else None
