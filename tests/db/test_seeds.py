from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from db.engine import connect
from db.errors import SeedError
from db.seeds import SeedReport, load_seeds

SEEDS = Path(__file__).parents[2] / "seeds"
COUNTS = Counter(users=1, product_states=11, product_sizes=7, product_categories=5, warehouses=2)
COUNTS.update(storage_areas=4, storage_locations=20, storage_location_config=19)
CATEGORIES = "code,name\nCACTUS,Cactus\nAGAVE,Agaves\n"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def load_one(connection: Connection, folder: Path, *, overwrite: bool = False) -> SeedReport:
    [report] = load_seeds(connection, folder, overwrite=overwrite)
    return report


def tally(report: SeedReport) -> dict[str, int]:
    found = {name: getattr(report, name) for name in ("inserted", "unchanged", "updated", "kept")}
    return {name: number for name, number in found.items() if number}


def one(connection: Connection, query: str) -> Any:
    return connection.execute(text(query)).scalar_one()


def test_everything_shipped_loads_and_a_second_time_changes_nothing(connection: Connection) -> None:
    for folder in (SEEDS, SEEDS / "demo"):
        first = load_seeds(connection, folder)
        assert [report.rejected for report in first] == [()] * len(first)
        assert all(report.inserted == report.read > 0 for report in first)
        second = load_seeds(connection, folder)
        assert all(report.unchanged == report.read for report in second)
    rows = Counter({name: one(connection, f"SELECT count(*) FROM {name}") for name in COUNTS})
    assert rows == COUNTS
    assert one(connection, "SELECT count(*) FROM product_states WHERE is_sellable") == 4


def test_nobody_who_is_shipped_can_log_in(connection: Connection) -> None:
    load_seeds(connection, SEEDS)

    rows = connection.execute(text("SELECT email, role, password_hash FROM users")).all()
    assert [tuple(row) for row in rows] == [("system@demeter.local", "system", None)]


def test_every_genus_has_a_product_without_species_and_every_category_a_mix(connection: Connection) -> None:
    load_seeds(connection, SEEDS)

    without = text(
        "SELECT family.name FROM product_families AS family JOIN product_categories AS category"
        " ON category.id = category_id WHERE scientific_name IS NOT NULL AND NOT EXISTS"
        " (SELECT FROM products WHERE family_id = family.id AND common_name LIKE '% sp.')"
    )
    mixless = text(
        "SELECT code FROM product_categories AS category WHERE NOT EXISTS (SELECT FROM products"
        " JOIN product_families AS family ON family.id = family_id"
        " WHERE category_id = category.id AND sku LIKE '%-MIX-001')"
    )
    assert connection.execute(without).all() == []
    assert connection.execute(mixless).all() == []
    assert one(connection, "SELECT count(*) FROM product_categories WHERE NOT is_plant") == 1


def test_each_category_of_bin_has_a_default_type_and_only_boxes_and_segments_are_sold(
    connection: Connection,
) -> None:
    load_seeds(connection, SEEDS)

    rows = connection.execute(text("SELECT category FROM storage_bin_types WHERE is_default ORDER BY 1"))
    assert rows.scalars().all() == ["box", "plug", "pot", "seedling_tray", "segment"]
    sold = connection.execute(
        text("SELECT DISTINCT category FROM storage_bin_types WHERE sellable ORDER BY 1")
    )
    assert sold.scalars().all() == ["box", "segment"]


def test_the_demo_places_tile_their_beds_exactly_where_the_nursery_is(connection: Connection) -> None:
    for folder in (SEEDS, SEEDS / "demo"):
        load_seeds(connection, folder)

    beds = connection.execute(
        text(
            "SELECT bed.area_m2, sum(place.area_m2), min(place.area_m2), max(place.area_m2), count(*)"
            " FROM storage_areas AS bed JOIN storage_locations AS place ON storage_area_id = bed.id"
            " GROUP BY bed.id"
        )
    ).all()
    assert [[float(value) for value in row] for row in beds] == [[36.75, 36.75, 7.35, 7.35, 5]] * 4
    outside = "centroid_lat NOT BETWEEN -33.1 AND -33 OR centroid_lon NOT BETWEEN -68.8 AND -68.6"
    assert one(connection, f"SELECT count(*) FROM storage_locations WHERE {outside}") == 0
    places = json.loads((SEEDS / "demo" / "03_storage_locations.geojson").read_text())["features"]
    corners = Counter(tuple(point) for place in places for point in place["geometry"]["coordinates"][0][:4])
    # Per bay 3 rows of 6 corners; those on a shared side belong to two places or, between the beds, to four.
    assert Counter(corners.values()) == {1: 8, 2: 2 * (2 * 4 + 2), 4: 8}


