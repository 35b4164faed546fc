"""A file is loaded whole or not at all, once, and what it said stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from db.errors import NotFound
from db.imports.aliases import aliases, remove_alias, set_alias
from db.imports.staging import Judged, Source, require_run, rows_of, stage, storable
from db.models.vocabulary import ImportVerdict
from tests.db.imports.loading import figures, import_species, order

SOURCE = Source("species", "a.csv", "a" * 64, "utf-8", ",", ("read as UTF-8",))
ROWS = (
    Judged(2, "one", {"genus": "Aloe"}, target="ALO-SP-001"),
    Judged(3, "two").fixed("a space at the end"),
    Judged(4, "three").rejected("names no genus"),
)


def loading(connection: Connection, rows: Sequence[Judged] = ROWS) -> tuple[Sequence[Judged], Sequence[str]]:
    """What an importer does: write, and judge."""
    connection.execute(text("INSERT INTO product_states (code, name) VALUES ('WRITTEN', 'x')"))
    return rows, ("a note",)


def written(connection: Connection) -> int:
    return connection.execute(text("SELECT count(*) FROM product_states WHERE code = 'WRITTEN'")).scalar_one()


def test_read_is_loaded_and_fixed_and_rejected(books: Connection) -> None:
    outcome = stage(books, SOURCE, order(books, 1), lambda: loading(books))

    assert figures(outcome) == ("loaded", 3, 1, 1, 1)
    assert written(books) == 1
    run = require_run(books, outcome.run or 0)
    assert (run["read"], run["loaded"], run["fixed"], run["rejected"]) == (3, 1, 1, 1)
    assert run["notes"] == ["read as UTF-8", "a note"]
    kept = rows_of(books, outcome.run or 0, list(ImportVerdict))
    assert [(row["number"], row["line"], row["raw"], row["verdict"], row["reason"]) for row in kept] == [
        (1, 2, "one", "loaded", None),
        (2, 3, "two", "fixed", "a space at the end"),
        (3, 4, "three", "rejected", "names no genus"),
    ]


def test_more_rejects_than_allowed_load_nothing_but_are_kept(books: Connection) -> None:
    outcome = stage(books, SOURCE, order(books), lambda: loading(books))

    assert figures(outcome) == ("refused", 3, 1, 1, 1)
    assert written(books) == 0
    assert len(rows_of(books, outcome.run or 0, ["rejected"])) == 1
    # A file that was refused may be loaded when it is allowed.
    assert stage(books, SOURCE, order(books, 1), lambda: loading(books)).status == "loaded"


def test_the_same_content_is_loaded_once_whatever_the_file_is_called(books: Connection) -> None:
    first = stage(books, SOURCE, order(books, 1), lambda: loading(books))
    again = Source("species", "b.csv", "a" * 64, "utf-8")
    outcome = stage(books, again, order(books, 1), lambda: loading(books))

    assert (outcome.status, outcome.run, outcome.rows) == ("already loaded", first.run, ())
    assert written(books) == 1


def test_an_import_that_is_interrupted_leaves_nothing(books: Connection) -> None:
    def interrupted() -> tuple[Sequence[Judged], Sequence[str]]:
        loading(books)
        raise KeyboardInterrupt

    attempt = books.begin_nested()
    with pytest.raises(KeyboardInterrupt):
        stage(books, SOURCE, order(books, 1), interrupted)
    attempt.rollback()
    assert written(books) == 0
    assert books.execute(text("SELECT count(*) FROM import_runs")).scalar_one() == 0


@pytest.mark.parametrize("statement", ["UPDATE import_rows SET raw = ''", "DELETE FROM import_runs"])
def test_what_a_file_said_cannot_be_changed(books: Connection, statement: str) -> None:
    stage(books, SOURCE, order(books, 1), lambda: loading(books))
    attempt = books.begin_nested()
    with pytest.raises(DBAPIError, match="append-only"):
        books.execute(text(statement))
    attempt.rollback()


@settings(max_examples=40)
@given(st.text(max_size=20))
def test_whatever_stood_in_the_file_can_be_kept(raw: str) -> None:
    kept = storable(raw) or ""
    assert "\0" not in kept
    kept.encode("utf-8")


def test_signs_that_postgresql_cannot_hold_are_replaced(books: Connection) -> None:
    row = Judged(1, "a\0b\ud800", {"x": "c\0d"})
    outcome = stage(books, SOURCE, order(books), lambda: ((row,), ()))
    assert rows_of(books, outcome.run or 0, ["loaded"])[0]["raw"] == "a\ufffdb?"


def test_an_alias_is_used_by_the_next_import(books: Connection, tmp_path: Path) -> None:
    assert set_alias(books, "genus", "Mamil. ", "mammillaria") == "Mammillaria"
    path = tmp_path / "list.csv"
    path.write_text("CR8T,mamil,bocasana\n", encoding="utf-8")
    [row] = import_species(books, path).rows

    assert (row.target, row.reason) == ("MAM-BOC-001", "'mamil' is an alias of Mammillaria")
    assert aliases(books) == [{"kind": "genus", "alias": "mamil", "name": "Mammillaria"}]
    remove_alias(books, "genus", "MAMIL")
    assert aliases(books) == []


def test_an_alias_needs_something_to_mean(books: Connection) -> None:
    with pytest.raises(NotFound, match="there is no genus 'Mammilaria'; did you mean 'Mammillaria'"):
        set_alias(books, "genus", "mam", "Mammilaria")
    with pytest.raises(NotFound, match="there is no place 'N01-NORTE-C99'"):
        set_alias(books, "place", "x", "N01-NORTE-C99")
    with pytest.raises(NotFound, match="there is no alias 'x' of a place"):
        remove_alias(books, "place", "x")
