"""demeter period: what is asked before a month is closed, and what is told afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from db.models.people import User
from tests.cli.shop import Shop
from tests.conftest import _copied, _url_of


@pytest.fixture(scope="module")
def shop(server: str, demo_template: str) -> Iterator[Shop]:
    with _copied(server, demo_template) as name:
        shop = Shop(_url_of(server, name))
        shop.done("stock", "init", "N01-NORTE-C01", 100, "--date", "2026-08-03")
        yield shop


def test_months_are_closed_up_to_the_one_named_and_proven_until_one_is_changed(
    shop: Shop, tmp_path: Path
) -> None:
    assert shop.run("period", "verify").out == "No month is closed.\n"
    assert shop.run("period", "close", "2026-09").code == 2  # nobody at a terminal to ask
    told = shop.run("period", "close", "2026-09", "--dry-run")
    assert told.out == "2026-08 to 2026-09 would be closed. Nothing was done.\n"
    assert shop.done("period", "list") == []

    key = tmp_path / "key"
    key.write_bytes(b"sixteen bytes, or more")
    key.chmod(0o644)
    signing = Shop(shop.url, {"DEMETER_PERIOD_KEY": str(key)})
    told = signing.run("period", "close", "2026-09", "--yes")
    assert (told.code, "can be read by others" in told.err) == (3, True)
    key.chmod(0o600)
    closed = signing.done("period", "close", "2026-09", "--yes")
    assert [(row["month"], row["movements"], row["signed"]) for row in closed] == [
        ("2026-08", 1, True),
        ("2026-09", 0, True),
    ]
    assert signing.run("period", "verify").out == "All 2 closed months read as when closed.\n"
    assert closed == signing.done("period", "list")

    key.write_bytes(b"sixteen bytes of another")
    assert "is not signed with this key" in signing.run("period", "verify").out
    with shop.database() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE stock_movements SET quantity = 99"))
    told = shop.run("period", "verify", "--format", "csv")
    assert (told.code, told.out) == (9, "month,what,problem\n2026-08,movement 1,was changed\n")


def test_a_month_that_is_not_over_or_none_is_refused(shop: Shop) -> None:
    for month, code, words in (
        ("2999-01", 9, "2999-01 is not over yet"),
        ("2026-13", 2, "'2026-13' is no month like 2026-03"),
        ("soon", 2, "'soon' is no month like 2026-03"),
    ):
        told = shop.run("period", "close", month, "--yes")
        assert told.code == code, told.err
        assert words in " ".join(told.err.split())


def test_closing_is_a_supervisors(shop: Shop) -> None:
    with shop.database() as connection:
        people = [
            {"email": f"{role}@vivero.ar", "first_name": role, "last_name": "Paz", "role": role}
            for role in ("worker", "admin")
        ]
        connection.execute(insert(User), people)
    assert shop.run("period", "close", "--yes", "--user", "worker@vivero.ar").code == 2
    assert shop.run("period", "close", "--dry-run", "--user", "admin@vivero.ar").code == 0
