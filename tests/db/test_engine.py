from __future__ import annotations

import socket
import threading
import time

import pytest
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import IntegrityError

from db.engine import connect, parse_address, require_version, server_version
from db.errors import DatabaseError, DatabaseUnavailable


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_the_scheme_is_understood(scheme: str) -> None:
    url = parse_address(f"{scheme}://ana:secret@db.example:5433/vivero")

    assert (url.drivername, url.host, url.port) == ("postgresql+psycopg", "db.example", 5433)
    assert (url.username, url.password, url.database) == ("ana", "secret", "vivero")


def test_a_connection_attempt_ends_after_ten_seconds_unless_the_address_says_otherwise() -> None:
    assert parse_address("postgresql://h/d").query["connect_timeout"] == "10"
    assert parse_address("postgresql://h/d?connect_timeout=3").query["connect_timeout"] == "3"


@pytest.mark.parametrize(
    "address", ["", "hunter2", "postgresql://ana:hunter2@host:port/d", "mysql://ana:hunter2@h/d"]
)
def test_an_address_that_makes_no_sense_is_refused_without_being_quoted(address: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="postgresql://user:password@host:5432/name") as caught:
        parse_address(address)

    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_down_gets_one_line_that_names_it_and_hides_the_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody answers
        port = taken.getsockname()[1]
        with (
            pytest.raises(DatabaseUnavailable) as caught,
            connect(f"postgres://ana:hunter2@127.0.0.1:{port}/vivero"),
        ):
            pytest.fail("connected to nothing")

    message = str(caught.value)
    assert f"database 'vivero' at 127.0.0.1, port {port}" in message
    assert "check that the server is running" in message
    assert "hunter2" not in message
    assert "\n" not in message


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        address = f"postgresql://ana@127.0.0.1:{silent.getsockname()[1]}/d?connect_timeout=2"
        with pytest.raises(DatabaseUnavailable), connect(address):
            pytest.fail("connected to silence")

    assert time.monotonic() - started < 8


def test_a_database_that_does_not_exist_is_named(database_url: str) -> None:
    with (
        pytest.raises(DatabaseUnavailable, match="'no_such_database'"),
        connect(make_url(database_url).set(database="no_such_database")),
    ):
        pytest.fail("connected to a database that does not exist")


def test_a_connection_speaks_utc_and_says_who_it_is(connection: Connection) -> None:
    assert connection.scalar(text("SHOW timezone")) == "UTC"
    assert connection.scalar(text("SHOW application_name")) == "demeter"


def test_a_connection_begins_outside_a_transaction(connection: Connection) -> None:
    assert not connection.in_transaction()


def test_a_session_ended_by_the_server_is_a_database_that_went_away(database_url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="went away"), connect(database_url) as connection:
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def test_a_session_ended_during_copy_is_a_database_that_went_away(database_url: str) -> None:
    with (
        connect(database_url) as other,
        pytest.raises(DatabaseUnavailable, match="went away"),
        connect(database_url) as connection,
    ):
        process = connection.scalar(text("SELECT pg_backend_pid()"))
        driver = connection.connection.driver_connection
        assert driver is not None
        with driver.cursor() as cursor, cursor.copy("COPY users (email) FROM STDIN") as copy:
            other.execute(text("SELECT pg_terminate_backend(:process)"), {"process": process})
            for _ in range(1000):
                copy.write("x" * 10_000)


def test_a_statement_that_takes_too_long_says_so(database_url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="took too long"), connect(database_url) as connection:
        connection.execute(text("SET statement_timeout = '50ms'"))
        connection.execute(text("SELECT pg_sleep(5)"))


def test_a_user_without_the_right_is_told_whose_address_to_give(database_url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="the user who owns"), connect(database_url) as connection:
        connection.execute(text("CREATE ROLE guest"))  # gone with the transaction
        connection.execute(text("SET LOCAL ROLE guest"))
        connection.execute(text("CREATE TABLE mine ()"))


def test_a_server_that_takes_no_writing_says_so(database_url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="takes no writing"), connect(database_url) as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        connection.execute(text("DELETE FROM users"))


def test_a_broken_rule_is_not_mistaken_for_a_server_in_trouble(database_url: str) -> None:
    with pytest.raises(IntegrityError, match="ck_users_email"), connect(database_url) as connection:
        connection.execute(text("INSERT INTO users (email, first_name, last_name) VALUES ('x', 'A', 'P')"))


def test_two_programs_in_each_others_way_are_told_to_run_again(database_url: str) -> None:
    def lock_both(first: str, second: str) -> None:
        with connect(database_url) as connection:
            connection.execute(text(f"LOCK TABLE {first}"))
            meet.wait(10)
            connection.execute(text(f"LOCK TABLE {second}"))

    def record(first: str, second: str) -> None:
        try:
            lock_both(first, second)
        except DatabaseUnavailable as error:
            failures.append(str(error))

    meet = threading.Barrier(2)
    failures: list[str] = []
    threads = [
        threading.Thread(target=record, args=order) for order in (("runs", "users"), ("users", "runs"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(failures) == 1
    assert "another program was writing the same rows; run again" in failures[0]


def test_a_server_older_than_15_is_refused() -> None:
    with pytest.raises(DatabaseError, match=r"PostgreSQL 14\.11 and Demeter needs 15"):
        require_version((14, 11))
    require_version((15, 0))


def test_the_server_says_its_version(connection: Connection) -> None:
    number = int(connection.execute(text("SHOW server_version_num")).scalar_one())

    assert server_version(connection) == (number // 10000, number % 10000)
