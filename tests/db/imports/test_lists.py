"""The client's price list, species list and seedling inventory, quirk by quirk."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from db.errors import UnreadableFile
from db.imports.nursery_places import spell
from db.imports.pots import PotCode, parse_pot
from db.imports.prices import PriceFile, PriceLine, judge_prices
from db.imports.read import read_rows
from db.prices import Wanted, lines
from tests.db.imports.lists import write_inventory, write_price_list, write_species_list
from tests.db.imports.loading import figures, import_prices, import_seedlings, import_species


def ask(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(text(query))]


@pytest.fixture(scope="module")
def price_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_price_list(tmp_path_factory.mktemp("prices"))


@pytest.fixture(scope="module")
def priced(price_list: Path) -> PriceFile:
    return judge_prices(read_rows(price_list), ["MAC-R5-T", "MAC-R8-D", "MAC-T11-V"])


def line_of(priced: PriceFile, code: str) -> PriceLine:
    [line] = [line for line in priced.lines if line is not None and line.code == code]
    return line


def test_93_rows_stand_under_a_header_with_a_line_break(price_list: Path, priced: PriceFile) -> None:
    rows = read_rows(price_list).rows
    assert (len(rows), rows[2].cells[4], rows[3].line) == (99, "Unid.X\nCajón", 5)
    assert len(priced.judged) == 93
    assert priced.dated == dt.date(2025, 9, 1)


def test_a_dot_in_a_price_stands_for_thousands_as_the_crates_prove(priced: PriceFile) -> None:
    assert priced.notes[0] == (
        "prices: a dot stands for thousands, as price × units = total shows in 41 lines"
    )
    by_text = {
        row.fields["unit"]: line.unit for row, line in zip(priced.judged, priced.lines, strict=True) if line
    }
    assert by_text["$950"] == 950
    assert by_text["$1.05"] == 1050
    assert by_text["$264.51"] == 264510
    assert by_text["$7.74"] == 7740


def test_a_total_with_more_digits_than_the_unit_price_is_kept(priced: PriceFile) -> None:
    [line] = [one for one in priced.lines if one and one.unit == 7740 and one.units == 24][:1]
    assert line.total == 7744 * 24


def test_a_discount_in_the_column_of_availability_is_a_discount(priced: PriceFile) -> None:
    line = line_of(priced, "IR8-1.0-Hmix")
    assert (line.discount, line.availability, line.unit, line.units) == (Decimal(20), None, None, None)
    assert line.total == 48270
    assert line.category == "INJERTO"


def test_a_row_without_a_price_is_listed_as_unpriced_never_as_zero(priced: PriceFile) -> None:
    line = line_of(priced, "M A G -1")
    assert (line.unit, line.total, line.units, line.availability) == (None, None, None, None)


def test_words_of_availability_become_those_of_the_catalogue(priced: PriceFile) -> None:
    words = [line.availability for line in priced.lines if line]
    assert {word: words.count(word) for word in set(words)} == {
        "limited": 68,
        "available": 20,
        "out_of_stock": 2,
        "while_stocks_last": 1,
        None: 2,
    }


def test_codes_are_one_key_however_they_are_spaced() -> None:
    assert parse_pot("C R8 T -1") == parse_pot("CR8T-1") == PotCode("C", "R8", "T")
    assert parse_pot("S R5 B-4 ESP-1") == PotCode("S", "R5", "B")
    assert parse_pot("ST11 V-1") == PotCode("S", "T11", "V")
    assert parse_pot("SR8V") == PotCode("S", "R8", "V")
    assert parse_pot("IR8-1.0-Hmix") == PotCode("I", "R8", "")
    assert parse_pot("S 10L N-1") == PotCode("S", "10L", "N")
    assert parse_pot("mammillaria") is None


def test_the_price_list_is_in_force_from_its_date(books: Connection, price_list: Path) -> None:
    outcome = import_prices(books, price_list)

    assert figures(outcome) == ("loaded", 93, 91, 2, 0)
    held = lines(books, Wanted(), dt.date(2025, 9, 1))
    assert len(held) == 93
    assert lines(books, Wanted(), dt.date(2025, 8, 31)) == []
    assert sum(line.span.terms.wholesale is None for line in held) == 2
    # Seventeen grafts in one pot, each with its own price.
    grafts = "SELECT count(*) FROM price_items WHERE description = 'R8 injertado'"
    assert ask(books, grafts) == [(17,)]
    # One pot, 28 or 24 to the crate: units belong to the line.
    pots = "SELECT packaging_catalog_id IS NOT NULL, count(*) FROM price_items GROUP BY 1 ORDER BY 1"
    assert ask(books, pots) == [(False, 59), (True, 34)]


def test_the_same_list_twice_is_loaded_once(books: Connection, price_list: Path) -> None:
    first = import_prices(books, price_list)
    assert figures(import_prices(books, price_list))[0] == "already loaded"
    assert ask(books, "SELECT count(*), count(DISTINCT price_item_id) FROM price_list") == [(93, 93)]
    assert first.run is not None


def test_a_list_whose_crates_prove_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('a,b,c,d,"Unid.X\nCajón",f,g,h\nCACTUS,R8,$1.05,C R8 T -1,1,$1.05,,\n', encoding="utf-8")
    with pytest.raises(UnreadableFile, match=r"proves whether \$1\.05 means 1\.05 or 1,050 pesos"):
        judge_prices(read_rows(path), [])


def test_a_line_that_contradicts_itself_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    rows = [
        "CACTUS,R8,$950,C R8 T -1,12,$ 11.4,,",
        "CACTUS,R8,$950,C R8 D -1,12,$ 12.4,,",
        "CACTUS,R8,$950,C R8T-1,12,,,",
    ]
    path.write_text('a,b,c,d,"Unid.X\nCajón",f,g,h\n' + "\n".join(rows) + "\n", encoding="utf-8")
    assert [row.reason for row in judge_prices(read_rows(path), []).judged] == [
        None,
        "contradicts itself: 12 × 950 is not 12400",
        "repeats the code 'C R8T-1' of line 3",
    ]


@pytest.fixture(scope="module")
def species_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_species_list(tmp_path_factory.mktemp("species"))


def test_458_rows_without_header_become_products_with_their_pots(
    books: Connection, species_list: Path
) -> None:
    outcome = import_species(books, species_list, max_rejects=1)

    assert figures(outcome) == ("loaded", 458, 441, 16, 1)
    # Two spellings of a genus are one, with a space at the end or a capital: 95 words are 93 genera.
    genera = (
        "SELECT count(*) FROM product_families f WHERE EXISTS"
        " (SELECT FROM products WHERE family_id = f.id AND custom_attributes->'pot_codes' IS NOT NULL)"
    )
    assert ask(books, genera) == [(93,)]
    reasons = {row.reason for row in outcome.rows if row.reason}
    assert "'graptoperalum' read as Graptopetalum" in reasons
    assert "the species 'calcareum' stood in the column of the genus" in reasons
    assert sum("is doubtful" in (row.reason or "") for row in outcome.rows) == 11
    assert sum("repeats line" in (row.reason or "") for row in outcome.rows) == 3
    assert [row.reason for row in outcome.rejects] == ["names no species: 'ver foto' refers to a photo"]
    # sp., mix and nothing are products of the genus; what stands for a look is kept as it reads.
    targets = {
        row.fields["species"]: row.target or "" for row in outcome.rows if " " not in row.fields["genus"]
    }
    assert targets["sp"].endswith("-SP-001") and targets[""].endswith("-SP-001")
    assert "-MIX-" in targets["mix"] and "-PAR-" in targets["parecida a X 1 más amarilla"]
    # A known product is not added again, and the colour of the pot stays with it.
    pots = "SELECT custom_attributes->'pot_codes' FROM products WHERE sku = 'ALO-SP-001'"
    assert ask(books, "SELECT count(*) FROM products WHERE common_name = 'Aloe sp.'") == [(1,)]
    assert ask(books, pots) == [(["SR8V"],)]


def test_a_list_with_a_header_is_not_the_list_of_species(books: Connection, price_list: Path) -> None:
    with pytest.raises(UnreadableFile, match="which is no pot code like SR8V: the list has no header"):
        import_species(books, price_list)


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inventory(tmp_path_factory.mktemp("inventory"))


def test_the_inventory_is_booked_as_sown_and_adds_up(books: Connection, inventory: Path) -> None:
    outcome = import_seedlings(books, inventory, max_rejects=8)

    assert figures(outcome) == ("loaded", 1334, 1207, 119, 8)
    assert [row.reason for row in outcome.rejects] == [
        "no tray has 25284 cells",
        "no tray has 253 cells; did you mean 252?",
        "no tray has 176.4 cells; did you mean 180?",
        *["has no number of trays"] * 5,
    ]
    # Every row that was not rejected is one movement, and the batches hold their sum.
    booked = "SELECT count(*), sum(quantity) FROM stock_movements WHERE movement_type = 'sembrar'"
    [(movements, plants)] = ask(books, booked)
    assert movements == 1326
    assert ask(books, "SELECT sum(quantity_current) FROM stock_batches") == [(plants,)]
    assert f"{plants:,} plants booked as sown on 2025-09-01" in outcome.source.notes
    # 45 spellings are 44 places: "Túnel 2 c2" and "T2c2" are one, as are "T1c2" with and without a space.
    spelt = (
        "SELECT count(DISTINCT trim(fields->>'place')), count(DISTINCT target) FROM import_rows"
        " WHERE target IS NOT NULL"
    )
    assert ask(books, spelt) == [(45, 44)]
    sources = "SELECT source, count(*) FROM warehouses WHERE source = 'inventory' GROUP BY 1"
    assert ask(books, sources) == [("inventory", 15)]
    reasons = [row.reason or "" for row in outcome.rows]
    assert sum("Lithops belongs to SUCULENTA, not to CACTUS" in reason for reason in reasons) == 4
    assert any("0.3 × 84 cells rounded to 25 plants" in reason for reason in reasons)
    assert any('"no\'20" read as noviembre 2020' in reason for reason in reasons)
    assert any("'168' in the last column means nothing" in reason for reason in reasons)
    assert any("state 'mama?' is doubtful" in reason for reason in reasons)
    # What was written stays with the movement, and the row as it stood in the file.
    told = "SELECT reason_description FROM stock_movements WHERE reason_description LIKE '%, line 55:%'"
    assert ask(books, told)[0][0].endswith("one pot will take 3")
    assert ask(books, "SELECT raw LIKE '%desconté 18 x bajas%' FROM import_rows WHERE line = 53") == [(True,)]


def test_without_permission_unknown_places_are_not_made(books: Connection, inventory: Path) -> None:
    from db.imports.nursery_places import Places

    places = Places.load(books, may_create=False)
    with pytest.raises(ValueError, match=r"there is no place 'T9c2' \(T9-C2-1\)"):
        places.find(books, "T9c2")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("M1c2norte", "M1-C2-NORTE"),
        ("M1 c2 Norte ", "M1-C2-NORTE"),
        ("T1c2", "T1-C2-1"),
        ("Túnel 2 c2", "T2-C2-1"),
        ("Túnel A", "TA-C1-1"),
        ("Somb 1 madres", "S1-MADRES-1"),
        ("Somb C", "SC-C1-1"),
        ("campo 2", "F2-C1-1"),
        ("plugs sucus", "PLUGSSUCUS-C1-1"),
    ],
)
def test_spellings_of_places_give_one_code(text: str, code: str) -> None:
    assert spell(text).place == code
