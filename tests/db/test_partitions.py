from __future__ import annotations

import datetime as dt
import threading

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from db.engine import connect
from db.partitions import ensure_partitions, list_partitions

DAY = dt.date(2031, 2, 27)  # far from what `upgrade` made


def names(connection: Connection) -> list[str]:
    return [partition.name for partition in list_partitions(connection) if partition.start.year == DAY.year]


def add_detection(connection: Connection, moment: str) -> None:
    """A detection without its session: only the partitioning is of interest here."""
    connection.execute(text("SET LOCAL session_replication_role = replica"))  # no foreign keys
    connection.execute(
        text(
            "INSERT INTO detections"
            " (session_id, session_container_id, center_x_px, center_y_px, width_px, height_px,"
            " score, created_at) VALUES (1, 1, 10, 10, 5, 5, 0.9, :moment)"
        ),
        {"moment": moment},
    )


def test_an_upgraded_database_has_partitions_for_today_and_the_week_ahead(connection: Connection) -> None:
    now = connection.execute(text("SELECT now()")).scalar_one()
    for table in ("detections", "estimations"):
        stops = [partition.stop for partition in list_partitions(connection) if partition.table == table]
        starts = [partition.start for partition in list_partitions(connection) if partition.table == table]
        assert min(starts) <= now
        assert max(stops) >= now + dt.timedelta(days=6)


def test_missing_days_are_made_for_both_tables_and_only_once(connection: Connection) -> None:
    made = ensure_partitions(connection, DAY, 3)  # over the end of February

    assert made == [
        f"{table}_p{day}" for table in ("detections", "estimations") for day in (20310227, 20310228, 20310301)
    ]
    assert names(connection) == made
    assert ensure_partitions(connection, DAY, 3) == []
    assert ensure_partitions(connection, DAY, 4) == ["detections_p20310302", "estimations_p20310302"]


def test_a_day_is_a_utc_day(connection: Connection) -> None:
    connection.execute(text("SET TIME ZONE 'America/Argentina/Mendoza'"))
    ensure_partitions(connection, DAY, 1)

    add_detection(connection, "2031-02-27 00:00:00Z")
    add_detection(connection, "2031-02-27 23:59:59.999999Z")
    rows = connection.scalar(text("SELECT count(*) FROM detections_p20310227"))

    assert rows == 2


def test_a_row_for_a_day_without_partition_is_refused_aloud(connection: Connection) -> None:
    with pytest.raises(IntegrityError, match="no partition of relation"):
        add_detection(connection, "2031-02-27 12:00:00Z")


def test_a_new_partition_has_the_rules_and_indexes_of_its_table(connection: Connection) -> None:
    ensure_partitions(connection, DAY, 1)
    kinds = connection.execute(
        text(
            "SELECT contype, count(*) FROM pg_constraint WHERE conrelid = 'detections_p20310227'::regclass"
            " AND contype IN ('c', 'f', 'p') GROUP BY 1 ORDER BY 1"
        )
    ).all()
    indexes = connection.scalar(
        text("SELECT count(*) FROM pg_indexes WHERE tablename = 'detections_p20310227'")
    )

    assert [tuple(row) for row in kinds] == [("c", 3), ("f", 3), ("p", 1)]
    assert indexes == 3


def test_ids_come_from_the_table_whatever_the_partition(connection: Connection) -> None:
    ensure_partitions(connection, DAY, 2)
    add_detection(connection, "2031-02-27 12:00:00Z")
    add_detection(connection, "2031-02-28 12:00:00Z")

    first, second = connection.scalars(text("SELECT id FROM detections ORDER BY created_at"))

    assert second == first + 1


def test_two_programs_may_make_the_same_days_at_once(database_url: str) -> None:
    def make() -> None:
        with connect(database_url) as connection:
            list_partitions(connection)
            connection.rollback()
            together.wait(10)
            made.append(ensure_partitions(connection, DAY, 5))
            connection.commit()

    together = threading.Barrier(3)
    made: list[list[str]] = []
    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(len, made)) == [0, 0, 10]


def test_detections_can_be_read_and_written_while_a_partition_is_made(database_url: str) -> None:
    with connect(database_url) as writer, connect(database_url) as maker, connect(database_url) as reader:
        ensure_partitions(maker, DAY, 1)
        maker.commit()
        add_detection(writer, "2031-02-27 12:00:00Z")  # not committed
        reader.execute(text("SELECT count(*) FROM detections"))  # its lock is held until the end, too

        maker.execute(text("SET lock_timeout = '2s'"))
        assert len(ensure_partitions(maker, DAY, 2)) == 2

        for busy in (writer, reader):
            busy.execute(text("SET lock_timeout = '2s'"))
        add_detection(writer, "2031-02-27 13:00:00Z")  # before the maker commits
        assert reader.scalar(text("SELECT count(*) FROM detections")) == 0


def test_days_inside_a_partition_that_somebody_else_made_are_left_alone(connection: Connection) -> None:
    connection.execute(
        text(
            "CREATE TABLE a_month PARTITION OF detections"
            " FOR VALUES FROM ('2031-02-01 00:00Z') TO ('2031-03-01 00:00Z')"
        )
    )

    made = ensure_partitions(connection, DAY, 3)

    assert [name for name in made if name.startswith("detections")] == ["detections_p20310301"]
