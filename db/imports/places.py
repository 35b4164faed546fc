"""The client's grid layers: bays, beds and places, three GeoJSON files that name their parents by name.

They hold no codes. Codes are made from the labels: `Nave 1`, `Cantero Norte` and `Claro 7` give
`N01-NORTE-C07`. Names are looked up among the bays of this map only, never among those of another.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Table, select

from db.catalog import upsert
from db.errors import UnreadableFile
from db.geojson import metres_outside, shape_columns, turned
from db.imports.maps import Feature, ReadMap, outliers
from db.imports.staging import Judged, Source
from db.imports.words import clean, fold, key, nearest
from db.models.base import Base
from db.models.places import StorageArea, Warehouse
from db.models.vocabulary import PlaceSource, WarehouseType
from db.neighbours import refresh_neighbours

TOLERANCE_M = 1.0  # how far a drawn bed may stick out of its bay
SIDES = {"norte": "N", "sur": "S", "este": "E", "oeste": "W", "centro": "C"}
_CANTERO = re.compile(r"^cantero\s+", re.IGNORECASE)
_KINDS = (
    (("tunnel", "tunel"), WarehouseType.TUNNEL, "T"),
    (("sombraculo", "somb"), WarehouseType.SHADEHOUSE, "S"),
    (("campo", "field"), WarehouseType.OPEN_FIELD, "F"),
    (("nave", "madres", "madre"), WarehouseType.GREENHOUSE, ""),
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One of the three files; `needs` are the properties that tell it from the others."""

    name: str
    table: str
    needs: tuple[str, ...]
    label: str


LAYERS = (  # in load order, the most telling first when recognising one
    Layer("bays", "warehouses", ("name", "rowCount", "colCount"), "name"),
    Layer("beds", "storage_areas", ("label", "ordinal", "nave"), "label"),
    Layer("places", "storage_locations", ("label", "row", "col", "cantero", "nave"), "label"),
)


def recognise(file: ReadMap) -> Layer:
    """Which layer a file is, by its properties and not by its name. Raises UnreadableFile."""
    for layer in LAYERS:
        if file.has(*layer.needs):
            return layer
    names = sorted({name for feature in file.features for name in feature.properties})
    raise UnreadableFile(
        f"{file.path} is none of the layers bays, beds and places: its features have "
        f"{', '.join(names) or 'no properties'}. A drawn map is read by `demeter import drawn`."
    )


def load_layer(connection: Connection, file: ReadMap, layer: Layer) -> tuple[list[Judged], list[str]]:
    """Write a layer in the caller's transaction; a verdict per feature, and notes on the layer."""
    parents = _Parents.load(connection)
    rows: list[dict[str, Any] | None] = []
    judged: list[Judged] = []
    turns = 0
    for feature in file.features:
        verdict = Judged(feature.line, feature.raw, feature.properties)
        try:
            row, was_turned = _row(layer, feature, parents)
            turns += was_turned
            rows.append(row)
            judged.append(replace(verdict, target=row["code"]))
        except ValueError as error:
            rows.append(None)
            judged.append(verdict.rejected(str(error)))
    _reject_far(rows, judged)
    _write(connection, Base.metadata.tables[layer.table], rows, judged)
    notes = [f"{turns} polygons wound clockwise were turned, as GeoJSON wants them"] if turns else []
    if layer.name == "places":
        notes += _gaps(file.features)
        notes.append(f"{refresh_neighbours(connection)} pairs of places touch")
    return judged, notes + _where(rows)


def source_of(file: ReadMap, layer: Layer) -> Source:
    return Source(
        "places", file.path.name, file.sha256, file.encoding, None, (*file.notes, f"the {layer.name}")
    )


