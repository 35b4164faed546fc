"""A photo counted for real, whose plants the database forgets: its figures are explained as before."""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlalchemy import text

from db.engine import connect
from tests.acceptance.conftest import Site
from tests.cli.shop import Shop

CONTAINERS = text(
    "SELECT ordinal, seen, hidden, low, high FROM session_containers ORDER BY session_id, ordinal"
)


def test_what_was_counted_is_explained_after_its_day_is_dropped(site: Site, crops: list[Path]) -> None:
    shutil.copy(crops[0], site.folder / "N01-NORTE-C01.jpg")
    counted = site.run("process", ".")
    assert counted.code == 0, counted.err
    shop = Shop(
        site.settings["DEMETER_DATABASE_URL"], {"DEMETER_DATA_DIR": site.settings["DEMETER_DATA_DIR"]}
    )
    with connect(shop.url) as connection, connection.begin():
        for table in ("detections", "estimations"):
            connection.execute(text(f"SELECT make_partition('{table}', '2020-01-02')"))
            connection.execute(text(f"UPDATE {table} SET created_at = '2020-01-02 12:00Z'"))
        before = connection.execute(CONTAINERS).all()
        boxes = connection.scalar(text("SELECT count(*) FROM detections"))
    said = shop.run("explain", "N01-NORTE-C01", "--format", "json")
    assert said.json
    assert boxes

    told = shop.done("db", "maintain")

    assert [row["number"] for row in told if row["task"] == "drop partitions"] == [2]
    assert shop.run("explain", "N01-NORTE-C01", "--format", "json").out == said.out
    with connect(shop.url) as connection, connection.begin():
        assert connection.scalar(text("SELECT count(*) FROM detections")) == 0
        assert connection.execute(CONTAINERS).all() == before
    # From the evidence alone every container comes to the same: what differs in one is no longer "unchanged".
    (again,) = shop.done("estimate", "--place", "N01-NORTE-C01", "--dry-run")
    assert (again["outcome"], again["seen"], again["hidden"]) == (
        "unchanged",
        again["seen_before"],
        again["hidden_before"],
    )