def test_every_demo_place_but_one_has_a_crop_and_a_density_for_it(connection: Connection) -> None:
    for folder in (SEEDS, SEEDS / "demo"):
        load_seeds(connection, folder)

    ready = text(
        "SELECT code FROM storage_locations AS place"
        " WHERE NOT EXISTS (SELECT FROM storage_location_config AS config"
        " JOIN density_parameters AS density ON density.product_id = config.product_id"
        " AND density.packaging_catalog_id = config.packaging_catalog_id"
        " JOIN storage_bin_types AS bin_type ON bin_type.id = storage_bin_type_id AND is_default"
        " WHERE storage_location_id = place.id AND config.active AND category IN ('segment', 'box')"
        " GROUP BY place.id HAVING count(*) = 2)"
    )
    assert connection.execute(ready).scalars().all() == ["N02-SUR-C05"]


def test_a_row_that_nobody_touched_follows_its_file(connection: Connection, tmp_path: Path) -> None:
    folder = write(tmp_path / "seeds", "01_product_categories.csv", CATEGORIES)
    load_seeds(connection, folder)
    write(folder, "01_product_categories.csv", CATEGORIES.replace("Agaves", "Agaváceas"))

    assert tally(load_one(connection, folder)) == {"unchanged": 1, "updated": 1}
    assert one(connection, "SELECT name FROM product_categories WHERE code = 'AGAVE'") == "Agaváceas"
    assert tally(load_one(connection, folder)) == {"unchanged": 2}


def test_a_row_that_a_person_edited_is_kept_unless_told_to_overwrite(
    connection: Connection, tmp_path: Path
) -> None:
    folder = write(tmp_path / "seeds", "01_product_categories.csv", CATEGORIES)
    load_seeds(connection, folder)
    connection.execute(text("UPDATE product_categories SET name = 'Mine' WHERE code = 'AGAVE'"))
    connection.commit()
    write(folder, "01_product_categories.csv", CATEGORIES.replace("Agaves", "Agaváceas"))

    for _ in range(2):
        assert tally(load_one(connection, folder)) == {"unchanged": 1, "kept": 1}
    assert one(connection, "SELECT name FROM product_categories WHERE code = 'AGAVE'") == "Mine"
    connection.commit()

    assert tally(load_one(connection, folder, overwrite=True)) == {"unchanged": 1, "updated": 1}
    assert one(connection, "SELECT name FROM product_categories WHERE code = 'AGAVE'") == "Agaváceas"
    connection.commit()
    write(folder, "01_product_categories.csv", CATEGORIES)  # the row is the file's again
    assert tally(load_one(connection, folder)) == {"unchanged": 1, "updated": 1}


def test_a_row_that_a_person_made_is_theirs(connection: Connection, tmp_path: Path) -> None:
    connection.execute(text("INSERT INTO product_categories (code, name) VALUES ('AGAVE', 'Mine')"))
    connection.commit()
    folder = write(tmp_path / "seeds", "01_product_categories.csv", CATEGORIES)

    assert tally(load_one(connection, folder)) == {"inserted": 1, "kept": 1}


def test_a_row_that_a_person_deleted_does_not_come_back(connection: Connection, tmp_path: Path) -> None:
    folder = write(tmp_path / "seeds", "01_product_categories.csv", CATEGORIES)
    load_seeds(connection, folder)
    connection.execute(text("DELETE FROM product_categories WHERE code = 'AGAVE'"))
    connection.commit()

    assert tally(load_one(connection, folder)) == {"unchanged": 1, "kept": 1}
    assert tally(load_one(connection, folder, overwrite=True)) == {"unchanged": 1, "inserted": 1}


def test_a_column_that_the_file_does_not_give_stays_as_a_person_wrote_it(
    connection: Connection, tmp_path: Path
) -> None:
    folder = write(tmp_path / "seeds", "01_product_categories.csv", CATEGORIES)
    load_seeds(connection, folder)
    connection.execute(text("UPDATE product_categories SET description = 'spines' WHERE code = 'CACTUS'"))
    connection.commit()
    write(folder, "01_product_categories.csv", CATEGORIES.replace("Cactus", "Cacti"))

    assert tally(load_one(connection, folder)) == {"unchanged": 1, "updated": 1}
    assert one(connection, "SELECT description FROM product_categories WHERE code = 'CACTUS'") == "spines"


