"""`demeter` alone: the state of the site, never a new database."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from demeter_cli.main import app
from tests.cli.shop import Shop


def test_without_a_database_it_says_how_to_begin_and_makes_none(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    told = CliRunner().invoke(app, [], env={"DEMETER_DATA_DIR": str(folder), "COLUMNS": "80"})
    assert told.exit_code == 0
    assert f"There is no database in {folder} yet." in told.stdout
    assert "demeter process PHOTOS" in told.stdout
    assert not folder.exists()


def test_of_an_empty_site_it_says_what_to_do_first(demo_url: str) -> None:
    told = Shop(demo_url).run()
    assert told.code == 0
    assert "none yet; the site has 20 places" in told.out
    assert "demeter process PHOTOS counts photos" in told.out
    assert "postgresql" not in told.out  # an address may hold a password


@pytest.mark.parametrize("language", ["en", "es"])
def test_it_shows_stock_work_and_the_next_step_in_ten_lines(demo_url: str, language: str) -> None:
    shop = Shop(demo_url, {"DEMETER_LANGUAGE": language})
    shop.done("stock", "init", "N01-NORTE-C01", 1200, "--date", "2026-01-05")
    with shop.database() as connection:
        connection.execute(
            text(
                "INSERT INTO runs (command, model, config_hash, status, finished_at, photos, failures)"
                " VALUES ('process', 'plant', 'x', 'finished', now(), 7, 1)"
            )
        )
        image = connection.scalar(
            text(
                "INSERT INTO images (id, sha256, original_name, file_size_bytes)"
                " VALUES (gen_random_uuid(), repeat('a', 64), 'x.jpg', 1) RETURNING id"
            )
        )
        connection.execute(
            text(
                "INSERT INTO photo_sessions (image_id, run_id, model, model_sha256, config_hash, status)"
                " SELECT :image, max(id), 'plant', repeat('b', 64), 'x', 'needs_location' FROM runs"
            ),
            {"image": image},
        )
    told = shop.run()
    assert told.code == 0, told.err
    assert len(told.out.splitlines()) <= 10
    month = dt.date.today().replace(day=1) - dt.timedelta(days=1)
    wanted = {
        "en": (
            "1,200 plants at 1 of 20 places",
            "7 photos",
            "1 photo without a place",
            "photos list",
            f"{month:%Y-%m}",
        ),
        "es": ("1.200 plantas en 1 de 20 lugares", "7 fotos", "1 foto sin lugar", f"{month:%m/%Y}"),
    }
    assert [words for words in wanted[language] if words not in told.out] == []


def test_a_run_that_was_cut_short_is_the_first_thing_to_do(demo_url: str) -> None:
    shop = Shop(demo_url)
    with shop.database() as connection:
        connection.execute(
            text(
                "INSERT INTO runs (command, model, config_hash, status, finished_at)"
                " VALUES ('process', 'plant', 'x', 'interrupted', now())"
            )
        )
    told = shop.run().out
    assert "interrupted" in told
    assert "Next        the last run did not finish: run it again" in told


def test_a_database_that_cannot_be_reached_is_an_error_as_everywhere(tmp_path: Path) -> None:
    address = f"postgresql:///nothing?host={tmp_path}"
    told = CliRunner().invoke(app, [], env={"DEMETER_DATABASE_URL": address})
    assert told.exit_code == 4
