"""demeter reconcile in a real process, on a nursery with two counts per lot."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text

from db.batches import Spot, ensure_batches, lock_batches
from db.engine import connect, retry
from db.models.people import User
from db.models.places import StorageLocation
from db.models.stock import Count
from db.models.vocabulary import MovementType
from db.movements import Entry, book
from db.stock import lot_at, settle
from tests.acceptance.conftest import Site
from tests.conftest import _copied, _url_of

MENDOZA = dt.timezone(dt.timedelta(hours=-3))


def on(month: int, day: int) -> dt.datetime:
    return dt.datetime(2025, month, day, 10, tzinfo=MENDOZA)


def spot(connection: Connection, code: str, category: str) -> Spot:
    place = connection.scalar(select(StorageLocation.id).where(StorageLocation.code == code))
    lot = lot_at(connection, place or 0, on(8, 1))
    assert lot is not None
    return Spot(place or 0, category, lot)


def count(
    connection: Connection, code: str, when: dt.datetime, given: tuple[int, int], category: str = "segment"
) -> None:
    """An accepted count by hand, right to within some plants."""
    quantity, spread = given
    with connection.begin():
        where = spot(connection, code, category)
        batch = ensure_batches(connection, {where: when})[where]
        lock_batches(connection, [batch])
        user = connection.execute(select(User.id)).scalar_one()
        values = {"low": quantity - spread, "high": quantity + spread} if spread else {}
        connection.execute(
            insert(Count).values(
                location_id=where.location_id,
                batch_id=batch,
                source="manual",
                status="accepted",
                counted_at=when,
                quantity=quantity,
                user_id=user,
                **values,
            )
        )
        settle(connection, batch, user)


def move(connection: Connection, code: str, when: dt.datetime, kind: MovementType, plants: int) -> None:
    def work() -> None:
        user = connection.execute(select(User.id)).scalar_one()
        where = spot(connection, code, "segment")
        entry = Entry(
            movement_type=kind, where=where, quantity=plants, occurred_at=when, user_id=user, reason="x"
        )
        book(connection, [entry])

    retry(connection, work)


@pytest.fixture(scope="module")
def counted_template(server: str, demo_template: str) -> Iterator[str]:
    """A September: the worked example, a gap within the error, a gain, a loss from trays, a missing photo."""
    with _copied(server, demo_template) as name:
        with connect(_url_of(server, name)) as connection:
            count(connection, "N01-NORTE-C01", on(8, 30), (10_000, 0))
            move(connection, "N01-NORTE-C01", on(9, 5), MovementType.PLANTAR, 500)
            move(connection, "N01-NORTE-C01", on(9, 12), MovementType.MUERTE, -200)
            move(connection, "N01-NORTE-C01", on(9, 20), MovementType.AJUSTE, -300)
            count(connection, "N01-NORTE-C01", on(9, 29), (9_500, 0))
            for code, before, after in (
                ("N01-NORTE-C02", (640, 40), (622, 40)),
                ("N01-NORTE-C03", (500, 10), (580, 12)),
            ):
                count(connection, code, on(8, 30), before)
                count(connection, code, on(9, 29), after)
            count(connection, "N01-NORTE-C05", on(8, 30), (288, 3), "plug")
            count(connection, "N01-NORTE-C05", on(9, 29), (250, 3), "plug")
            count(connection, "N01-SUR-C05", on(8, 30), (321, 20))
        yield name


@pytest.fixture
def site(tmp_path: Path, server: str, counted_template: str) -> Iterator[Site]:
    with _copied(server, counted_template) as name:
        yield Site(
            tmp_path, {"DEMETER_DATABASE_URL": _url_of(server, name), "DEMETER_DATA_DIR": str(tmp_path)}
        )


def test_a_month_is_reconciled_and_what_needs_an_explanation_gives_9(site: Site) -> None:
    done = site.run("reconcile", "--month", "2025-09", "--format", "json")

    assert (done.code, done.err) == (9, "")
    found = {line["place"]: line for line in done.json["lines"]}
    example = found["N01-NORTE-C01"]
    assert (example["opening"], example["planted"], example["died"], example["adjusted"]) == (
        10_000,
        500,
        -200,
        -300,
    )
    assert (example["expected"], example["counted"], example["inferred_sales"]) == (10_000, 9_500, 500)
    assert example["counted_at"] == "2025-09-29T10:00:00-03:00"
    assert {code: line["verdict"] for code, line in found.items()} == {
        "N01-NORTE-C01": "sale",
        "N01-NORTE-C02": "indistinct",
        "N01-NORTE-C03": "gain",
        "N01-NORTE-C05": "loss",
        "N01-SUR-C05": "missing_photo",
    }
    assert found["N01-NORTE-C05"]["causes"][0]["cause"] == "death"
    assert done.json["summary"]["verdicts"]["sale"] == 1
    assert done.json["posted"] is None


def test_a_table_fits_a_terminal_and_says_what_to_do(site: Site) -> None:
    for width in (80, 40):
        done = site.but(COLUMNS=str(width)).run("reconcile", "--month", "2025-09")
        table = done.out.split("  N01")[0].splitlines()
        assert max(map(len, table)) <= width
        assert "N01-NORTE-C01" in done.out
    assert "Calculated sales (unexplained outflow): 500" in done.out
    assert re.search(r"N01-SUR-C05 .* missing photo", done.out)


def test_csv_has_a_line_per_lot(site: Site) -> None:
    done = site.run("reconcile", "--month", "2025-09", "--place", "N01-NORTE", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))

    assert [(row["place"], row["difference"]) for row in rows] == [
        ("N01-NORTE-C01", "-500"),
        ("N01-NORTE-C02", "-18"),
        ("N01-NORTE-C03", "80"),
        ("N01-NORTE-C05", "-38"),
    ]


def test_sales_alone_are_no_difference_to_explain(site: Site) -> None:
    assert site.run("reconcile", "--month", "2025-09", "--place", "N01-NORTE-C01").code == 0
    nothing = site.run("reconcile", "--month", "2025-05")
    assert (nothing.code, nothing.out) == (0, "Nothing was counted in this time, and nothing is missed.\n")


def test_posting_twice_books_once_and_stock_stays_what_was_counted(site: Site) -> None:
    first = site.run("reconcile", "--month", "2025-09", "--post", "--format", "json")
    again = site.run("reconcile", "--month", "2025-09", "--post")

    assert first.json["posted"] == {
        "reconciliation": 1,
        "new": 5,
        "restated": 0,
        "unchanged": 0,
        "sold": 500,
        "adjusted": -38,
    }
    assert "All of this was posted before; nothing changed." in again.out
    stock = {row["place"]: row["plants"] for row in site.run("report", "stock", "--format", "json").json}
    assert (stock["N01-NORTE-C01"], stock["N01-NORTE-C05"]) == (9_500, 250)
    with connect(site.settings["DEMETER_DATABASE_URL"]) as connection:
        sold = connection.execute(
            text("SELECT quantity, source_type FROM stock_movements WHERE movement_type = 'ventas'")
        ).all()
    assert sold == [(-500, "calculated")]


def test_a_late_movement_is_shown_as_a_restatement(site: Site) -> None:
    place = ("--month", "2025-09", "--place", "N01-NORTE-C01")
    site.run("reconcile", *place, "--post")
    with connect(site.settings["DEMETER_DATABASE_URL"]) as connection:
        move(connection, "N01-NORTE-C01", on(9, 14), MovementType.MUERTE, -50)

    shown = site.run("reconcile", *place)
    assert shown.code == 9
    assert "N01-NORTE-C01: was −500 when it was posted; --post restates it" in shown.out
    assert (
        "0 new lines, 1 restated, 0 unchanged; booked 450 sales"
        in site.run("reconcile", *place, "--post").out
    )
    assert site.run("reconcile", *place).code == 0


def test_what_was_posted_for_a_closed_month_stays_and_asks_for_nothing(site: Site) -> None:
    place = ("--month", "2025-09", "--place", "N01-NORTE-C01")
    site.run("reconcile", *place, "--post")
    with connect(site.settings["DEMETER_DATABASE_URL"]) as connection:
        query = "SELECT id FROM stock_movements WHERE movement_type = 'muerte'"
        death = connection.execute(text(query)).scalar_one()
    assert site.run("period", "close", "2025-09", "--yes").code == 0
    site.run("stock", "undo", death)

    shown = site.run("reconcile", *place)
    assert (
        "N01-NORTE-C01: was −500 when it was posted; its month is closed, so the books keep that" in shown.out
    )
    assert shown.code == 0
    [line] = site.run("reconcile", *place, "--format", "json").json["lines"]
    assert (line["difference"], line["restates"], line["closed"]) == (-700, -500, True)


def test_only_a_supervisor_posts(site: Site) -> None:
    ana, luis = "ana@vivero.ar", "luis@vivero.ar"
    assert site.run("users", "add", ana, "--name", "Ana Paz", "--role", "admin").code == 0
    assert site.run("users", "add", luis, "--name", "Luis Paz", "--user", ana).code == 0

    refused = site.run("reconcile", "--month", "2025-09", "--post", "--user", "luis@vivero.ar")
    assert (refused.code, refused.out) == (2, "")
    assert "This needs a user who is supervisor or admin, and luis@vivero.ar is worker" in refused.err
    assert site.run("reconcile", "--month", "2025-09", "--post", "--user", "ana@vivero.ar").code == 9


def test_the_clients_sales_are_compared_and_no_row_is_lost(site: Site) -> None:
    (site.folder / "ventas.csv").write_text(
        "product_sku;packaging_sku;quantity_sold;sale_date\n"
        "MAM-BOC-001;MAC-R8-T;300;2025-09-10\nMAM BOC 001;mac-r8-t;190;2025-09-20\n"
        "SUC-MIX-001;MAC-R8-V;400;2025-09-21\nNADA-001;MAC-R8-T;5;2025-09-21\nMAM-BOC-001;MAC-R8-T;9;2025-10-02\n"
    )
    done = site.run("reconcile", "--month", "2025-09", "--sales", "ventas.csv", "--format", "json")

    assert done.code == 9
    found = {row["label"]: (row["calculated"], row["declared"], row["status"]) for row in done.json["codes"]}
    assert found["MAM-BOC-001 MAC-R8-T"] == (500, 490, "proved")
    assert found["SUC-MIX-001 MAC-R8-V"] == (-80, 400, "contradictory")
    assert [(row["line"], row["verdict"]) for row in done.json["rows"]] == [(5, "rejected"), (6, "set_aside")]
    assert done.json["read"] == 3

    table = site.run("reconcile", "--month", "2025-09", "--sales", "ventas.csv")
    assert "ventas.csv, line 5: rejected: names the product 'NADA-001'" in table.err
    strict = site.run("reconcile", "--month", "2025-09", "--sales", "ventas.csv", "--strict")
    assert (strict.code, strict.out) == (9, "")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--month", "2025-13"], "is no month like 2025-09"),
        (["--from", "2025-02-31"], "is no day like 2025-09-30"),
        (["--from", "2025-09-30", "--to", "2025-09-01"], "ends before it begins"),
        (["--month", "2099-01"], "is still to come"),
        (["--month", "2025-09", "--from", "2025-09-01"], "give a month, or --from and --to"),
        (["--to", "2025-09-01"], "--to needs --from"),
        (["--month", "2025-09", "--place", "N77"], "there is no place, bed or bay 'N77'"),
        (["--month", "2025-09", "--accept-gains"], "only with --post"),
        (["--month", "2025-09", "--sales", "nowhere.csv"], "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(site: Site, arguments: list[str], word: str) -> None:
    done = site.run("reconcile", *arguments)

    assert (done.code, done.out) == (2, "")
    assert word in " ".join(done.err.replace("│", " ").split())
