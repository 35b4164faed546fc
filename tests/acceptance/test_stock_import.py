"""A real `demeter stock import` that ends in the middle."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from db.engine import connect
from tests.acceptance.conftest import Site

LINES = 1000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "many.csv"
    rows = [f"death,2026-10-{1 + number % 28:02d},N01-NORTE-C01,1" for number in range(LINES - 1)]
    path.write_text("type,date,place,quantity\ninit,2026-09-01,N01-NORTE-C01,9000\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 130)])
def test_an_import_that_is_stopped_in_the_middle_books_nothing_and_can_be_repeated(
    site: Site, file: Path, how: signal.Signals, code: int
) -> None:
    url = site.settings["DEMETER_DATABASE_URL"]
    with connect(url) as connection:
        # Where its rows are written and not committed, it has to wait for us.
        connection.execute(text("LOCK TABLE stock_checks IN EXCLUSIVE MODE"))
        process = site.start("stock", "import", file)
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        with connect(url) as watch:
            while not watch.scalar(waiting):
                assert process.poll() is None
                watch.rollback()
                time.sleep(0.05)
        process.send_signal(how)
        process.communicate(timeout=60)
        assert process.returncode == code
        connection.rollback()

    with connect(url) as connection:
        tables = ("stock_movements", "stock_batches", "counts", "stock_checks")
        assert [connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in tables] == [0, 0, 0, 0]

    again = site.run("stock", "import", file)
    assert (again.code, f"1,000 lines: 1,000 booked ({LINES:,} movements)." in again.out) == (0, True)
    assert site.run("stock", "verify", "--quiet").code == 0
