"""The client's maps, quirk by quirk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from db.engine import connect
from db.errors import UnreadableFile
from db.imports.drawn import drawn_code
from db.imports.maps import read_map
from db.imports.places import bay_code, bed_code, place_code, qr_code, recognise
from db.seeds import load_seeds
from db.site_map import LEVELS, export_map, import_map
from tests.conftest import _copied, _url_of
from tests.db.imports.loading import figures, import_drawn, import_layer
from tests.db.imports.maps import write_drawn, write_layers

DEMO = Path(__file__).parents[3] / "seeds" / "demo"


def ask(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(text(query))]


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_layers(tmp_path_factory.mktemp("layers"))


@pytest.fixture(scope="module")
def gridded_url(server: str, demo_template: str, layers: list[Path]) -> Iterator[str]:
    """A database of its own in which the three layers are loaded."""
    with _copied(server, demo_template) as name:
        with connect(_url_of(server, name)) as connection:
            for path in layers:
                import_layer(connection, path)
                connection.commit()
        yield _url_of(server, name)


@pytest.fixture
def grid(gridded_url: str) -> Iterator[Connection]:
    with connect(gridded_url) as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawn(tmp_path_factory.mktemp("drawn"))


def test_a_layer_is_recognised_by_its_properties(layers: list[Path]) -> None:
    assert [recognise(read_map(path)).name for path in layers] == ["bays", "beds", "places"]


def test_the_three_layers_load_28_bays_56_beds_and_1290_places(grid: Connection) -> None:
    books = grid
    # N01 and N02 stood in the demo nursery: their polygons, and those of their places, are replaced.
    runs = "SELECT status, read, loaded + fixed, rejected FROM import_runs ORDER BY id"
    assert ask(books, runs) == [("loaded", 28, 28, 0), ("loaded", 56, 56, 0), ("loaded", 1290, 1290, 0)]
    replaced = (
        "SELECT count(*) FROM import_rows WHERE reason = 'replaces the name and geometry held for ' || target"
    )
    assert ask(books, replaced) == [(6 - 2 + 20,)]
    tables = (
        "FROM storage_locations l JOIN storage_areas a ON a.id = storage_area_id"
        " JOIN warehouses w ON w.id = warehouse_id WHERE source = 'grid'"
    )
    # Labels repeat from bay to bay; with bay and bed each is one place.
    claro_7 = f"SELECT count(*), count(DISTINCT l.code) {tables} AND l.name LIKE '%, Claro 7'"
    assert ask(books, claro_7) == [(56, 56)]
    # Parents are found by name.
    parents = f"SELECT w.code, a.code, a.position {tables} AND l.code = 'N17-SUR-C07'"
    assert ask(books, parents) == [("N17", "N17-SUR", "S")]
    # Bays and beds came clockwise and are kept counter-clockwise.
    notes = [row[0] for row in ask(books, "SELECT notes FROM import_runs ORDER BY id")]
    assert "28 polygons wound clockwise were turned, as GeoJSON wants them" in notes[0]
    assert not any("clockwise" in note for note in notes[2])
    # lon,lat order, and the area of a place of 1.8 by 4.08 m.
    where = ask(
        books,
        f"SELECT round(avg(l.centroid_lat)), round(avg(l.centroid_lon)), min(l.area_m2)::float {tables}",
    )
    assert where == [(-33, -69, pytest.approx(7.34, abs=0.02))]
    # The three layers cover the same ground.
    ground = [next(note for note in each if "m² around" in note) for each in notes]
    assert len({note.split(" m²")[0] for note in ground}) == 1
    # A QR for each, of 8 to 20 characters, all different.
    assert ask(books, f"SELECT count(DISTINCT l.qr_code) {tables}") == [(1290,)]


def test_neighbours_are_worked_out_from_the_polygons(grid: Connection) -> None:
    names = """
        SELECT l.code, round(shared_m, 1)::float FROM location_relationships
        JOIN storage_locations l ON l.id IN (parent_location_id, child_location_id)
        JOIN storage_locations me ON me.id IN (parent_location_id, child_location_id)
        WHERE me.code = 'N05-NORTE-C07' AND l.id <> me.id ORDER BY 1
    """
    # Along the bed on either side, and across the aisle of the other bed; corners do not count.
    assert ask(grid, names) == [("N05-NORTE-C06", 4.1), ("N05-NORTE-C08", 4.1), ("N05-SUR-C07", 1.8)]


def test_beds_without_their_bays_are_rejected_with_the_reason(books: Connection, layers: list[Path]) -> None:
    outcome = import_layer(books, layers[1])

    assert figures(outcome) == ("refused", 56, 0, 0, 56)
    assert outcome.rejects[0].reason == "no bay of the grid is named 'Nave 1'; load the bays first"


def test_the_same_file_twice_is_loaded_once(books: Connection, layers: list[Path]) -> None:
    first = import_layer(books, layers[0])
    again = import_layer(books, layers[0])

    assert (again.status, again.run) == ("already loaded", first.run)


def test_a_later_seed_leaves_alone_what_a_map_has_changed(books: Connection, layers: list[Path]) -> None:
    """Nave 1 and its beds are in the demo nursery too, where they are drawn otherwise."""
    ask_names = "SELECT name FROM warehouses WHERE code = 'N01'"
    for path in layers[:2]:
        assert import_layer(books, path).status == "loaded"
    [(name,)] = ask(books, ask_names)
    shapes = ask(books, "SELECT code, geometry FROM storage_areas ORDER BY code")
    reports = {report.file: report for report in load_seeds(books, DEMO)}

    assert reports["01_warehouses.geojson"].updated == reports["02_storage_areas.geojson"].updated == 0
    assert reports["01_warehouses.geojson"].kept == reports["01_warehouses.geojson"].read > 0
    assert ask(books, ask_names) == [(name,)] == [("Nave 1",)]
    assert ask(books, "SELECT code, geometry FROM storage_areas ORDER BY code") == shapes


def test_what_people_give_by_their_codes_is_no_seed(books: Connection, tmp_path: Path) -> None:
    document = export_map(books, [LEVELS[0].name, LEVELS[-1].name])
    for feature in document["features"]:
        feature["properties"]["name"] = f"{feature['properties']['name']} bis"
    file = tmp_path / "site.geojson"
    file.write_text(json.dumps(document))
    assert sum(report.updated for report in import_map(books, file)) == len(document["features"])

    load_seeds(books, DEMO)
    assert ask(books, "SELECT count(*) FROM storage_locations WHERE name NOT LIKE '% bis'") == [(0,)]
    assert ask(books, "SELECT count(*) FROM warehouses WHERE name NOT LIKE '% bis'") == [(0,)]
    load_seeds(books, DEMO, overwrite=True)
    assert ask(books, "SELECT count(*) FROM storage_locations WHERE name LIKE '% bis'") == [(0,)]


def test_a_place_outside_its_bed_is_rejected_and_the_rest_waits_for_permission(
    grid: Connection, layers: list[Path], tmp_path: Path
) -> None:
    books = grid
    before = ask(books, "SELECT count(*) FROM storage_locations")
    document = json.loads(layers[2].read_text(encoding="utf-8"))
    ring = document["features"][-1]["geometry"]["coordinates"][0]
    document["features"][-1]["geometry"]["coordinates"] = [[[x + 3e-5, y] for x, y in ring]]
    lost = tmp_path / "claros.geojson"
    lost.write_text(json.dumps(document), encoding="utf-8")

    refused = import_layer(books, lost)
    assert refused.status == "refused"
    assert ask(books, "SELECT count(*) FROM storage_locations") == before
    [reject] = refused.rejects
    assert "m out of that of N28-SUR" in (reject.reason or "")
    assert import_layer(books, lost, max_rejects=1).status == "loaded"


def test_swapped_longitude_and_latitude_are_noticed(
    books: Connection, layers: list[Path], tmp_path: Path
) -> None:
    document = json.loads(layers[0].read_text(encoding="utf-8"))
    geometry = document["features"][3]["geometry"]
    geometry["coordinates"] = [[[y, x] for x, y in geometry["coordinates"][0]]]
    path = tmp_path / "naves.geojson"
    path.write_text(json.dumps(document), encoding="utf-8")

    [reject] = import_layer(books, path).rejects
    assert "are longitude and latitude swapped?" in (reject.reason or "")


def test_the_drawn_map_is_a_source_of_its_own(books: Connection, layers: list[Path], drawn: Path) -> None:
    import_layer(books, layers[0])
    outcome = import_drawn(books, drawn)

    assert figures(outcome) == ("loaded", 41, 39, 2, 0)
    # 27 buildings become bays beside the grid's, "Nave 1" twice.
    assert ask(books, "SELECT source, count(*) FROM warehouses GROUP BY 1 ORDER BY 1") == [
        ("drawn", 27),
        ("grid", 28),
    ]
    same = "SELECT code, source FROM warehouses WHERE name = 'Nave 1' ORDER BY 1"
    assert ask(books, same) == [("DN1", "drawn"), ("N01", "grid")]
    kinds = "SELECT type, count(*) FROM warehouses WHERE source = 'drawn' GROUP BY 1 ORDER BY 1"
    assert ask(books, kinds) == [("greenhouse", 21), ("shadehouse", 3), ("tunnel", 3)]
    # Everything is kept as it was drawn: 29 polygons, 12 lines, two of them with one name.
    shapes = "SELECT geometry->>'type', count(*) FROM map_features GROUP BY 1 ORDER BY 1"
    assert ask(books, shapes) == [("LineString", 12), ("Polygon", 29)]
    assert ask(books, "SELECT count(*) FROM map_features WHERE name = 'Cantero nave 7'") == [(2,)]
    umbrellas = "SELECT name FROM map_features WHERE area_m2 > 0 AND warehouse_id IS NULL ORDER BY 1"
    assert ask(books, umbrellas) == [("Madres norte",), ("Madres sur",)]
    fixed = [row.reason or "" for row in outcome.rows if row.reason]
    assert fixed[0].startswith("an umbrella over Madre 1 Norte, Madres 2 Norte, Madres 3 N")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Tunnel 1", "DT1"),
        ("Somb 1", "DS1"),
        ("Sombraculo 4", "DS4"),
        ("Madre 1 Norte", "DM1N"),
        ("Madres 3 N", "DM3N"),
        ("Nave 3 sur", "DN3S"),
    ],
)
def test_variants_of_drawn_names_give_one_code(name: str, code: str) -> None:
    named = drawn_code(name)
    assert named is not None and named[0] == code


def test_codes_come_from_labels() -> None:
    assert bay_code("Nave 3")[0] == "N03"
    assert bay_code("Túnel 2") == ("T02", "tunnel")
    assert bed_code("N03", "Cantero Norte") == "N03-NORTE"
    assert place_code("N03-NORTE", "Claro 7") == "N03-NORTE-C07"
    assert qr_code("N03-NORTE-C07") == "QR-N03N-C07"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"{", "is not JSON"),
        (b"[1]", "no list of features"),
        (b'{"type": "FeatureCollection", "features": []}', "holds no feature"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"crs": {"properties": {"name": "EPSG:3857"}}, "features": [{}]}', "another coordinate system"),
        (b'{"features": [{"properties": {"a": 1}, "geometry": {}}]}', "none of the layers"),
    ],
)
def test_what_is_no_map_is_told_in_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "x.geojson"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=sentence):
        recognise(read_map(path))
