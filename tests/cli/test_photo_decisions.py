"""Decisions about photos that the books refuse: one sentence, exit code 9, and nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from db.engine import connect
from db.plausible import Limits
from db.runs import Policy, RunInfo
from pipeline.types import ContainerKind
from tests.cli.shop import Shop
from tests.conftest import _copied, _url_of
from tests.db.counting import MODEL, begin, count_photo
from tests.db.seen import a_photo, a_result

HERE = "N01-NORTE-C01"
REASON = ("--reason", "blurred")


@pytest.fixture(scope="module")
def shop(server: str, demo_template: str) -> Iterator[Shop]:
    """A photo of 300 plants, of which 280 were sold since, and one that waits for a decision."""
    with _copied(server, demo_template) as name:
        with connect(_url_of(server, name)) as connection:
            run = begin(connection)
            count_photo(connection, run, a_result(a_photo("first"), {ContainerKind.SEGMENT: 300}))
            doubtful = RunInfo(run.id, *MODEL, "c0ffee", run.user_id, Policy(limits=Limits(0.2, 0.1, 0.3)))
            dark = a_result(a_photo("second"), {ContainerKind.SEGMENT: 30}, warnings=("too dark",))
            count_photo(connection, doubtful, dark, "N01-NORTE-C02")
        shop = Shop(_url_of(server, name), {"DEMETER_TIMEZONE": "America/Argentina/Mendoza"})
        shop.done("stock", "sale", HERE, 280, "--date", "2026-03-05 23:30")
        yield shop


def stock(shop: Shop) -> list[int]:
    return [row["plants"] for row in shop.done("report", "stock")]


@pytest.mark.parametrize("words", [("reject", 1), ("adjust", 1, "--quantity", 100)])
def test_a_photo_whose_plants_were_sold_since_cannot_be_forgotten(
    shop: Shop, words: tuple[object, ...]
) -> None:
    told = shop.run("photos", *words, *REASON)
    lacking = 280 if words[0] == "reject" else 180
    assert told.code == 9
    assert " ".join(told.err.split()) == (
        f"error: MAM-BOC-001 in MAC-R8-T at {HERE} would hold −{lacking} on 2026-03-05 at 23:30"
    )
    assert stock(shop) == [20]


def test_a_photo_of_a_closed_month_is_not_decided_about_any_more(shop: Shop) -> None:
    """The last test here, since a month stays closed."""
    assert shop.run("period", "close", "2026-03", "--force", "--yes").code == 0
    for words in (("accept", 2), ("reject", 2, *REASON), ("adjust", 1, "--quantity", 299, *REASON)):
        told = shop.run("photos", *words)
        assert told.code == 9
        sentence = " ".join(told.err.split())
        assert sentence.startswith("error: the books are closed up to and including 2026-03: nothing dated")
        assert "2026-03-01" in sentence
    assert stock(shop) == [20]