def test_a_crop_that_a_person_changed_is_not_seeded_back(connection: Connection) -> None:
    for folder in (SEEDS, SEEDS / "demo"):
        load_seeds(connection, folder)
    connection.execute(
        text("UPDATE storage_location_config SET active = false, valid_to = '2026-01-01Z' WHERE id = 1")
    )
    connection.execute(
        text(
            "INSERT INTO storage_location_config"
            " (storage_location_id, product_id, expected_product_state_id, valid_from)"
            " SELECT storage_location_id, product_id + 1, expected_product_state_id, valid_to"
            " FROM storage_location_config WHERE id = 1"
        )
    )
    connection.commit()

    config = next(
        report for report in load_seeds(connection, SEEDS / "demo") if "location_config" in report.file
    )
    assert tally(config) == {"unchanged": 18, "kept": 1}


def test_the_caller_may_try_a_load_and_take_it_back(connection: Connection, tmp_path: Path) -> None:
    folder = write(tmp_path / "seeds", "01_product_categories.csv", CATEGORIES)
    with connection.begin() as trial:
        assert tally(load_one(connection, folder)) == {"inserted": 2}
        trial.rollback()

    assert tally(load_one(connection, folder)) == {"inserted": 2}


def test_what_was_loaded_is_committed(connection: Connection, database_url: str, tmp_path: Path) -> None:
    load_seeds(connection, write(tmp_path / "seeds", "01_product_categories.csv", CATEGORIES))

    with connect(database_url) as other:
        assert one(other, "SELECT count(*) FROM product_categories") == 2


def test_two_programs_may_seed_at_once(database_url: str) -> None:
    def load() -> None:
        with connect(database_url) as connection:
            together.wait(10)
            reports.extend(load_seeds(connection, SEEDS))

    together = threading.Barrier(2)
    reports: list[SeedReport] = []
    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [report.rejected for report in reports] == [()] * 24
    assert sum(report.inserted for report in reports) == sum(report.unchanged for report in reports) > 200


def test_rows_that_cannot_be_loaded_are_reported_with_their_line_and_the_rest_is_loaded(
    connection: Connection, tmp_path: Path
) -> None:
    folder = write(tmp_path / "seeds", "01_product_categories.csv", CATEGORIES)
    write(
        folder,
        "02_product_families.csv",
        'category,name,description\nCACTUS,Rebutia,"two\nlines"\nCACTO,Parodia,\nCACTUS,Copiapoa\n\n'
        "CACTUS,Rebutia,again\nCACTUS,Lobivia,\n",
    )
    write(
        folder,
        "03_products.csv",
        "sku,family,common_name\nREB-SP-001,CACTUS/Rebutia,Rebutia\nreb,CACTUS/Rebutia,x\nPAR-SP-001,CACTUS/Parodia,x\n",
    )
    write(folder, "04_product_sizes.csv", "code,name,min_height_cm\nS,Small,five\nM,Medium,10\nL,Large,NaN\n")

    _, families, products, sizes = load_seeds(connection, folder)

    assert (families.read, families.inserted) == (5, 2)
    assert families.rejected == (
        (4, "category 'CACTO' is not in product_categories; did you mean 'CACTUS'?"),
        (5, "has 2 cells where the header has 3"),
        (7, "repeats the key of an earlier row"),
    )
    assert (products.read, products.inserted) == (3, 1)
    assert [line for line, _ in products.rejected] == [3, 4]
    assert "sku must look like" in products.rejected[0][1]
    assert "'CACTUS/Parodia' is not in product_families" in products.rejected[1][1]
    assert sizes.rejected == (
        (2, "min_height_cm must be a number, not 'five'"),
        (4, "min_height_cm must be a number, not 'NaN'"),
    )


def test_files_from_spreadsheets_are_understood(connection: Connection, tmp_path: Path) -> None:
    content = "\ufeffcode,name\r\nCACTUS, Cactus \r\n\r\nAGAVE,A\u0301gave\r\n".encode()
    report = load_one(connection, write(tmp_path / "seeds", "01_product_categories.csv", content))

    assert (report.read, report.inserted) == (2, 2)
    names = connection.execute(text("SELECT name FROM product_categories ORDER BY 1")).scalars().all()
    assert names == ["Cactus", "\u00c1gave"]


def test_an_empty_cell_is_null_or_the_default(connection: Connection, tmp_path: Path) -> None:
    content = "code,name,description,is_plant,sort_order\nCACTUS,Cactus,,,\n"
    folder = write(tmp_path / "seeds", "01_product_categories.csv", content)
    load_seeds(connection, folder)

    row = connection.execute(text("SELECT description, is_plant, sort_order FROM product_categories")).one()
    assert tuple(row) == (None, True, 99)
    connection.commit()
    assert tally(load_one(connection, folder)) == {"unchanged": 1}


