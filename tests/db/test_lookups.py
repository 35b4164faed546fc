"""The catalogue: rows by their names, files that come back the same, and what may not be taken away."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select, text

from db.audit_log import Wanted
from db.audit_log import entries as changes
from db.cells import cell_text
from db.errors import NotFound, Refused, UnreadableFile
from db.lookups import LOOKUPS, Imported, add, edit, entries, export, load, lookup_table, set_active
from db.seeds import load_seeds
from tests.conftest import SEEDS

PRODUCTS, CATEGORIES, PACKAGING = map(lookup_table, ("products", "categories", "packaging"))
LOBIVIA = {"family": "CACTUS/Lobivia", "sku": "LOB-TST-001", "common_name": "Lobivia testis"}


@pytest.fixture
def connection(books: Connection) -> Connection:
    return books


def put(connection: Connection, path: Path, content: str, table: str = "products") -> Imported:
    path.write_text(content, encoding="utf-8", newline="")
    return load(connection, lookup_table(table), path)


@pytest.mark.parametrize("name", LOOKUPS)
def test_every_table_written_to_a_file_comes_back_unchanged(
    connection: Connection, tmp_path: Path, name: str
) -> None:
    written = export(connection, lookup_table(name))
    done = put(connection, tmp_path / "rows.csv", written, name)

    assert done.rejects == ()
    assert (done.inserted, done.updated) == (0, 0)
    assert done.read == done.unchanged == len(entries(connection, lookup_table(name))) > 3
    assert export(connection, lookup_table(name)) == written


def test_a_row_is_added_changed_and_renamed_by_its_names(connection: Connection) -> None:
    assert add(connection, PRODUCTS, LOBIVIA).key == "LOB-TST-001"
    changed = edit(
        connection, PRODUCTS, "lob-tst-001", {"sku": "LOB-TST-002", "scientific_name": "Lobivia t."}
    )
    assert changed.cells["scientific_name"] == "Lobivia t."
    emptied = edit(connection, PRODUCTS, "LOB-TST-002", {"scientific_name": ""})

    assert emptied.cells["scientific_name"] == ""
    assert emptied.cells["family"] == "CACTUS/Lobivia"
    log = changes(connection, Wanted("products", "LOB-TST-002"))
    assert [(one.action, one.after) for one in log] == [("update", {"scientific_name": ""})]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"sku": "lob"}, "sku must look like"),
        ({"sku": "MAM-BOC-001"}, "another row has the same sku"),
        ({"family": "CACTUS/Lobvia"}, "did you mean 'CACTUS/Lobivia'"),
        ({"family": ""}, "family_id cannot be empty"),
        ({"commonname": "x"}, "no column commonname; did you mean 'common_name'"),
        ({"custom_attributes": "{"}, "custom_attributes must be JSON"),
        ({"active": "maybe"}, "active must be true or false"),
    ],
)
def test_a_row_that_cannot_be_is_refused_in_the_words_of_the_rule(
    connection: Connection, cells: dict[str, str], words: str
) -> None:
    with pytest.raises(Refused, match=words):
        add(connection, PRODUCTS, LOBIVIA | cells)
    assert all(entry.key != "LOB-TST-001" for entry in entries(connection, PRODUCTS))


def test_an_unknown_table_or_row_is_answered_with_what_is_near(connection: Connection) -> None:
    with pytest.raises(NotFound, match="no list is called product; did you mean 'products'"):
        lookup_table("product")
    with pytest.raises(NotFound, match="did you mean MAM-BOC-001"):
        edit(connection, PRODUCTS, "MAM-BOC-01", {"description": "x"})


def test_what_is_configured_or_in_stock_is_not_deactivated_unnoticed(connection: Connection) -> None:
    for table, key in [(PRODUCTS, "MAM-BOC-001"), (CATEGORIES, "CACTUS"), (PACKAGING, "MAC-R8-T")]:
        with pytest.raises(Refused, match=rf"{key} is in use: configured at \d+ place"):
            set_active(connection, table, key, False)
    assert set_active(connection, PRODUCTS, "MAM-BOC-001", False, force=True).cells["active"] == "false"
    assert "MAM-BOC-001" not in {entry.key for entry in entries(connection, PRODUCTS, everything=False)}
    assert set_active(connection, PRODUCTS, "MAM-BOC-001", True).cells["active"] == "true"

    add(connection, PRODUCTS, LOBIVIA)
    assert set_active(connection, PRODUCTS, "LOB-TST-001", False).cells["active"] == "false"


def test_plants_in_stock_keep_their_pot_their_state_and_their_kind_of_bin(connection: Connection) -> None:
    connection.execute(text("DELETE FROM storage_location_config"))
    connection.execute(
        text(
            """
            WITH bin AS (
                INSERT INTO storage_bins
                    (storage_location_id, storage_bin_type_id, category, product_id, code)
                SELECT l.id, t.id, t.category, p.id, 'N01-NORTE-C01-SEGMENT'
                FROM storage_locations l, storage_bin_types t, products p
                WHERE l.code = 'N01-NORTE-C01' AND t.code = 'SEGMENT_STANDARD' AND p.sku = 'MAM-BOC-001'
                RETURNING id, product_id
            )
            INSERT INTO stock_batches (batch_code, current_storage_bin_id, product_id, product_state_id,
                quantity_current)
            SELECT 'LOC1-PROD1', bin.id, product_id, s.id, 320
            FROM bin, product_states s WHERE s.code = 'ADULT'
            """
        )
    )
    for name, key in [
        ("products", "MAM-BOC-001"),
        ("families", "CACTUS/Mammillaria"),
        ("categories", "CACTUS"),
        ("states", "ADULT"),
        ("bin-types", "SEGMENT_STANDARD"),
    ]:
        with pytest.raises(Refused, match=f"{key} is in use: 320 plants in stock;"):
            set_active(connection, lookup_table(name), key, False)
    set_active(connection, lookup_table("states"), "DORMANT", False)


def test_rows_of_a_file_that_cannot_be_loaded_are_named(connection: Connection, tmp_path: Path) -> None:
    done = put(
        connection,
        tmp_path / "rows.csv",
        "family;sku;common name\r\n"
        "CACTUS/Lobivia;LOB-TST-001;Lobivia 1\r\n"
        "CACTUS/Lobvia;LOB-TST-002;Lobivia 2\r\n"
        "CACTUS/Lobivia;lob;Lobivia 3\r\n"
        "\r\n"
        "CACTUS/Lobivia;LOB-TST-001;Lobivia 4\r\n"
        "CACTUS/Lobivia;LOB-TST-005\r\n",
    )
    assert (done.read, done.inserted) == (5, 1)
    assert [line for line, _ in done.rejects] == [3, 4, 6, 7]
    for (_, reason), words in zip(
        done.rejects, ["did you mean", "sku must look like", "repeats the key", "2 cells"], strict=True
    ):
        assert words in reason


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("family,sku,sku\n", "names twice 'sku'"),
        ("family,sku,weight\n", "unknown column 'weight'"),
        ("family,common_name\n", "lacks the column 'sku'"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_as_a_whole(
    connection: Connection, tmp_path: Path, content: str, words: str
) -> None:
    with pytest.raises(UnreadableFile, match=words):
        put(connection, tmp_path / "rows.csv", content)


def test_a_spreadsheets_decimal_comma_is_understood(connection: Connection, tmp_path: Path) -> None:
    put(connection, tmp_path / "rows.csv", "code;max_height_cm;name\nM;20,5;Middling\nXS;5;Tiny\n", "sizes")
    heights = {
        entry.key: entry.cells["max_height_cm"] for entry in entries(connection, lookup_table("sizes"))
    }
    assert (heights["M"], heights["XS"]) == ("20.5", "5")


def test_seeds_leave_alone_what_a_person_imported(connection: Connection, tmp_path: Path) -> None:
    put(connection, tmp_path / "rows.csv", "sku,common_name\nMAM-BOC-001,Vieja\n")
    load_seeds(connection, SEEDS)
    name = select(PRODUCTS.c.common_name).where(PRODUCTS.c.sku == "MAM-BOC-001")
    assert connection.scalar(name) == "Vieja"


written = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30) | st.sampled_from(
    ["=1+1", "'=x", "@x", "-5", '"', "a;b,c\nd", "0\r0", "\ufeffx", "1.000"]
)


@given(
    st.dictionaries(st.from_regex("[A-Z0-9_-]{3,8}", fullmatch=True), st.tuples(written, written), max_size=5)
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_people_write_comes_back_the_same(
    connection: Connection, tmp_path: Path, told: dict[str, tuple[str, str]]
) -> None:
    table = lookup_table("packaging-types")
    with connection.begin_nested() as savepoint:
        for user_of_it in ("storage_location_config", "density_parameters", "packaging_catalog"):
            connection.execute(text(f"DELETE FROM {user_of_it}"))
        connection.execute(table.delete())
        for code, (name, description) in told.items():
            cells = {"code": code, "name": cell_text(name) or "x", "description": description}
            add(connection, table, cells)
        before = entries(connection, table)
        text_before = export(connection, table)
        connection.execute(table.delete())
        done = put(connection, tmp_path / "rows.csv", text_before, "packaging-types")
        assert (done.inserted, done.rejects) == (len(told), ())
        assert entries(connection, table) == before
        assert export(connection, table) == text_before
        savepoint.rollback()
