"""Files from the client, through the real command."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import Connection, text

from db.engine import connect
from tests.acceptance.conftest import Site
from tests.db.imports.lists import write_inventory, write_price_list, write_species_list
from tests.db.imports.maps import write_drawn, write_layers


def ask(connection: Connection, query: str) -> object:
    found = connection.execute(text(query)).scalar()
    connection.rollback()
    return found


def test_the_client_s_files_from_first_to_last(site: Site, demo_url: str) -> None:
    layers = write_layers(site.folder)
    dry = site.run("import", "places", *layers, "--dry-run", "--format", "json")
    assert (dry.code, [row["status"] for row in dry.json]) == (0, ["dry run"] * 3)
    with connect(demo_url) as connection:
        assert ask(connection, "SELECT count(*) FROM import_runs") == 0
        assert ask(connection, "SELECT count(*) FROM storage_locations") == 20

    loaded = site.run("import", "places", *reversed(layers), "--format", "json")
    assert [(row["file"], row["read"], row["rejected"]) for row in loaded.json] == [
        ("naves.geojson", 28, 0),
        ("canteros.geojson", 56, 0),
        ("claros.geojson", 1290, 0),
    ]
    assert site.run("import", "drawn", write_drawn(site.folder)).code == 0
    prices = site.run("import", "prices", write_price_list(site.folder))
    assert "a dot stands for thousands, as price × units = total shows in 41 lines" in prices.out

    species = write_species_list(site.folder)
    refused = site.run("import", "species", species)
    assert refused.code == 8
    assert "categories.csv, line 58: names no species: 'ver foto' refers to a photo" in refused.err
    assert "nothing was loaded, since rows are rejected" in refused.err
    assert site.run("import", "species", species, "--max-rejects", "1").code == 0
    twice = site.run("import", "species", species, "--max-rejects", "1")
    assert (twice.code, "was loaded before, as run 7; nothing is loaded twice." in twice.err) == (0, True)

    options = ("--as-of", "1/9/2025", "--create-places", "--max-rejects", "8", "--format", "json")
    [inventory] = site.run("import", "seedlings", write_inventory(site.folder), *options).json
    assert inventory["read"] == inventory["loaded"] + inventory["fixed"] + inventory["rejected"] == 1334
    rejects = site.run("import", "show", "8", "--format", "csv").out.splitlines()
    assert sum(",rejected," in line for line in rejects) == 8
    assert len(site.run("import", "list", "--format", "json").json) == 8
    with connect(demo_url) as connection:
        assert ask(connection, "SELECT count(*) FROM stock_movements") == 1326


def wait_until_it_waits(connection: Connection) -> None:
    """For our lock, or for any other in this database: then it is half-way."""
    waiting = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
        " WHERE NOT granted AND datname = current_database()"
    )
    others = text("SELECT state, wait_event, query FROM pg_stat_activity WHERE datname = current_database()")
    deadline = time.monotonic() + 90
    while not connection.execute(waiting).scalar():
        if time.monotonic() > deadline:
            connection.execute(text("SELECT pg_stat_clear_snapshot()"))
            raise AssertionError(connection.execute(others).all())
        time.sleep(0.1)


def test_an_import_that_is_stopped_in_the_middle_leaves_nothing(site: Site, demo_url: str) -> None:
    species = write_species_list(site.folder)
    with connect(demo_url) as connection:
        families = ask(connection, "SELECT count(*) FROM product_families")
        connection.execute(text("LOCK TABLE products IN EXCLUSIVE MODE"))  # so that it waits half-way
        running = site.start("import", "species", species, "--max-rejects", "1")
        try:
            wait_until_it_waits(connection)
            running.send_signal(signal.SIGTERM)
            _, err = running.communicate(timeout=60)
        finally:
            running.kill()
        connection.rollback()

        assert (running.returncode, "interrupted" in err) == (130, True)
        assert ask(connection, "SELECT count(*) FROM product_families") == families
        assert ask(connection, "SELECT count(*) FROM import_runs") == 0


@pytest.mark.parametrize(
    ("arguments", "content", "sentence"),
    [
        (("import", "prices"), b"a,b\n1,2\n", "is no price list"),
        (("import", "species"), b"", "is empty"),
        (("import", "species"), b"SR8V,alo\0e,vera\n", "line 1 holds a NUL byte"),
        (("import", "seedlings"), b'C,"T1c1\n', "a quotation mark is not closed"),
        (("import", "places"), b'{"features": [', "is not JSON"),
        (
            ("places", "config", "bulk"),
            b"place;produkt\n",
            "unknown column 'produkt'; did you mean 'product'?",
        ),
        (("places", "import"), b"[]", "no list of features"),
    ],
)
def test_a_file_that_is_none_gets_one_sentence(
    site: Site, arguments: tuple[str, ...], content: bytes, sentence: str
) -> None:
    (site.folder / "x.dat").write_bytes(content)
    finished = site.run(*arguments, "x.dat")
    assert (finished.code, finished.out) == (2, "")
    [line] = finished.err.splitlines()
    assert sentence in line and "x.dat" in line


def test_options_that_cannot_be_are_told(site: Site) -> None:
    (site.folder / "x.csv").write_text("a,b\n")
    for arguments, sentence in (
        (("import", "seedlings", "x.csv", "--as-of", "31/2/2025"), "is no day of the calendar"),
        (("import", "seedlings", "x.csv", "--as-of", "2099-01-01"), "is in the future"),
        (("import", "show", "99"), "there is no import 99"),
        (("places", "labels", "N1"), "there is no place, bed or bay 'N1'; did you mean 'N01'"),
    ):
        finished = site.run(*arguments)
        assert (finished.code, sentence in finished.err.replace("\n", " ")) == (2, True), finished.err


def test_the_site_is_drawn_labelled_and_configured(site: Site, tmp_path: Path) -> None:
    import zxingcpp

    assert "├─ N01-NORTE, 5 places" in site.run("places", "tree", "N01").out
    narrow = site.but(COLUMNS="40").run("places", "list", "N01-NORTE").out.splitlines()
    assert max(map(len, narrow)) <= 40 and narrow[1].split()[:2] == ["N01-NORTE-C01", "MAM-BOC-001"]

    change = ("places", "config", "set", "N02", "--product", "ECH-ELE-001", "--packaging", "MAC-R8-D")
    dry = site.run(*change, "--dry-run", "--format", "json")
    assert len(dry.json) == 10 and "Nothing was changed" in dry.err
    assert [row["action"] for row in site.run(*change, "--format", "json").json].count("unchanged") < 10
    crops = site.run("places", "config", "history", "N02-SUR-C01", "--format", "json").json
    assert [crop["valid_to"] is None for crop in crops] == [False, True]
    assert site.run("places", "config", "set", "N02", "--product", "ECH-ELE-01").code == 2
    shown = site.run("places", "show", "n02-sur-c01", "--format", "json").json
    assert shown["product"] == "ECH-ELE-001"

    site.run("places", "export", "--output", "site.geojson")
    back = site.run("places", "import", "site.geojson", "--format", "json")
    assert [(row["unchanged"], row["rejected"]) for row in back.json] == [(2, 0), (4, 0), (20, 0)]
    assert site.run("places", "labels", "N01-NORTE", "--output", "labels.png").code == 0
    with Image.open(site.folder / "labels.png") as picture:
        codes = sorted(code.text for code in zxingcpp.read_barcodes(picture))
    assert codes == [f"QR-N01N-C0{n}" for n in range(1, 6)]
