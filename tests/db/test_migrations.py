from __future__ import annotations

import datetime as dt
import logging
import subprocess
import sys
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from db import migrate, migrations
from db.engine import connect, retry
from db.errors import Busy, DatabaseUnavailable, SchemaMismatch
from db.health import examine
from db.models.schema import METADATA
from db.periods import close
from db.reports import stock
from db.runs import run_lock
from db.undoing import undo
from db.verify import findings
from tests.db.nursery import NOON, add, build_nursery, session_of

# Everything that a schema promises, partitions left out: they come and go with the days.
SNAPSHOT = text(
    r"""
    WITH ours AS (
        SELECT oid, relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
            AND relname <> 'alembic_version'
    )
    SELECT relname, 'column ' || attname, format_type(atttypid, atttypmod) || ' ' || attnotnull || ' '
        || attidentity::text || attgenerated::text || ' ' || coalesce(pg_get_expr(adbin, adrelid), '')
    FROM ours JOIN pg_attribute ON attrelid = ours.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    UNION ALL
    SELECT relname, 'constraint ' || conname, pg_get_constraintdef(pg_constraint.oid)
    FROM ours JOIN pg_constraint ON conrelid = ours.oid WHERE contype <> 't'
    UNION ALL
    SELECT relname, 'index ' || indexrelid::regclass, pg_get_indexdef(indexrelid)
    FROM ours JOIN pg_index ON indrelid = ours.oid
    UNION ALL
    SELECT relname, 'partitions', pg_get_partkeydef(ours.oid) FROM ours
    WHERE pg_get_partkeydef(ours.oid) IS NOT NULL
    ORDER BY 1, 2
    """
)


@pytest.fixture
def empty_url(database_url: str) -> Iterator[str]:
    """A database without a single table."""
    with connect(database_url) as connection:
        _empty(connection)
    yield database_url


def _empty(connection: Connection) -> None:
    connection.execute(text("DROP SCHEMA public CASCADE"))
    connection.execute(text("CREATE SCHEMA public"))
    connection.commit()


def snapshot(connection: Connection) -> list[tuple[str, ...]]:
    rows = [tuple(row) for row in connection.execute(SNAPSHOT)]
    connection.rollback()
    return rows


def test_there_is_exactly_one_head() -> None:
    assert len(ScriptDirectory(next(iter(migrations.__path__))).get_heads()) == 1


