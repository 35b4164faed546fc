"""Read a GeoJSON file into features with their numbers, lines and text. Knows no table."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.errors import UnreadableFile
from db.geojson import Point, metres_apart
from db.imports.read import decode, read_bytes
from db.imports.words import clean
from db.seed_files import feature_lines

FAR_M = 20_000.0  # no nursery is larger; beyond, longitude and latitude were swapped or a point is wrong


@dataclass(frozen=True, slots=True)
class Feature:
    """`properties` are texts, trimmed; numbers and lists are written as JSON, null is left out. An empty
    `geometry` is none."""

    number: int  # from 1
    line: int
    raw: str
    properties: Mapping[str, str]
    geometry: dict[str, Any]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ReadMap:
    path: Path
    sha256: str
    encoding: str
    features: tuple[Feature, ...]
    notes: tuple[str, ...]

    def has(self, *names: str) -> bool:
        """Whether most features that can be read have these properties."""
        sound = [feature for feature in self.features if feature.problem is None]
        having = sum(all(name in feature.properties for name in names) for feature in sound)
        return having * 2 > len(sound)


def read_map(path: Path) -> ReadMap:
    """Raises UnreadableFile when the file as a whole makes no sense."""
    data = read_bytes(path)
    text, encoding, why = decode(path, data)
    try:
        document = json.loads(text)
        features = document.get("features") if isinstance(document, dict) else None
        if not isinstance(features, list):
            raise UnreadableFile(f"{path} is no GeoJSON FeatureCollection: it has no list of features.")
        rows = zip(features, feature_lines(text), strict=True)
        read = tuple(_feature(number, line, each) for number, (each, line) in enumerate(rows, 1))
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"{path} is not JSON: {error}.") from error
    if not read:
        raise UnreadableFile(f"{path} holds no feature.")
    _refuse_other_system(path, document)
    return ReadMap(path, hashlib.sha256(data).hexdigest(), encoding, read, (f"read as GeoJSON, {why}",))


def outliers(points: Sequence[Point]) -> set[int]:
    """The positions of points that lie too far from the middle of all to be of one site."""
    if not points:
        return set()
    middle = (statistics.median(p[0] for p in points), statistics.median(p[1] for p in points))
    return {place for place, point in enumerate(points) if metres_apart(middle, point) > FAR_M}


def _refuse_other_system(path: Path, document: Mapping[str, Any]) -> None:
    crs = json.dumps(document.get("crs") or "")
    if crs != '""' and not any(name in crs for name in ("CRS84", "4326")):
        raise UnreadableFile(
            f"{path} is in another coordinate system ({crs}): export it as WGS 84 (EPSG:4326)."
        )


def _feature(number: int, line: int, feature: Any) -> Feature:
    parts = feature if isinstance(feature, dict) else {}
    properties, geometry = parts.get("properties"), parts.get("geometry")
    raw = json.dumps(feature, ensure_ascii=False)
    if not isinstance(properties, dict) or not isinstance(geometry, dict | None):
        return Feature(number, line, raw, {}, {}, "is no feature with properties and a geometry")
    return Feature(number, line, raw, dict(_texts(properties)), _flat(geometry) if geometry else {})


def _texts(properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in properties.items():
        if value is not None:
            yield name, clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _flat(geometry: dict[str, Any]) -> dict[str, Any]:
    """Without heights, which drawing programs add as a third number."""

    def flat(value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], list):
            return [flat(each) for each in value]
        return value[:2] if isinstance(value, list) else value

    return {"type": geometry.get("type"), "coordinates": flat(geometry.get("coordinates"))}