@dataclass(frozen=True, slots=True)
class _Held:
    id: int
    code: str
    geometry: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Parents:
    """The bays of the grid by name, and the beds by code, as they stand before the file is loaded."""

    bays: Mapping[str, list[_Held]]
    beds: Mapping[str, _Held]
    bay_names: tuple[str, ...]

    @staticmethod
    def load(connection: Connection) -> _Parents:
        bays: dict[str, list[_Held]] = defaultdict(list)
        names = []
        query = select(Warehouse.id, Warehouse.code, Warehouse.geometry, Warehouse.name)
        for row in connection.execute(query.where(Warehouse.source == PlaceSource.GRID.value)):
            bays[fold(row.name)].append(_Held(row.id, row.code, row.geometry))
            names.append(row.name)
        beds = connection.execute(select(StorageArea.id, StorageArea.code, StorageArea.geometry))
        return _Parents(bays, {row.code: _Held(*row) for row in beds}, tuple(names))

    def bay(self, name: str) -> _Held:
        """Raises ValueError when the grid has no bay of this name, or two."""
        found = self.bays.get(fold(name), [])
        if len(found) != 1:
            many = f"{len(found)} bays are" if found else "no bay of the grid is"
            raise ValueError(f"{many} named {name!r}{nearest(name, self.bay_names)}; load the bays first")
        return found[0]

    def bed(self, bay: _Held, label: str) -> _Held:
        code = bed_code(bay.code, label)
        if code not in self.beds:
            raise ValueError(f"bay {bay.code} has no bed {label!r} ({code}); load the beds first")
        return self.beds[code]


def bay_code(name: str) -> tuple[str, WarehouseType]:
    """`Nave 3` is N03, a greenhouse. Raises ValueError when the name gives no code."""
    word, number = _split(name)
    for words, kind, letter in _KINDS:
        if key(word) in words:
            prefix = letter or word[:1].upper()
            return (f"{prefix}{int(number):02d}" if number else _code(name)), kind
    return _code(name), WarehouseType.GREENHOUSE


def bed_code(bay: str, label: str) -> str:
    """`Cantero Norte` of N03 is N03-NORTE."""
    return f"{bay}-{_code(_CANTERO.sub('', clean(label)))}"


def place_code(bed: str, label: str) -> str:
    """`Claro 7` of N03-NORTE is N03-NORTE-C07."""
    word, number = _split(label)
    return f"{bed}-{word[:1].upper()}{int(number):02d}" if number and word else f"{bed}-{_code(label)}"


def qr_code(place: str) -> str | None:
    """What a label's QR says: `QR-N03N-C07` for N03-NORTE-C07; None where that would be no valid one."""
    *bay, bed, last = place.split("-")
    made = f"QR-{''.join(bay)}{bed[:1]}-{last}"
    return made if re.fullmatch(r"[A-Z0-9_-]{8,20}", made) else None


def _split(label: str) -> tuple[str, str]:
    found = re.fullmatch(r"(?P<word>[^\W\d]+)\.?\s*(?P<number>\d+)", clean(label))
    return (found["word"], found["number"]) if found else (clean(label), "")


def _code(name: str) -> str:
    code = key(name).upper()[:20]
    if not re.fullmatch(r"[A-Z0-9]{2,20}", code):
        raise ValueError(f"gives no code: {name!r} has fewer than two letters and digits")
    return code


def _row(layer: Layer, feature: Feature, parents: _Parents) -> tuple[dict[str, Any], bool]:
    """The row of a feature, and whether its polygon had to be turned. Raises ValueError."""
    if feature.problem:
        raise ValueError(feature.problem)
    cells = feature.properties
    missing = [name for name in layer.needs if not cells.get(name)]
    if missing:
        raise ValueError(f"has no {', '.join(missing)}")
    label = cells[layer.label]
    shape_columns(feature.geometry)  # says what is wrong with it
    geometry, was_turned = turned(feature.geometry)
    row: dict[str, Any] = {"geometry": geometry, **shape_columns(geometry)}
    if layer.name == "bays":
        code, kind = bay_code(label)
        row |= {"code": code, "name": label, "type": kind.value, "source": PlaceSource.GRID.value}
        return row, was_turned
    bay = parents.bay(cells["nave"])
    if layer.name == "beds":
        side = SIDES.get(fold(label).split()[-1])
        row |= {"warehouse_id": bay.id, "code": bed_code(bay.code, label), "position": side}
        row["name"] = f"{cells['nave']}, {label}"
        _check_inside(geometry, bay)
        return row, was_turned
    bed = parents.bed(bay, cells["cantero"])
    code = place_code(bed.code, label)
    row |= {"storage_area_id": bed.id, "code": code, "qr_code": qr_code(code)}
    row["name"] = f"{cells['nave']}, {cells['cantero']}, {label}"
    row["position_metadata"] = {"row": _whole(cells, "row"), "col": _whole(cells, "col")}
    _check_inside(geometry, bed)
    return row, was_turned