def test_the_migrations_make_exactly_the_schema_of_the_models(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    with connect(empty_url) as connection:
        migrated = snapshot(connection)
        _empty(connection)
        with connection.begin():
            METADATA.create_all(connection)
        modelled = snapshot(connection)

    assert len(migrated) > 400
    assert migrated == modelled


def test_autogenerate_finds_nothing_to_do_after_an_upgrade(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    with connect(empty_url) as connection:
        command.check(migrate._config(connection))


def test_autogenerate_finds_a_column_that_is_missing(empty_url: str) -> None:
    migrate.upgrade(empty_url)
    with connect(empty_url) as connection:
        connection.execute(text("ALTER TABLE runs DROP COLUMN host"))
        connection.commit()
        with pytest.raises(CommandError, match="host"):
            command.check(migrate._config(connection))


def test_a_second_upgrade_changes_nothing(database_url: str) -> None:
    with connect(database_url) as connection:
        before = snapshot(connection)
        migrate.upgrade(database_url)

        assert snapshot(connection) == before


def test_programs_that_start_at_once_migrate_once(empty_url: str) -> None:
    program = "import sys; from db.migrate import upgrade; upgrade(sys.argv[1])"
    running = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", program, empty_url], stderr=subprocess.PIPE)
        for _ in range(3)
    ]

    assert [process.communicate(timeout=120)[1] for process in running] == [b"", b"", b""]
    assert [process.returncode for process in running] == [0, 0, 0]
    with connect(empty_url) as connection:
        migrate.check(connection)


def test_a_migration_that_fails_leaves_the_revisions_before_it(empty_url: str) -> None:
    with connect(empty_url) as connection:
        connection.execute(text("CREATE TABLE storage_bins (in_the_way integer)"))  # 0002 makes it
        connection.commit()

        with pytest.raises(ProgrammingError, match="storage_bins"):
            migrate.upgrade(empty_url)
        assert migrate.current(connection) == "0001"
        assert connection.scalar(text("SELECT to_regclass('warehouses')")) is None  # made by 0002, earlier

        connection.execute(text("DROP TABLE storage_bins"))
        connection.commit()
        migrate.upgrade(empty_url)
        migrate.check(connection)


BEFORE_THE_GATE = """
    INSERT INTO images (id, sha256, original_name, file_size_bytes)
        SELECT gen_random_uuid(), repeat(n::text, 64), 'IMG_' || n, 1 FROM generate_series(1, 2) n;
    INSERT INTO runs (command, model, config_hash) VALUES ('process', 'm', 'c');
    INSERT INTO photo_sessions (image_id, run_id, model, model_sha256, config_hash, status, total_detected,
            total_estimated, low, high)
        SELECT images.id, runs.id, 'm', repeat('a', 64), 'c', 'warning', 90, 10, 80, 120 FROM images, runs
        WHERE original_name = 'IMG_1';
    INSERT INTO photo_sessions (image_id, run_id, model, model_sha256, config_hash, status)
        SELECT images.id, runs.id, 'm', repeat('a', 64), 'c', 'failed' FROM images, runs
        WHERE original_name = 'IMG_2';
    INSERT INTO session_containers (session_id, ordinal, kind, polygon, score, seen, hidden, low, high)
        SELECT id, 0, 'segment', '[]', 0.9, 90, 10, 80, 120 FROM photo_sessions WHERE status = 'warning'
    """


def test_photos_counted_before_beds_were_told_apart_keep_all_their_plants(empty_url: str) -> None:
    with connect(empty_url) as connection:
        command.upgrade(migrate._config(connection), "0004")
        connection.rollback()
        with connection.begin():
            for statement in BEFORE_THE_GATE.split(";"):
                connection.execute(text(statement))
        untouched = text("SELECT id, image_id, status, low, high, updated_at FROM photo_sessions ORDER BY id")
        before = connection.execute(untouched).all()
        connection.rollback()
        migrate.upgrade(empty_url)

        assert connection.execute(untouched).all() == before
        beds = text("SELECT main_seen, main_hidden, main_low, main_high FROM photo_sessions ORDER BY id")
        assert [tuple(row) for row in connection.execute(beds)] == [(90, 10, 80, 120), (0, 0, None, None)]
        inside = text("SELECT role, dead, empty_pots, cells, empty_cells FROM session_containers")
        assert [tuple(row) for row in connection.execute(inside)] == [("main", 0, 0, None, None)]
        connection.execute(text("UPDATE photo_sessions SET error_message = 'x'"))  # the trigger is back
        assert connection.scalar(text("SELECT count(updated_at) FROM photo_sessions")) == 2


def test_books_kept_before_there_were_periods_and_prices_go_on(empty_url: str) -> None:
    """What revision 0008 held is sound at head: a photo's count with its entry, a first count by hand, a
    death, a sale and its reversal, and places, lots and people."""
    with connect(empty_url) as connection:
        command.upgrade(migrate._config(connection), "0008")
        connection.rollback()
        nursery = build_nursery(connection)
        session = session_of(nursery)
        seen = nursery.count(90, source="foto", session_id=session, status="accepted", counted_at=NOON)
        nursery.move("foto", 90, count_id=seen, session_id=session, source_type="ia")
        later = {"occurred_at": NOON + dt.timedelta(days=1)}
        nursery.move("muerte", -7, **later)
        sale = nursery.move("ventas", -20, **later)
        nursery.move("ventas", 20, reverses_movement_id=sale, source_type="manual_correction", **later)
        connection.commit()
        before = connection.execute(text("SELECT * FROM stock_movements ORDER BY id")).all()
        connection.rollback()
        migrate.upgrade(empty_url)

        assert connection.execute(text("SELECT * FROM stock_movements ORDER BY id")).all() == before
        assert list(findings(connection)) == []
        assert examine(connection, dt.datetime.now(dt.UTC)) == []
        connection.rollback()
        retry(connection, lambda: undo(connection, before[1].id, nursery.user))
        [row] = stock(connection)
        assert (row.plants, row.state) == (90, "ADULT")
        connection.rollback()
        month, zone = NOON.date().replace(day=1), ZoneInfo("UTC")
        closed = retry(connection, lambda: close(connection, month, zone, boss(connection)))
        assert (closed.movements, closed.counts) == (5, 1)
        assert list(findings(connection)) == []


def boss(connection: Connection) -> int:
    return add(connection, "users", email="eva@vivero.ar", first_name="Eva", last_name="", role="admin")


def test_an_upgrade_gives_up_rather_than_queue_behind_a_long_lock(empty_url: str) -> None:
    with connect(empty_url) as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)"))
        connection.commit()
        connection.execute(text("LOCK TABLE alembic_version IN EXCLUSIVE MODE"))
        with pytest.raises(DatabaseUnavailable, match="another program holds a lock"):
            migrate.upgrade(empty_url)


def test_no_upgrade_comes_between_a_run_and_its_tables(connection: Connection, database_url: str) -> None:
    with run_lock(connection):
        with pytest.raises(Busy, match="upgrade it when the run has finished"):
            migrate.upgrade(database_url)
        connection.rollback()
    migrate.upgrade(database_url)
    with run_lock(connection):
        pass


def test_upgrading_leaves_logging_alone(database_url: str) -> None:
    root = logging.getLogger()
    before = (
        root.level,
        list(root.handlers),
        logging.getLogger("sqlalchemy").level,
        logging.root.manager.disable,
    )
    migrate.upgrade(database_url)

    assert (
        root.level,
        list(root.handlers),
        logging.getLogger("sqlalchemy").level,
        logging.root.manager.disable,
    ) == before


def test_a_database_at_head_passes_and_no_transaction_stays_open(connection: Connection) -> None:
    migrate.check(connection)

    assert migrate.current(connection) == migrate.head()
    assert not connection.in_transaction()


def test_an_empty_database_is_told_to_upgrade(empty_url: str) -> None:
    with connect(empty_url) as connection, pytest.raises(SchemaMismatch, match="run `demeter db upgrade`"):
        migrate.check(connection)


def test_a_database_behind_is_told_to_upgrade(connection: Connection) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))

    with pytest.raises(SchemaMismatch, match=r"at revision 0002 .* run `demeter db upgrade`"):
        migrate.check(connection)


def test_a_database_ahead_is_told_to_upgrade_the_program(connection: Connection) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SchemaMismatch, match=r"at revision 9999.* upgrade the program"):
        migrate.check(connection)


def test_a_database_ahead_is_not_touched_by_an_upgrade(connection: Connection, database_url: str) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    connection.commit()
    before = snapshot(connection)

    with pytest.raises(SchemaMismatch, match="upgrade the program"):
        migrate.upgrade(database_url)

    assert snapshot(connection) == before
