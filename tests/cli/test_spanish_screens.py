"""What a technician sees all day, in Spanish: tables, refusals, hints; what machines read stays English."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import literal, select
from sqlalchemy.dialects.postgresql import JSONB

from demeter_cli import language
from demeter_cli.language import speaking, told
from pipeline.words import Sentence
from tests.cli.shop import Shop


@pytest.fixture
def shop(demo_url: str) -> Shop:
    return Shop(demo_url, {"DEMETER_LANGUAGE": "es"})


def test_a_booking_is_told_in_spanish_and_its_json_in_english(shop: Shop) -> None:
    table = shop.run("stock", "init", "N01-NORTE-C01", 1200, "--date", "2026-01-05")
    assert re.search(r"lugar +producto +maceta +movido +antes +después", table.out)
    assert re.search(r"conteo inicial N01-NORTE-C01 .* \+1\.200 +0 +1\.200", table.out)
    assert "Para deshacerlo: demeter stock undo 1" in table.out
    [row] = shop.done("stock", "list")
    assert (row["type"], row["quantity"], row["occurred_at"][:10]) == ("manual_init", 1200, "2026-01-05")
    assert "05/01/2026" in shop.run("stock", "list").out
    assert shop.run("stock", "list", "--format", "csv").out.startswith("id,occurred_at,")


def test_refusals_are_told_in_spanish_with_days_as_they_are_written_there(shop: Shop) -> None:
    shop.done("stock", "init", "N01-NORTE-C01", 1200, "--date", "2026-01-05")
    lacking = shop.run("stock", "death", "N01-NORTE-C01", 5000, "--date", "2026-01-06")
    assert lacking.code == 9
    assert re.search(r"error: MAM-BOC-001 .* tendría −3800 el 06/01/2026 a las 23:59", lacking.err)
    nowhere = shop.run("stock", "show", "N01-NORTE-C99")
    assert nowhere.code == 2
    assert "no existe el lugar" in nowhere.err
    assert "debe ser un día como" in shop.run("stock", "death", "N01-NORTE-C01", 1, "--date", "x").err


def test_an_explanation_is_told_in_spanish(shop: Shop) -> None:
    shop.done("stock", "init", "N01-NORTE-C01", 1200, "--date", "2026-01-05")
    explained = shop.run("explain", "N01-NORTE-C01").out
    assert "1.200 plantas" in explained
    assert "contado 1.200 a mano" in explained
    assert not re.search(r"\b(counted|plants|booked|by hand)\b", explained)


def test_an_error_in_the_log_stays_english(shop: Shop) -> None:
    logged = shop.run("--log-json", "stock", "show", "N01-NORTE-C99").err
    assert "there is no place" in logged


@pytest.mark.parametrize(
    ("stored", "spanish"),
    [
        ("46 of 372 plants stand outside every container; look at its picture", "46 de 372 plantas"),
        (
            "the photo carries a warning; its interval is ±49%, and ±25% is the limit",
            "la foto lleva un aviso; su rango es ±49%, y el límite es ±25%",
        ),
        ("somebody wrote this by hand", "somebody wrote this by hand"),
    ],
)
def test_sentences_that_were_stored_in_english_are_recognised(stored: str, spanish: str) -> None:
    assert told(stored) == stored
    with speaking("es"):
        assert told(stored).startswith(spanish)


def test_figures_in_sentences_follow_the_language_but_numbers_of_things_do_not() -> None:
    sentence = Sentence("the quantity must be from 1 to {most:,}, not {n:,}", most=1_000_000, n=2_000_000)
    assert "1,000,000" in sentence
    movement = Sentence(
        "there is no movement {movement}; `demeter stock list` shows them with their numbers", movement=12345
    )
    with speaking("es"):
        assert "1 y 1.000.000, no 2.000.000" in told(sentence)
        assert "12345" in told(movement)
    assert language.chosen() == "en"


def test_a_sentence_goes_into_the_database_as_its_english(shop: Shop) -> None:
    sentence = Sentence("book the count that waits")
    with shop.database() as connection:
        stored = connection.scalar(select(literal(sentence)))
        document = connection.scalar(select(literal([sentence], JSONB)))
    assert (stored, document) == ("book the count that waits", ["book the count that waits"])
    with speaking("es"):
        assert told(stored) == "registrar el conteo que espera"
