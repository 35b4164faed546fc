"""demeter db backup and restore: the whole of it, or none."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from db.backups import Content, back_up, contents, holds_anything
from db.engine import connect
from db.partitions import ensure_partitions
from demeter_cli.backing_up import name_of, rotate, superfluous
from pipeline.types import ContainerKind
from tests.cli.shop import Shop
from tests.conftest import _execute, _url_of
from tests.db.counting import begin, count_photo
from tests.db.seen import a_photo, a_result

LONG_AGO = dt.date(2020, 1, 2)
ODD = 'Pérez & \\N hijos\t"x"\n; DROP TABLE users; --'


@pytest.fixture
def shop(demo_url: str, tmp_path: Path) -> Shop:
    """A nursery with a photo counted today, one long ago, and a text that is hard to write."""
    with connect(demo_url) as connection:
        for number in (1, 2):
            place = f"N01-NORTE-C0{number}"
            seen = a_result(a_photo(f"{place}.jpg"), {ContainerKind.SEGMENT: 30}, hidden=8)
            count_photo(connection, begin(connection), seen, place)
        with connection.begin():
            ensure_partitions(connection, LONG_AGO, 1)
            connection.execute(
                text("UPDATE detections SET created_at = :day WHERE id <= 9"), {"day": LONG_AGO}
            )
            connection.execute(text("UPDATE products SET description = :odd"), {"odd": ODD})
    return Shop(demo_url, {"DEMETER_DATA_DIR": str(tmp_path / "data")})


@pytest.fixture
def empty(server: str, shop: Shop) -> Iterator[Shop]:
    """Another database of the server, without a table."""
    name = "demeter_test_restored"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE template0")
    yield Shop(_url_of(server, name), shop.settings)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def held(shop: Shop) -> list[Content]:
    with shop.database() as connection:
        return contents(connection)


def test_what_was_saved_comes_back_row_by_row_with_its_rules_and_rights(
    shop: Shop, empty: Shop, tmp_path: Path
) -> None:
    file = tmp_path / "new" / "site.dump"
    before = held(shop)
    digest = hashlib.sha256(shop.url.split("?")[0].rpartition("/")[2].encode()).hexdigest()[:8]
    _execute(shop.url, f"CREATE DATABASE demeter_verify_{digest}_7_dead")  # of one that was killed

    saved = shop.done("db", "backup", file)

    assert (saved["file"], saved["verified"], saved["tables"]) == (str(file), True, len(before))
    assert saved["rows"] == sum(one.rows for one in before)
    assert (file.stat().st_mode & 0o777, list(file.parent.iterdir())) == (0o600, [file])
    with shop.database() as connection:
        assert (
            connection.scalar(text("SELECT count(*) FROM pg_database WHERE datname ~ 'demeter_verify'")) == 0
        )

    told = empty.done("db", "restore", file)

    assert {(row["table"], row["rows"], row["sha256"]) for row in told} == {
        (one.table, one.rows, one.sha256) for one in before
    }
    assert held(empty) == before
    checked = empty.run("db", "check")
    assert (checked.code, "all is well" in checked.out) == (0, True), checked.out
    with empty.database() as connection:
        assert connection.scalar(text("SELECT description FROM products LIMIT 1")) == ODD
        assert connection.scalar(text(f"SELECT count(*) FROM detections_p{LONG_AGO:%Y%m%d}")) == 9
        lent = "SELECT has_function_privilege('{}', 'drop_partition(regclass, date)', 'EXECUTE')"
        assert connection.scalar(text(lent.format("demeter_operator")))
        assert not connection.scalar(text(lent.format("demeter_viewer")))  # nor has PUBLIC
        # Numbers go on where they were.
        seen = a_result(a_photo("N01-NORTE-C03.jpg"), {ContainerKind.SEGMENT: 7})
    with connect(empty.url) as connection:
        assert count_photo(connection, begin(connection), seen, "N01-NORTE-C03").session_id == 3


def test_a_database_that_holds_anything_is_replaced_only_when_told_and_saved_first(
    shop: Shop, tmp_path: Path
) -> None:
    file = tmp_path / "site.dump"
    shop.done("db", "backup", file, "--no-verify")
    before = held(shop)
    with shop.database() as connection:
        connection.execute(text("UPDATE products SET description = 'later'"))
        connection.execute(text("CREATE TABLE theirs AS SELECT 1 AS one"))
    later = held(shop)

    refused = shop.run("db", "restore", file)
    assert (refused.code, "say --replace" in refused.err, held(shop)) == (2, True, later)

    assert shop.run("db", "restore", file, "--replace").code == 0
    assert held(shop) == before
    (saved,) = (tmp_path / "data" / "backups").iterdir()
    assert saved.name.startswith("before-restore-")
    assert shop.run("db", "restore", saved, "--replace").code == 0
    assert held(shop) == later


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3000:-2950] = bytes(50)  # in the last table that has rows
    file.write_bytes(content)


def write(file: Path) -> None:
    file.write_text("CREATE TABLE products ();")


@pytest.mark.parametrize(("harm", "code"), [(cut, 2), (flip, 4), (write, 2)])
def test_of_a_damaged_file_nothing_is_restored_and_nothing_lost(
    shop: Shop, tmp_path: Path, harm: Callable[[Path], None], code: int
) -> None:
    file = tmp_path / "site.dump"
    with connect(shop.url) as connection:
        back_up(connection, shop.url, file, verify=False)
    before = held(shop)
    harm(file)
    told = shop.run("db", "restore", file, "--replace")
    assert told.code == code, told.err
    assert len(told.err.splitlines()) <= 3
    assert held(shop) == before


def test_what_cannot_be_restored_is_not_kept(shop: Shop, tmp_path: Path) -> None:
    """A rule that finds its table by the search path: pg_dump is right, and no restore will ever work."""
    with shop.database() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION known(n int) RETURNS boolean LANGUAGE sql IMMUTABLE AS"
                " 'SELECT EXISTS (SELECT FROM products)'"
            )
        )
        connection.execute(text("CREATE TABLE theirs (n int CHECK (known(n)))"))
        connection.execute(text("INSERT INTO theirs VALUES (1)"))
    folder = tmp_path / "backups"

    told = shop.run("db", "backup", folder)

    assert (told.code, "products" in told.err) == (4, True), told.err
    assert list(folder.iterdir()) == []
    assert shop.run("db", "backup", folder, "--no-verify", "--quiet").out == ""
    assert len(list(folder.iterdir())) == 1
    with shop.database() as connection:
        assert (
            connection.scalar(text("SELECT count(*) FROM pg_database WHERE datname ~ 'demeter_verify'")) == 0
        )


def test_a_backup_of_a_newer_program_is_refused(shop: Shop, empty: Shop, tmp_path: Path) -> None:
    with connect(shop.url) as connection:
        with connection.begin():
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        back_up(connection, shop.url, tmp_path / "new.dump", verify=False)
    told = empty.run("db", "restore", tmp_path / "new.dump")
    assert (told.code, "made by a newer Demeter" in told.err) == (4, True)
    with connect(empty.url) as connection:
        assert not holds_anything(connection)


def test_who_may_make_no_database_is_told_before_anything_is_written(shop: Shop, tmp_path: Path) -> None:
    meek = Shop(f"{shop.url}&options=-c%20role%3Ddemeter_operator", shop.settings)
    told = meek.run("db", "backup", tmp_path / "site.dump")
    assert (told.code, "--no-verify" in told.err) == (4, True)
    told = meek.run("db", "backup", tmp_path / "site.dump", "--no-verify")  # nor may an operator read it all
    assert (told.code, "permission denied" in told.err) == (4, True), told.err
    assert list(tmp_path.glob("*.dump*")) + list(tmp_path.glob(".*")) == []


def test_a_file_is_not_overwritten_unasked(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "site.dump"
    file.write_text("mine")
    told = shop.run("db", "backup", file, "--no-verify")
    assert (told.code, file.read_text()) == (2, "mine")
    assert shop.run("db", "backup", file, "--no-verify", "--overwrite").code == 0
    assert file.read_bytes().startswith(b"PGDMP")


def test_each_table_is_compared_to_the_last_byte(shop: Shop) -> None:
    before = held(shop)
    with shop.database() as connection:
        connection.execute(text("UPDATE detections SET score = score / 2 WHERE id = 5"))
    assert [one.table for one in set(held(shop)) ^ set(before)] == ["detections"] * 2


MOMENTS = st.datetimes(
    dt.datetime(2026, 1, 1), dt.datetime(2026, 12, 31), timezones=st.just(dt.UTC)
)  # fmt: skip


@given(st.sets(MOMENTS, min_size=1, max_size=40), st.integers(0, 9), st.integers(0, 9))
def test_of_backups_the_last_of_days_and_weeks_are_kept(
    moments: set[dt.datetime], daily: int, weekly: int
) -> None:
    names = {name_of(moment): moment.replace(microsecond=0) for moment in moments}
    gone = set(superfluous([*names, "notes.txt", "before-restore-20260101T000000Z.dump"], daily, weekly))
    kept = set(names) - gone
    assert gone <= set(names)
    if daily or weekly:
        assert max(names, key=names.__getitem__) in kept
        assert len(kept) <= daily + weekly
        days = {moment.date() for moment in names.values()}
        assert len({names[name].date() for name in kept}) >= min(daily, len(days))
    else:
        assert not gone
    assert not superfluous(list(kept), daily, weekly)  # asked again, it removes no more


def test_a_year_of_nights_leaves_a_week_of_days_and_weeks_of_sundays(tmp_path: Path) -> None:
    last = dt.datetime(2026, 11, 27, 4, 45, tzinfo=dt.UTC)  # a Friday
    for night in range(365):
        (tmp_path / name_of(last - dt.timedelta(days=night))).touch()
    (tmp_path / "other.dump").touch()
    rotate(tmp_path, 7, 5, last)
    days = sorted(path.name[8:16] for path in tmp_path.glob("demeter-*"))
    assert days == ["20261101", "20261108", "20261115", *(f"202611{day}" for day in range(21, 28))]
    assert (tmp_path / "other.dump").exists()
