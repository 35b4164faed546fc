"""demeter photos, stock count, stock show and explain in a real process."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.engine import connect
from tests.acceptance.conftest import Site
from tests.conftest import _copied, _url_of
from tests.db.test_deciding import photo

PLACE = "N01-NORTE-C01"


@pytest.fixture(scope="module")
def proposed_template(server: str, demo_template: str) -> Iterator[str]:
    """A photo that is booked, and one that waits for a decision."""
    with _copied(server, demo_template) as name:
        with connect(_url_of(server, name)) as connection:
            photo(connection, 400, -30, None)
            photo(connection, 700, 0)
        yield name


@pytest.fixture
def site(tmp_path: Path, server: str, proposed_template: str) -> Iterator[Site]:
    with _copied(server, proposed_template) as name:
        yield Site(
            tmp_path, {"DEMETER_DATABASE_URL": _url_of(server, name), "DEMETER_DATA_DIR": str(tmp_path)}
        )


def plants(site: Site) -> int:
    return sum(row["plants"] for row in site.run("stock", "show", PLACE, "--format", "json").json)


def test_what_waits_is_listed_with_what_the_books_have_and_is_accepted_once(site: Site) -> None:
    listed = site.run("photos", "list")
    assert (listed.code, "it shows 700 where the books have 400" in listed.out) == (0, True)
    assert plants(site) == 400

    done = site.run("photos", "accept", "2", "--format", "json")
    assert done.json == [{"session": 2, "place": PLACE, "plants": 700, "booked": 300}]
    assert plants(site) == 700
    assert site.run("photos", "list").out == "No count waits for a decision.\n"
    again = site.run("photos", "accept", "2")
    assert (again.code, again.out) == (9, "")
    assert "the count of photo 2 was accepted on" in again.err


def test_a_count_is_corrected_and_rejected_with_a_reason(site: Site) -> None:
    adjusted = site.run(
        "photos", "adjust", "2", "-q", "segment=410", "-r", "counted twice", "--format", "json"
    )
    assert adjusted.json == [{"session": 2, "place": PLACE, "plants": 410, "booked": 10}]

    told = site.run("explain", PLACE)
    assert "counted 410 by hand, count" in told.out
    assert "in place of" in told.out
    assert "counted 700 by photo (90 % range" in told.out

    assert site.run("photos", "reject", "2", "-r", "the neighbour's bed").code == 0
    assert plants(site) == 400


def test_all_are_decided_on_or_none(site: Site) -> None:
    refused = site.run("photos", "accept", "2", "99")

    assert (refused.code, refused.out) == (2, "")
    assert "there is no photo 99" in refused.err
    assert plants(site) == 400


def test_a_hand_count_is_where_stock_starts_anew(site: Site) -> None:
    counted = site.run("stock", "count", PLACE, "395", "--date", "2026-03-20", "--format", "json")
    assert [(row["counted"], row["booked"]) for row in counted.json] == [(395, -5)]

    shown = site.run("stock", "show", PLACE, "--format", "json")
    assert (shown.code, shown.err) == (0, "")
    (row,) = shown.json
    assert (row["plants"], row["low"], row["high"], row["moved"]) == (395, 395, 395, 0)
    (then,) = site.run("stock", "show", PLACE, "--as-of", "2026-03-10", "--format", "json").json
    assert then["plants"] == 400
    last_week = str(dt.date.today() - dt.timedelta(days=7))
    assert site.run("stock", "show", PLACE, "--known-at", last_week, "--format", "json").json == []


def test_explain_walks_to_the_files_and_has_a_row_per_step_in_csv(site: Site) -> None:
    (tree,) = site.run("explain", PLACE, "--format", "json").json
    found = tree["count"]["photo"]
    assert found["original"].startswith(str(site.folder / "photos" / "original"))
    assert (found["model_sha256"], found["config_hash"]) == ("a" * 64, "c0ffee")

    rows = list(csv.DictReader(io.StringIO(site.run("explain", PLACE, "--format", "csv").out)))
    assert [(row["step"], row["plants"]) for row in rows] == [("stock", "400"), ("count", "400")]


def test_tables_fit_narrow_terminals(site: Site) -> None:
    for arguments in (("photos", "list"), ("stock", "show", PLACE), ("photos", "list", "--all")):
        for width in (80, 40):
            done = site.but(COLUMNS=str(width)).run(*arguments)
            table = [line for line in done.out.splitlines() if not line.startswith("  ")]
            assert max(map(len, table)) <= width
            assert PLACE in done.out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["photos", "adjust", "2", "-q", "12 maybe", "-r", "x"], "is no number of plants like 480"),
        (["photos", "adjust", "2", "-q", "-5", "-r", "x"], "is no number of plants like 480"),
        (["photos", "adjust", "2", "-q", "1000000000", "-r", "x"], "is no number of plants like 480"),
        (["photos", "adjust", "2", "-q", "box=5", "-r", "x"], "the photo counts no box, only segment"),
        (["photos", "adjust", "2", "-q", "5", "-q", "6", "-r", "x"], "say each container once"),
        (["stock", "count", PLACE, "-5"], "is no number of plants like 480"),
        (["stock", "count", PLACE, "12 maybe"], "is no whole number"),
        (["stock", "count", PLACE, "12", "--date", "2099-01-01"], "in the future"),
        (["stock", "count", "N77-X-C1", "12"], "N77-X-C1"),
        (["stock", "show", "N77"], "there is no place, bed or bay 'N77'"),
        (["stock", "show", PLACE, "--as-of", "2026-02-31"], "--as-of"),
        (["explain", PLACE, "--known-at", "tomorrow"], "--known-at"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(site: Site, arguments: list[str], word: str) -> None:
    done = site.run(*arguments)

    assert (done.code, done.out) == (2, "")
    assert word in " ".join(done.err.replace("│", " ").split())
