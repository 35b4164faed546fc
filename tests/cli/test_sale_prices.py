"""What sales are worth: a sale keeps the price of its day, whatever the price list says afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shop import Shop
from tests.conftest import _copied, _url_of

HERE, WITHOUT_PRICE = "N01-NORTE-C01", "N01-NORTE-C02"
MENDOZA = {"DEMETER_TIMEZONE": "America/Argentina/Mendoza"}
SET = ("prices", "set", "C R8 T -1", "--backdate")
LINE = ("--category", "CACTUS", "--packaging", "MAC-R8-T", "--product", "MAM-BOC-001")


@pytest.fixture(scope="module")
def priced_template(server: str, demo_template: str) -> Iterator[str]:
    """Two places in stock. One plant costs 800 less 10 % until the end of October, and 1,000 from then on."""
    with _copied(server, demo_template) as name:
        shop = Shop(_url_of(server, name), MENDOZA)
        for place in (HERE, WITHOUT_PRICE):
            shop.done("stock", "init", place, 1200, "--date", "2026-09-01 08:00")
        wholesale = ("--wholesale", "800", "--discount", "10", "--from", "2026-09-01")
        assert shop.run(*SET, *LINE, *wholesale).code == 0
        assert shop.run(*SET, "--wholesale", "1000", "--discount", "0", "--from", "2026-11-01").code == 0
        yield name


@pytest.fixture
def shop(server: str, priced_template: str) -> Iterator[Shop]:
    with _copied(server, priced_template) as name:
        yield Shop(_url_of(server, name), MENDOZA)


def prices(rows: list[dict[str, object]]) -> list[tuple[object, object]]:
    return [(row["unit_price"], row["total_price"]) for row in rows]


def test_a_sale_keeps_the_price_of_its_day_at_the_site_or_the_one_that_was_said(shop: Shop) -> None:
    late = ("--date", "2026-10-31 23:30")  # the first of November in UTC
    assert prices(shop.done("stock", "sale", HERE, 40, *late)) == [("720.00", "28800.00")]
    assert prices(shop.done("stock", "sale", HERE, 3, "--date", "2026-11-02")) == [("1000.00", "3000.00")]
    said = shop.done("stock", "sale", HERE, 2, "--price", "1250.50")
    assert prices(said) == [("1250.50", "2501.00")]
    assert prices(shop.done("stock", "death", HERE, 2)) == [(None, None)]

    undone = shop.done("stock", "undo", said[0]["movement"])
    assert prices(undone) == [("1250.50", "2501.00")]
    told = shop.run("stock", "sale", HERE, 40, *late).out
    assert "40 × 720.00 = 28,800.00" in told


def test_a_sale_without_a_price_has_none_also_when_it_is_undone(shop: Shop) -> None:
    told = shop.run("stock", "sale", WITHOUT_PRICE, 5, "--date", "2026-10-05")
    assert "Without a price" in told.out
    [sale] = shop.done("stock", "list", "--type", "sale")
    assert prices([sale]) == [(None, None)]
    assert prices(shop.done("stock", "undo", sale["id"])) == [(None, None)]


def test_a_file_of_sales_has_the_price_of_each_lines_day_unless_it_says_one(
    shop: Shop, tmp_path: Path
) -> None:
    file = tmp_path / "sales.csv"
    file.write_text(
        "place,quantity,date,price\n"
        f"{HERE},1,2026-10-05,\n{HERE},1,2026-11-05,\n{HERE},1,2026-11-06,990\n{WITHOUT_PRICE},1,2026-11-06,\n"
    )
    shop.done("stock", "import", file, "--type", "sale")
    expected = [("720.00", "720.00"), ("1000.00", "1000.00"), ("990.00", "990.00"), (None, None)]
    assert prices(shop.done("stock", "list", "--type", "sale")) == expected


def test_a_calculated_sale_has_the_price_of_the_day_of_the_count_that_shows_it(shop: Shop) -> None:
    for place in (HERE, WITHOUT_PRICE):
        shop.done("stock", "count", place, 1000, "--date", "2026-10-31 23:00")
    shop.done("reconcile", "--from", "2026-09-01", "--to", "2026-10-31", "--post")
    sales = shop.done("stock", "list", "--type", "sale")
    assert [row["quantity"] for row in sales] == [-200, -200]
    assert prices(sales) == [("720.00", "144000.00"), (None, None)]