def _whole(cells: Mapping[str, str], name: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", cells[name]):
        raise ValueError(f"{name} must be a whole number, not {cells[name]!r}")
    return int(cells[name])


def _check_inside(geometry: dict[str, Any], parent: _Held) -> None:
    outside = metres_outside(geometry, parent.geometry) if parent.geometry is not None else 0.0
    if outside > TOLERANCE_M:
        raise ValueError(f"its polygon reaches {outside:.1f} m out of that of {parent.code}")


def _reject_far(rows: list[dict[str, Any] | None], judged: list[Judged]) -> None:
    sound = [place for place, row in enumerate(rows) if row is not None]
    points = [(row["centroid_lon"], row["centroid_lat"]) for row in rows if row is not None]
    for far in outliers(points):
        place = sound[far]
        east, north = points[far]
        rows[place] = None
        judged[place] = judged[place].rejected(
            f"lies at {north:.5f}, {east:.5f}, far from the others; are longitude and latitude swapped?"
        )


def _write(
    connection: Connection, table: Table, rows: Sequence[dict[str, Any] | None], judged: list[Judged]
) -> None:
    """Upsert what is sound; the file wins over what was held, and the row's reason says that it did."""
    held = {row.code: row._asdict() for row in connection.execute(select(table))}
    places = [place for place, row in enumerate(rows) if row is not None]
    sound = [row for row in rows if row is not None]
    outcome = upsert(connection, table, sound, overwrite=True, remember=False)
    for rejected in outcome.rejected:
        place = places[rejected.row]
        reason = f"{sound[rejected.row]['code']} {rejected.reason}"
        judged[place] = judged[place].rejected(reason)
    for place, row in zip(places, sound, strict=True):
        before = held.get(row["code"])
        if before is None or judged[place].is_rejected:
            continue
        changed = [name for name in ("name", "geometry", "type") if name in row and row[name] != before[name]]
        if changed:
            judged[place] = judged[place].fixed(
                f"replaces the {' and '.join(changed)} held for {row['code']}"
            )


def _gaps(features: Sequence[Feature]) -> list[str]:
    """A bay is a full grid of rows and columns; what is missing or doubled is told."""
    cells: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    for feature in features:
        if feature.properties.keys() >= {"row", "col", "nave"}:
            row, col = feature.properties["row"], feature.properties["col"]
            cells[feature.properties["nave"]][row, col] += 1
    notes = []
    for nave, seen in cells.items():
        rows, cols = {row for row, _ in seen}, {col for _, col in seen}
        missing = len(rows) * len(cols) - len(seen)
        doubled = seen.total() - len(seen)
        if missing or doubled:
            notes.append(
                f"{nave}: its grid of {len(rows)} × {len(cols)} lacks {missing} and doubles {doubled}"
            )
    return notes


def _where(rows: Sequence[dict[str, Any] | None]) -> list[str]:
    sound = [row for row in rows if row is not None]
    if not sound:
        return []
    north = sum(row["centroid_lat"] for row in sound) / len(sound)
    east = sum(row["centroid_lon"] for row in sound) / len(sound)
    area = sum(row["area_m2"] for row in sound)
    return [f"{area:,.0f} m² around latitude {north:.4f}, longitude {east:.4f}"]