def test_decimals_are_compared_as_they_are_stored(connection: Connection, tmp_path: Path) -> None:
    content = "code,name,min_height_cm,max_height_cm\nS,Small,5,10.005\n"
    folder = write(tmp_path / "seeds", "01_product_sizes.csv", content)
    load_seeds(connection, folder)

    assert tally(load_one(connection, folder)) == {"unchanged": 1}
    assert str(one(connection, "SELECT max_height_cm FROM product_sizes")) == "10.01"


NONSENSE: list[tuple[str, str | bytes, str]] = [
    ("01_product_categories.csv", "code,nombre\nA,B\n", "unknown column 'nombre'"),
    ("01_product_categories.csv", "code,nam\nA,B\n", "did you mean 'name'"),
    ("01_product_categories.csv", "id,code,name\n1,A,B\n", "unknown column 'id'"),
    ("01_product_families.csv", "category_id,name\n1,B\n", "did you mean 'category'"),
    ("01_product_categories.csv", "name\nB\n", "lacks the column 'code'"),
    ("01_product_categories.csv", "code,code\nA,B\n", "names code twice"),
    ("01_product_categories.csv", "", "no header"),
    ("01_product_categories.csv", 'code,name\nA,"B\n', "line 2: unexpected end of data"),
    ("01_product_categories.csv", "code,name\nA,B\n".encode("utf-16"), "not UTF-8"),
    ("01_product_category.csv", "code,name\n", "did you mean 'product_categories'"),
    ("01_stock_movements.csv", "quantity\n1\n", "no table that can be seeded"),
    ("01_warehouses.geojson", "{", "is not JSON"),
    ("01_warehouses.geojson", '{"type": "Feature"}', "no GeoJSON FeatureCollection"),
]


def test_a_file_that_makes_no_sense_as_a_whole_stops_the_load(connection: Connection, tmp_path: Path) -> None:
    for number, (name, content, message) in enumerate(NONSENSE):
        folder = write(tmp_path / str(number), "00_product_states.csv", "code,name\nADULT,Adult\n")
        write(folder, name, content)

        with pytest.raises(SeedError, match=message) as caught:
            load_seeds(connection, folder)

        assert name in str(caught.value)
    assert one(connection, "SELECT count(*) FROM product_states") == 0


def test_a_folder_without_seeds_is_an_error(connection: Connection, tmp_path: Path) -> None:
    write(tmp_path / "empty", "README.txt", "no seeds here")
    with pytest.raises(SeedError, match=r"holds no seed file, such as 01_users\.csv"):
        load_seeds(connection, tmp_path / "empty")
    with pytest.raises(SeedError, match="cannot be read: No such file or directory"):
        load_seeds(connection, tmp_path / "missing")


def feature(code: str, west: float, south: float, **properties: object) -> dict[str, object]:
    east, north = west + 1e-4, south + 1e-4
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "properties": {"code": code, "name": code, **properties},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def collection(*features: object) -> str:
    return '{"type": "FeatureCollection", "features": [\n' + ",\n".join(map(json.dumps, features)) + "\n]}"


def test_places_that_lie_wrong_are_reported_with_their_line(connection: Connection, tmp_path: Path) -> None:
    bay = feature("N01", -68.7, -33.04, type="greenhouse")
    folder = write(tmp_path / "seeds", "01_warehouses.geojson", collection(bay))
    write(
        folder,
        "02_storage_areas.geojson",
        collection(
            feature("N01-SUR", -68.7, -33.040005, warehouse="N01"),  # half a metre out: drawn by hand
            feature("N01-NORTE", -68.7, -33.03999, warehouse="N01"),
            feature("N01-ESTE", -33.04, -168.7, warehouse="N01"),
            {"type": "Feature", "properties": {"code": "N01-OESTE"}, "geometry": None},
            feature("N02-SUR", -68.7, -33.04, warehouse="N02"),
        ),
    )

    bays, beds = load_seeds(connection, folder)

    assert (bays.inserted, bays.rejected) == (1, ())
    assert (beds.read, beds.inserted) == (5, 1)
    assert [line for line, _ in beds.rejected] == [3, 4, 5, 6]
    assert [reason for _, reason in beds.rejected] == [
        "its polygon reaches 1.1 m out of that of its warehouses row",
        "-33.04, -168.7 is no longitude and latitude; are they swapped?",
        "is no feature with properties and a geometry",
        "warehouse 'N02' is not in warehouses; did you mean 'N01'?",
    ]


def test_shipped_files_hold_no_ids_and_no_carriage_returns() -> None:
    for path in sorted(SEEDS.rglob("*.csv")):
        content = path.read_bytes()
        assert b"\r" not in content
        header = content.decode().partition("\n")[0].split(",")
        assert not [name for name in header if name == "id" or name.endswith("_id")], path
