"""What `demeter doctor` finds well, and what it does not; it changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.shop import Shop


@pytest.fixture
def shop(demo_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "photos").mkdir(parents=True)
    (tmp_path / "data").chmod(0o750)
    return Shop(demo_url, {"DEMETER_DATA_DIR": str(tmp_path / "data"), "DEMETER_MAIL_TO": "ana@vivero.ar"})


def states(shop: Shop, *more: str) -> dict[str, tuple[str, str]]:
    told = shop.run("doctor", "--quick", "-f", "json", *more)
    return {row["check"]: (row["state"], row["found"]) for row in told.json}


def test_a_site_that_is_ready_has_nothing_that_fails_and_nothing_was_changed(
    shop: Shop, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    told = shop.run("doctor", "-f", "json")
    assert told.code == 0, told.out
    found = {row["check"]: row["state"] for row in told.json}
    for name in (
        "data folder",
        "photo store",
        "detector",
        "segmenter",
        "schema",
        "rules",
        "clock",
        "partitions",
    ):
        assert found[name] == "ok", told.out
    assert found["database role"] == "warn"  # the tests' user owns all
    assert found["last run"] == "warn"  # there was none
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_wrong_is_named_with_what_to_do_and_the_exit_code_tells(shop: Shop, tmp_path: Path) -> None:
    with shop.database() as connection:
        connection.exec_driver_sql("ALTER TABLE stock_movements DISABLE TRIGGER ALL")
        connection.exec_driver_sql(
            "INSERT INTO runs (command, model, config_hash, status, finished_at, exit_code, problem)"
            " VALUES ('process', 'm', 'c', 'failed', now(), 5, 'the disk is full')"
        )
    (tmp_path / "data").chmod(0o777)
    told = shop.run("doctor", "--quick")
    assert told.code == 9
    found = states(shop)
    assert found["data folder"][0] == "fail"
    assert found["rules"][0] == "fail"
    assert found["last run"][0] == "fail"
    assert "the disk is full" in found["last run"][1]
    quiet = shop.run("doctor", "--quick", "--quiet")
    assert "photo store" not in quiet.out
    assert "chmod o-w" in quiet.out


def test_an_absent_embedded_database_is_told_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shop = Shop("", {"DEMETER_DATA_DIR": str(tmp_path / "new")})
    monkeypatch.delenv("DEMETER_DATABASE_URL", raising=False)
    from typer.testing import CliRunner

    from demeter_cli.main import app

    done = CliRunner().invoke(app, ["doctor", "--quick"], env=shop.settings | {"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "the first `demeter process` makes it" in done.output
    assert not (tmp_path / "new").exists()


def test_an_unreachable_database_and_a_damaged_model_fail_without_ending_the_rest(
    shop: Shop, tmp_path: Path
) -> None:
    card = tmp_path / "plant.json"
    card.write_text("{}", encoding="utf-8")
    broken = Shop("postgresql://nobody:pw@127.0.0.1:1/x", shop.settings | {"DEMETER_DETECTOR": str(card)})
    told = broken.run("doctor", "-f", "json")
    found = {row["check"]: row for row in told.json}
    assert told.code == 9
    assert found["database"]["state"] == found["detector"]["state"] == "fail"
    assert found["segmenter"]["state"] == "ok"


def test_settings_that_cannot_be_read_are_the_finding(shop: Shop) -> None:
    told = Shop(shop.url, {"DEMETER_TILE": "none"}).run("doctor")
    assert told.code == 9
    assert "tile" in told.out


def test_a_store_that_takes_nothing_fails(shop: Shop, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "data" / "photos").chmod(0o500)
    assert states(shop)["photo store"][0] == "fail"
