"""Users, catalogue and prices from the command line: who may, what is refused, and with which exit code."""

from __future__ import annotations

import csv
import io
import logging
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from db.engine import connect
from demeter_cli.main import app
from tests.acceptance.conftest import Finished
from tests.conftest import _copied, _url_of

EVA = "eva@vivero.ar"
LIST = """code,category,packaging,wholesale
C R8 D -1,CACTUS,MAC-R8-D,950.50
C R8 T -1,CACTUS,MAC-R8-T,800
"""


@dataclass(frozen=True)
class Nursery:
    """Commands in this process: most of the time of a real one is its start."""

    folder: Path
    settings: dict[str, str]

    def run(self, *arguments: str, user: str | None = None) -> Finished:
        env = self.settings | ({"DEMETER_USER": user} if user else {})
        done = CliRunner().invoke(app, arguments, env=env)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Finished(done.exit_code, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def nursery(server: str, demo_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """One nursery for the whole story, told from top to bottom."""
    folder: Path = tmp_path_factory.mktemp("catalogue")
    with _copied(server, demo_template) as name:
        settings = {"DEMETER_DATABASE_URL": _url_of(server, name), "DEMETER_DATA_DIR": str(folder / "data")}
        yield Nursery(folder, settings | {"COLUMNS": "100", "NO_COLOR": "1"})


@pytest.fixture(autouse=True)
def inside(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In its folder; and what a command does to its process is undone."""
    monkeypatch.chdir(nursery.folder)
    root = logging.getLogger()
    before = root.level, root.handlers, signal.getsignal(signal.SIGTERM)
    yield
    root.level, root.handlers, handler = before
    signal.signal(signal.SIGTERM, handler)


def test_the_first_admin_is_added_by_nobody_and_then_it_takes_one(nursery: Nursery) -> None:
    first = nursery.run("users", "add", "eva@vivero.ar", "--name", "Eva Sol", "--role", "admin")
    assert (first.code, first.out) == (0, "eva@vivero.ar (Eva Sol): admin.\n")
    nobody = nursery.run("users", "add", "leo@vivero.ar", "--name", "Leo")
    assert nobody.code == 2
    assert "say who you are with --user" in nobody.err
    assert (
        nursery.run("users", "add", "leo@vivero.ar", "--name", "Leo", "--role", "supervisor", user=EVA).code
        == 0
    )
    assert [row["email"] for row in nursery.run("users", "list", "-f", "json").json] == [
        "eva@vivero.ar",
        "leo@vivero.ar",
        "system@demeter.local",
    ]


def test_prices_are_loaded_whole_or_not_at_all(nursery: Nursery) -> None:
    (nursery.folder / "bad.csv").write_text(LIST + "C R8 G -1,CACTUS,MAC-R8-X,900\n")
    (nursery.folder / "good.csv").write_text(LIST)

    bad = nursery.run("prices", "import", "bad.csv", "-f", "json", user=EVA)
    assert (bad.code, bad.json["rejected"], bad.json["added"]) == (9, 1, 2)
    assert "bad.csv, line 4: there is no packaging MAC-R8-X; did you mean 'MAC-R8-" in bad.err
    assert nursery.run("prices", "import", "good.csv", "--dry-run", user=EVA).code == 0
    assert nursery.run("prices", "list", "-f", "json").json == []

    leo = nursery.run("prices", "import", "good.csv", "--user", "leo@vivero.ar", user=EVA)
    assert leo.code == 2
    assert "leo@vivero.ar is supervisor" in leo.err
    assert nursery.run("prices", "import", "good.csv", "--yes", "--user", "leo@vivero.ar", user=EVA).code == 0
    again = nursery.run("prices", "import", "good.csv", "-f", "json", user=EVA)
    assert (again.json["unchanged"], again.json["changed"]) == (2, 0)


def test_a_raise_is_shown_and_then_done(nursery: Nursery) -> None:
    rise = ("prices", "change", "--percent", "10", "--step", "10", "--category", "CACTUS")
    shown = nursery.run(*rise, "-f", "json", user=EVA)
    assert [row["new_wholesale"] for row in shown.json] == ["1050.00", "880.00"]
    assert "Nothing was changed" in shown.err
    assert nursery.run(*rise, "--yes", user=EVA).code == 0
    assert "1,050.00 ARS" in nursery.run("prices", "show", "MAM-BOC-001", "--packaging", "MAC-R8-D").out
    assert nursery.run("prices", "change", "--percent", "-100", user=EVA).code == 9
    assert nursery.run("prices", "change", user=EVA).code == 2


def test_the_catalogue_goes_into_a_spreadsheet_and_back(nursery: Nursery) -> None:
    named = nursery.run(
        "catalog", "edit", "products", "mam-boc-001", "description=+cmd|' /C calc'!A1", user=EVA
    )
    assert named.code == 0
    assert nursery.run("catalog", "export", "products", "--out", "p.csv", user=EVA).code == 0
    rows = list(csv.DictReader(io.StringIO((nursery.folder / "p.csv").read_text(encoding="utf-8"))))
    assert next(row for row in rows if row["sku"] == "MAM-BOC-001")["description"].startswith("'+cmd")
    back = nursery.run("catalog", "import", "products", "p.csv", "-f", "json", user=EVA)
    assert (back.json["unchanged"], back.json["updated"]) == (len(rows), 0)

    refused = nursery.run("catalog", "deactivate", "products", "MAM-BOC-001", user=EVA)
    assert refused.code == 9
    assert "is in use: configured at" in refused.err
    for wrong in (["list", "prodcts"], ["add", "products", "sku"], ["edit", "products", "X", "a=b"]):
        assert nursery.run("catalog", *wrong, user=EVA).code == 2


def test_the_audit_log_tells_who_did_all_that(nursery: Nursery) -> None:
    told = nursery.run("audit-log", "--table", "products", "-f", "json").json
    assert (told[0]["user"], told[0]["key"]) == ("eva@vivero.ar", "MAM-BOC-001")
    by_leo = nursery.run("audit-log", "--by", "leo@vivero.ar", "-f", "json").json
    assert {row["table"] for row in by_leo} == {"price_items", "price_list"}
    assert "Nothing was changed" in nursery.run("audit-log", "--until", "2020-01-01").out
    assert nursery.run("audit-log", "--since", "2020-02-31").code == 2


def test_a_database_whose_rules_are_switched_off_fails_its_check(nursery: Nursery) -> None:
    assert nursery.run("db", "check").code == 0
    with connect(nursery.settings["DEMETER_DATABASE_URL"]) as connection, connection.begin():
        connection.execute(text("ALTER TABLE stock_movements DISABLE TRIGGER append_only"))
        connection.execute(text("GRANT UPDATE ON price_list TO demeter_operator"))
    damaged = nursery.run("db", "check", "--quiet")
    assert damaged.code == 9
    assert "damage: stock_movements.append_only: the trigger is switched off" in damaged.out
    assert "may UPDATE price_list and should not" in damaged.out
