"""The database is down, empty, behind, ahead, or busy: a sentence and an exit code each."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from db.engine import connect
from db.runs import run_lock
from tests.acceptance.conftest import Site
from tests.acceptance.test_process import put


def test_nothing_is_migrated_or_seeded_unasked_in_a_database_of_the_users_own(
    server: str, site: Site, crops: list[Path]
) -> None:
    put(site, crops[0], "N01-NORTE-C01.jpg")
    with connect(site.settings["DEMETER_DATABASE_URL"]) as connection, connection.begin():
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))

    refused = site.run("process", ".")
    assert refused.code == 4
    assert "demeter db upgrade" in refused.err
    assert refused.out == ""

    assert "upgraded from nothing" in site.run("db", "upgrade").out
    assert "up to date" in site.run("db", "upgrade").out
    assert site.run("db", "check").code == 0
    unseeded = site.run("process", ".")
    assert unseeded.code == 2
    assert "demeter seed" in unseeded.err


@pytest.mark.parametrize(("revision", "words"), [("0001", "demeter db upgrade"), ("f00", "newer")])
def test_a_schema_of_another_version_is_refused(
    site: Site, crops: list[Path], revision: str, words: str
) -> None:
    put(site, crops[0], "N01-NORTE-C01.jpg")
    with connect(site.settings["DEMETER_DATABASE_URL"]) as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})

    for command in (["process", "."], ["report", "stock"], ["db", "check"]):
        finished = site.run(*command)
        assert finished.code == 4
        assert words in finished.err
        assert "Traceback" not in finished.err


def test_a_database_that_does_not_answer_is_named_without_its_password(site: Site, crops: list[Path]) -> None:
    put(site, crops[0], "N01-NORTE-C01.jpg")
    down = site.but(DEMETER_DATABASE_URL="postgresql://demeter:geheim@127.0.0.1:1/nursery")
    finished = down.run("process", ".")

    assert finished.code == 4
    assert "127.0.0.1" in finished.err
    assert "geheim" not in finished.err
    assert "Traceback" not in finished.err


def test_a_second_run_while_one_is_going_on_is_told_to_try_later(site: Site, crops: list[Path]) -> None:
    put(site, crops[0], "N01-NORTE-C01.jpg")
    with connect(site.settings["DEMETER_DATABASE_URL"]) as connection, run_lock(connection):
        finished = site.run("process", ".")
    assert finished.code == 75
    assert "is at work in this database" in finished.err

    assert site.run("process", ".").code == 0
