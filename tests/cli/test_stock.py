"""A day's movements, booked by command and by file."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from sqlalchemy import text

from tests.cli.shop import Shop
from tests.conftest import _copied, _url_of

HERE, THERE, TRAYS = "N01-NORTE-C01", "N01-SUR-C03", "N02-SUR-C05"  # the first two grow the same
PRODUCT = ("--product", "MAM-BOC-001")


@pytest.fixture
def shop(server: str, demo_template: str) -> Iterator[Shop]:
    with _copied(server, demo_template) as name:
        yield Shop(_url_of(server, name))


def stock(shop: Shop) -> dict[str, int]:
    """Plants by place."""
    held: dict[str, int] = {}
    for row in shop.done("report", "stock"):
        held[row["place"]] = held.get(row["place"], 0) + row["plants"]
    return held


def batches(shop: Shop) -> list[dict[str, Any]]:
    with shop.database() as connection:
        rows = connection.execute(text("SELECT * FROM stock_batches ORDER BY id")).mappings().all()
    return [dict(row) for row in rows]


def test_every_command_tells_the_stock_before_and_after_and_how_to_take_it_back(shop: Shop) -> None:
    told = shop.run("stock", "init", HERE, 1200, "--date", "2026-10-01")
    assert re.search(r"manual_init +N01-NORTE-C01 .* \+1,200 +0 +1,200", told.out)
    told = shop.run("stock", "death", HERE, 12)
    assert re.search(r"muerte +N01-NORTE-C01 .* −12 +1,200 +1,188", told.out)
    number = re.search(r"demeter stock undo (\d+)", told.out)
    assert number

    told = shop.run("stock", "undo", number[1])
    assert re.search(r"muerte .* \+12 +1,188 +1,200", told.out)
    told = shop.run("stock", "undo", number[1])
    assert told.code == 9
    assert f"movement {number[1]} was undone on" in told.err
    assert stock(shop) == {HERE: 1200}


def test_a_dry_run_says_the_same_and_books_nothing(shop: Shop) -> None:
    tried = shop.done("stock", "plant", HERE, 30, "--dry-run")
    assert stock(shop) == {}
    assert batches(shop) == []
    done = shop.done("stock", "plant", HERE, 30)
    assert tried[0]["movement"] is None
    assert {**tried[0], "movement": 0, "occurred_at": 0, "recorded_at": 0} == {
        **done[0],
        "movement": 0,
        "occurred_at": 0,
        "recorded_at": 0,
    }


def test_a_death_leaves_its_pot_and_undoing_it_fills_it_again(shop: Shop) -> None:
    shop.done("stock", "init", HERE, 100)
    [death] = shop.done("stock", "death", HERE, 7)
    assert [row["quantity_empty_containers"] for row in batches(shop)] == [7]
    shop.done("stock", "undo", death["movement"])
    assert [row["quantity_empty_containers"] for row in batches(shop)] == [0]

    shop.done("stock", "sow", TRAYS, 50, *PRODUCT)  # trays have no pots to empty
    shop.done("stock", "death", TRAYS, 5)
    assert batches(shop)[1]["quantity_empty_containers"] == 0


def test_seedlings_are_potted_at_another_place_some_die_and_no_plant_is_lost(shop: Shop) -> None:
    shop.done("stock", "sow", TRAYS, 288, *PRODUCT, "--date", "2026-10-01")
    booked = shop.done(
        *(
            "stock",
            "transplant",
            TRAYS,
            288,
            "--to",
            HERE,
            "--to-packaging",
            "MAC-R8-T",
            "--to-state",
            "adult",
        ),
        *("--to-size", "S", "--plants-per-pot", 3, "--deaths", 6, "--date", "2026-10-20"),
    )
    assert [(row["place"], row["type"], row["quantity"]) for row in booked] == [
        (TRAYS, "transplante", -282),
        (HERE, "transplante", 94),
        (TRAYS, "muerte", -6),
    ]
    assert stock(shop) == {HERE: 94}
    seedlings, potted = batches(shop)
    assert re.fullmatch(r"LOC\d+-PROD\d+-20261020-001", potted["batch_code"])
    assert str(potted["transplant_date"]) == "2026-10-20"
    assert str(seedlings["planting_date"]) == "2026-10-01"

    shop.done("stock", "undo", booked[2]["movement"])  # by any of its entries: the whole
    assert stock(shop) == {TRAYS: 288}


def test_plants_may_get_a_larger_pot_where_they_stand(shop: Shop) -> None:
    shop.done("stock", "init", HERE, 100)
    shop.done("stock", "transplant", HERE, 40, "--to-packaging", "MAC-R5-D", "--to-size", "L")
    rows = shop.done("report", "stock")
    assert [(row["packaging"], row["size"], row["plants"]) for row in rows] == [
        ("MAC-R5-D", "L", 40),
        ("MAC-R8-T", "M", 60),
    ]
    [death] = shop.done("stock", "death", HERE, 1, "--packaging", "mac r5 d")  # however it is spaced
    assert death["packaging"] == "MAC-R5-D"


def test_a_first_count_that_is_there_can_be_replaced_by_an_adjustment(shop: Shop) -> None:
    shop.done("stock", "init", HERE, 100)
    [row] = shop.done("stock", "init", HERE, 90, "--replace")
    assert (row["type"], row["quantity"], row["reason"]) == ("ajuste", -10, "set to 90 by hand")
    assert shop.done("stock", "init", HERE, 90, "--replace") == []
    assert stock(shop) == {HERE: 90}


def test_a_place_may_hold_what_it_is_not_configured_for_if_one_says_so(shop: Shop) -> None:
    [row] = shop.done(
        *("stock", "init", HERE, 9, "--product", "FER-LAT-001", "--packaging", "none", "--state", "ADULT"),
        "--override",
    )
    assert (row["sku"], row["packaging"]) == ("FER-LAT-001", None)
    told = shop.run(
        "stock", "plant", HERE, 9, "--product", "FER-LAT-001", "--packaging", "none", "--state", "ADULT"
    )
    assert "N01-NORTE-C01 is configured for MAM-BOC-001, not for FER-LAT-001" in told.err


def test_movements_are_listed_by_place_type_day_product_and_user(shop: Shop) -> None:
    shop.done("stock", "init", HERE, 100, "--date", "2026-10-01")
    shop.done("stock", "move", HERE, THERE, 10, "--date", "2026-10-05")
    shop.done("stock", "death", THERE, 1, "--date", "2026-10-06", "--reason", "=cmd|' /C calc'!A0")

    def listed(*filters: object) -> list[str]:
        return [f"{row['type']} {row['quantity']}" for row in shop.done("stock", "list", *filters)]

    everything = ["manual_init 100", "transplante -10", "transplante 10", "muerte -1"]
    assert listed() == listed("--place", "N01") == listed(*PRODUCT) == everything
    assert listed("--by", "system@demeter.local") == everything
    assert listed("--place", "N01-SUR") == ["transplante 10", "muerte -1"]
    assert listed("--type", "move", "--type", "death") == everything[1:]
    assert listed("--since", "2026-10-05", "--until", "2026-10-05") == everything[1:3]
    assert listed("--limit", 1) == ["muerte -1"]
    assert listed("--product", "NOT-HAS-001") == []
    assert shop.run("stock", "list", "--place", "N01-ESTE").code == 2
    assert "'=cmd|' /C calc'!A0" in shop.run("stock", "list", "--format", "csv").out


def test_a_file_is_read_as_spreadsheets_write_it_and_booked_once(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "octubre.csv"
    file.write_bytes(
        "\ufefftipo;fecha;claro;cantidad;destino;motivo\r\n"
        f"inicial;1/10/2026;{HERE};1200;;\r\n"
        f'muerte;2/10/2026;{HERE};12;;"hongos; riego"\r\n'
        f"mover;3/10/2026 ;{HERE};100;{THERE};\r\n"
        "\r\n"
        f"venta;2026-10-04T09:30;{THERE};40;;\r\n".encode()
    )
    assert "would be booked (5 movements). Dry run" in shop.run("stock", "import", file, "--dry-run").out
    assert stock(shop) == {}

    told = shop.run("stock", "import", file)
    assert "4 lines: 4 booked (5 movements)." in told.out
    assert "UTF-8 with a byte order mark, cells parted by semicolon" in told.err
    assert stock(shop) == {HERE: 1088, THERE: 60}
    assert shop.done("stock", "list", "--type", "muerte")[0]["reason"] == "hongos; riego"

    again = shop.done("stock", "import", file)
    assert (again["movements"], again["known_lines"], again["rejected"]) == (0, 4, [])
    assert stock(shop) == {HERE: 1088, THERE: 60}


def test_of_a_partly_wrong_file_the_good_lines_are_booked_on_request(shop: Shop, tmp_path: Path) -> None:
    shop.done("stock", "init", HERE, 100, "--date", "2026-10-01")
    file, rejects = tmp_path / "ventas.csv", tmp_path / "rejects.csv"
    rows = [("2026-10-02", HERE, "30"), ("2026-10-03", HERE, "90"), ("2026-10-04", "N09", "1")]
    rows += [("2026-10-05", HERE, "60"), ("2026-10-06", HERE, "=cmd|x"), ("2026-10-07", HERE, "5")]
    with file.open("w", newline="") as target:
        csv.writer(target).writerows([("date", "place", "quantity"), *rows])

    told = shop.run("stock", "import", file, "--type", "sale")
    assert (told.code, stock(shop)) == (9, {HERE: 100})
    told = shop.run("stock", "import", file, "--type", "sale", "--partial", "--rejects", rejects)
    assert told.code == 9
    # 30 are sold, then 90 are too many, then 60 leave 10, of which 5 are sold.
    assert stock(shop) == {HERE: 5}
    assert [line.split(":")[1] for line in told.err.splitlines() if "line " in line] == [
        " line 3",
        " line 4",
        " line 6",
    ]
    written = csv.DictReader(rejects.read_text().splitlines())
    assert [row["quantity"] for row in written] == ["90", "1", "'=cmd|x"]

    assert shop.run("stock", "import", file, "--type", "sale", "--partial").code == 9
    assert stock(shop) == {HERE: 5}


def test_a_workbook_is_read_as_well(shop: Shop, tmp_path: Path) -> None:
    book = xlsxwriter.Workbook(str(tmp_path / "book.xlsx"))
    sheet = book.add_worksheet()
    for number, row in enumerate((("place", "quantity", "type"), (HERE, 100, "init"), (HERE, 3.0, "death"))):
        sheet.write_row(number, 0, row)
    book.close()
    told = shop.run("stock", "import", tmp_path / "book.xlsx")
    assert told.code == 0, told.err
    assert stock(shop) == {HERE: 97}


def test_a_file_without_the_columns_it_needs_is_refused(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("place,qantity\nN01,1\n")
    told = shop.run("stock", "import", file)
    assert told.code != 0
    assert "unknown column 'qantity'; did you mean 'quantity'" in told.err
    file.write_text("place,quantity\nN01-NORTE-C01,1\n")
    assert "the type is missing" in shop.run("stock", "import", file).err
    assert "there is no type 'slae'; did you mean 'sale'" in " ".join(
        shop.run("stock", "import", file, "--type", "slae").err.split()
    )


def test_where_all_lots_are_used_up_the_configured_one_is_meant(shop: Shop) -> None:
    when = ("--date", "2026-10-01")
    for size in ("M", "S"):
        [row] = shop.done("stock", "plant", HERE, 30, "--size", size, *when)
        shop.done("stock", "undo", row["movement"])

    [counted] = shop.done("stock", "count", HERE, 100, "--date", "2026-10-02")
    assert counted["booked"] == 100
    [batch] = [row for row in shop.done("stock", "show", HERE) if row["plants"]]
    assert (batch["size"], batch["plants"]) == ("M", 100)


def test_used_up_lots_of_which_none_is_configured_are_named(shop: Shop) -> None:
    for size in ("S", "L"):
        [row] = shop.done("stock", "plant", HERE, 30, "--size", size)
        shop.done("stock", "undo", row["movement"])
    told = shop.run("stock", "count", HERE, 100)
    assert told.code == 2
    assert (
        "held several lots; say which, by size: it held MAM-BOC-001 (ADULT, size S, pot MAC-R8-T, segment); "
        "MAM-BOC-001 (ADULT, size L," in " ".join(told.err.split())
    )


def test_lots_that_only_their_size_tells_apart_show_it(shop: Shop) -> None:
    [planted] = shop.done("stock", "plant", HERE, 30, "--date", "2026-10-01")
    assert " size " not in shop.run("stock", "show", HERE).out

    told = shop.run("stock", "transplant", HERE, 10, "--to-size", "L")
    assert re.search(r"MAC-R8-T M +−10 +30 +20\n.* MAC-R8-T L +\+10 +0 +10\n", told.out)
    shop.settings["COLUMNS"] = "40"
    shown = shop.run("stock", "show", "N01").out
    assert re.search(r"N01-NORTE-C01 M +20", shown)
    assert re.search(r"N01-NORTE-C01 L +10", shown)

    # A day is the site's day in files too.
    assert planted["occurred_at"].startswith("2026-10-01T23:59:59")
    assert ",2026-10-01T23:59:59" in shop.run("stock", "list", "--format", "csv").out


def test_a_file_whose_good_lines_are_booked_already_is_not_offered_again(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "two.csv"
    file.write_text(f"place,quantity,type\n{HERE},5,plant\n{HERE},many,plant\n")
    told = shop.run("stock", "import", file)
    assert "2 lines: 0 booked, 1 rejected. Nothing was booked: correct the file, or book the rest" in told.out
    told = shop.run("stock", "import", file, "--partial")
    assert "2 lines: 1 booked (1 movement), 1 rejected." in told.out
    told = shop.run("stock", "import", file, "--partial")
    assert told.out.endswith(
        "2 lines: 0 booked, 1 booked before, 1 rejected. Nothing was booked: correct the file.\n"
    )


def test_stock_that_nothing_prices_is_not_worth_zero(shop: Shop) -> None:
    shop.done("stock", "plant", HERE, 30)
    told = shop.run("report", "stock", "--value")
    assert "0.00" not in told.out
    assert re.search(r"N01-NORTE-C01 .* 30 +no price", told.out)
    assert "30 plants without a price, and in no sum." in told.out


def test_a_count_by_hand_is_taken_back_by_its_number(shop: Shop) -> None:
    [right] = shop.done("stock", "count", HERE, 50, "--date", "2026-10-01")
    assert shop.done("stock", "count", HERE, 500, "--date", "2026-10-02", "-n")[0]["count"] is None
    [wrong] = shop.done("stock", "count", HERE, 500, "--date", "2026-10-02")
    assert stock(shop) == {HERE: 500}
    [entry] = [row for row in shop.done("stock", "list") if row["quantity"] == 450]
    number = wrong["count"]
    assert f"`demeter stock uncount {number}`" in shop.run("stock", "undo", entry["id"]).err

    [back] = shop.done("stock", "uncount", number, "--reason", "a zero too many")
    assert (back["place"], back["counted"], back["booked"]) == (HERE, 500, -450)
    assert stock(shop) == {HERE: 50}
    assert shop.run("stock", "uncount", number, "-r", "x").code == 9
    assert shop.run("stock", "uncount", 999, "-r", "x").code == 2
    assert shop.run("stock", "uncount", right["count"], "-r", " ").code == 2
    assert shop.run("stock", "verify").code == 0

    [first] = shop.done("stock", "init", THERE, 20, "--date", "2026-10-01")
    told = shop.run("stock", "uncount", number + 1, "-r", "x")
    assert f"is a first count: `demeter stock undo {first['movement']}`" in told.err
    assert shop.run("period", "close", "2026-10", "--yes").code == 0
    assert "the books are closed" in shop.run("stock", "uncount", right["count"], "-r", "x").err


def test_what_grows_where_and_what_others_counted_are_a_supervisors(shop: Shop) -> None:
    for role in ("worker", "supervisor"):
        added = shop.run("users", "add", f"{role}@vivero.ar", "--name", role, "--role", role)
        assert added.code == 0, added.err
    crop = ("places", "config", "set", TRAYS, *PRODUCT, "--packaging", "MAC-R8-T", "--dry-run", "--user")
    assert "is worker" in shop.run(*crop, "worker@vivero.ar").err
    assert shop.run(*crop, "supervisor@vivero.ar").code == 0

    theirs = shop.done("stock", "count", HERE, 50)[0]["count"]
    own = shop.done("stock", "count", THERE, 50, "--user", "worker@vivero.ar")[0]["count"]
    wrong = ("-r", "wrong place", "--user")
    assert "is worker" in shop.run("stock", "uncount", theirs, *wrong, "worker@vivero.ar").err
    assert shop.run("stock", "uncount", own, *wrong, "worker@vivero.ar").code == 0
    assert shop.run("stock", "uncount", theirs, *wrong, "supervisor@vivero.ar").code == 0
    assert stock(shop) == {}
