from __future__ import annotations

import os
import signal
import stat
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from db.embedded import embedded_server
from db.embedded_host import binaries, can_run, server_account
from tests.db.servers import COMMAND, address, ask, kill_server, leave, postmaster, session, stopped_cleanly


def test_the_server_is_private_checksummed_and_the_same_everywhere(data_dir: Path) -> None:
    with embedded_server(data_dir, fsync=False) as server:
        settings = {
            name: ask(server.url, f"SHOW {name}")
            for name in ("listen_addresses", "data_checksums", "timezone", "server_encoding")
        }
        assert settings == {
            "listen_addresses": "",
            "data_checksums": "on",
            "timezone": "UTC",
            "server_encoding": "UTF8",
        }
        assert ask(server.url, "SELECT datlocale FROM pg_database WHERE datname = 'demeter'") == "C.UTF-8"
        assert ask(server.url, "SELECT upper('ñandú')") == "ÑANDÚ"
        assert ask(server.url, "SHOW server_version").startswith("18.")
        assert server.created
        socket_folder = Path(make_url(server.url).query["host"])
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((data_dir / "log" / "postgres.log").stat().st_mode) == 0o600


def test_two_commands_share_one_server_and_the_last_one_out_stops_it(used_dir: Path, run) -> None:
    first, second = run(COMMAND, used_dir), run(COMMAND, used_dir)
    assert address(first) == address(second)
    server = postmaster(used_dir)
    leave(first)
    assert postmaster(used_dir) == server
    leave(second)
    assert stopped_cleanly(used_dir)


def test_nested_uses_in_one_process_share_the_server(used_dir: Path) -> None:
    with embedded_server(used_dir, fsync=False) as outer:
        with embedded_server(used_dir, fsync=False):
            pass
        assert ask(outer.url, "SELECT 1") == 1
    assert stopped_cleanly(used_dir)


def test_a_killed_command_does_not_keep_the_server_up(used_dir: Path, run) -> None:
    killed, other = run(COMMAND, used_dir), run(COMMAND, used_dir)
    address(killed), address(other)
    killed.kill()
    killed.wait()
    leave(other)
    assert stopped_cleanly(used_dir)


def test_a_server_that_a_killed_command_left_running_is_found_and_stopped(used_dir: Path, run) -> None:
    killed = run(COMMAND, used_dir)
    address(killed)
    left = postmaster(used_dir)
    killed.kill()
    killed.wait()
    with embedded_server(used_dir, fsync=False) as server:
        assert not server.created
        assert postmaster(used_dir) == left
        assert ask(server.url, "SELECT 1") == 1
    assert stopped_cleanly(used_dir)


def test_four_first_commands_at_once_make_one_cluster(data_dir: Path, run) -> None:
    commands = [run(COMMAND, data_dir) for _ in range(4)]
    words = [command.stdout.readline().split() for command in commands]
    assert sorted(word[1] for word in words) == ["False", "False", "False", "True"]
    assert len({word[0] for word in words}) == 1
    for command in commands:
        leave(command)
    assert stopped_cleanly(data_dir)


def test_commands_that_come_and_go_at_once_never_meet_a_stopping_server(used_dir: Path, run) -> None:
    come_and_go = """
import sys
from contextlib import suppress
from pathlib import Path
import psycopg
from sqlalchemy import make_url
from db.embedded import embedded_server

for _ in range(6):
    with embedded_server(Path(sys.argv[1]), fsync=False) as server:
        where = make_url(server.url).query["host"]
        with psycopg.connect(host=where, port=5432, user="demeter", dbname="demeter") as connection:
            connection.execute("SELECT 1")
"""
    for command in [run(come_and_go, used_dir) for _ in range(3)]:
        leave(command)
    assert stopped_cleanly(used_dir)


def test_a_power_cut_loses_nothing_that_was_committed(data_dir: Path) -> None:
    with embedded_server(data_dir) as server:
        with session(server.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
        kill_server(data_dir, server.url)
    with embedded_server(data_dir) as server:
        assert ask(server.url, "SHOW fsync") == "on"
        assert ask(server.url, "SELECT sum(n) FROM kept") == 500500
    assert "automatic recovery in progress" in (data_dir / "log" / "postgres.log").read_text()
    assert stopped_cleanly(data_dir)


def test_a_dead_server_whose_number_now_belongs_to_another_process_is_recovered(used_dir: Path) -> None:
    with embedded_server(used_dir, fsync=False) as server:
        kill_server(used_dir, server.url)
    account = server_account()
    with subprocess.Popen(["sleep", "60"], user=account.user, group=account.group) as innocent:
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            left = used_dir / "postgres" / name
            left.write_text("\n".join([str(innocent.pid), *left.read_text().splitlines()[1:]]) + "\n")
        with embedded_server(used_dir, fsync=False) as server:
            assert ask(server.url, "SELECT 1") == 1
        assert innocent.poll() is None
        innocent.kill()


def test_a_start_waits_for_what_is_left_of_a_killed_server_and_says_so(used_dir: Path) -> None:
    said: list[str] = []
    with embedded_server(used_dir, fsync=False) as server, session(server.url) as connection:
        straggler = connection.execute("SELECT pg_backend_pid()").fetchone()[0]
        os.kill(straggler, signal.SIGSTOP)
        os.kill(postmaster(used_dir), signal.SIGKILL)
        threading.Timer(2.5, os.kill, (straggler, signal.SIGCONT)).start()
        begun = time.monotonic()
        with embedded_server(used_dir, fsync=False, notify=said.append) as again:
            assert time.monotonic() - begun >= 2.5
            assert ask(again.url, "SELECT 1") == 1
    assert len(said) == 1
    assert said[0].startswith(f"Another command is starting PostgreSQL in {used_dir}/postgres")


def test_a_server_that_restarts_after_a_crash_of_its_own_is_let_and_then_stopped(used_dir: Path) -> None:
    with (
        embedded_server(used_dir) as server,
        suppress(psycopg.OperationalError),
        session(server.url) as connection,
    ):
        os.kill(connection.execute("SELECT pg_backend_pid()").fetchone()[0], signal.SIGKILL)
        connection.execute("SELECT 1")
    assert stopped_cleanly(used_dir)
    log = (used_dir / "log" / "postgres.log").read_text()
    assert "terminated by signal 9" in log
    assert log.rstrip().endswith("database system is shut down")


def test_a_server_that_does_not_stop_is_made_to_and_loses_nothing(used_dir: Path) -> None:
    with embedded_server(used_dir, longest_stop=0.3) as server, session(server.url) as connection:
        connection.execute("CREATE TABLE stays AS SELECT 1 AS n")
        query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
        os.kill(connection.execute(query).fetchone()[0], signal.SIGSTOP)  # a stop waits for its last word
    with embedded_server(used_dir, fsync=False) as server:
        assert ask(server.url, "SELECT n FROM stays") == 1
    assert stopped_cleanly(used_dir)


def test_ctrl_c_in_the_command_that_started_the_server_leaves_it_to_the_others(used_dir: Path, run) -> None:
    first = run(COMMAND, used_dir, start_new_session=True)
    address(first)
    with embedded_server(used_dir, fsync=False) as server:
        os.killpg(first.pid, signal.SIGINT)
        first.wait()
        assert ask(server.url, "SELECT 1") == 1
    assert stopped_cleanly(used_dir)


def test_a_forked_child_that_unwinds_does_not_stop_its_parents_server(used_dir: Path, run) -> None:
    forking = """
import os, sys
from contextlib import suppress
from pathlib import Path
from db.embedded import embedded_server

with embedded_server(Path(sys.argv[1]), fsync=False):
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)
    print((Path(sys.argv[1]) / "postgres" / "postmaster.pid").exists())
"""
    process = run(forking, used_dir)
    output, _ = process.communicate(timeout=60)
    assert output == "True\n"
    assert stopped_cleanly(used_dir)


def test_a_first_start_that_is_killed_leaves_no_half_made_cluster(data_dir: Path, run) -> None:
    command = run(COMMAND, data_dir)
    while not (data_dir / "postgres.new" / "base").exists():
        assert command.poll() is None, command.stderr.read()
        time.sleep(0.005)
    command.kill()
    command.wait()
    assert not (data_dir / "postgres").exists()
    with embedded_server(data_dir, fsync=False) as server:
        assert server.created
        assert ask(server.url, "SELECT 1") == 1
    assert not (data_dir / "postgres.new").exists()


@pytest.mark.parametrize(
    "name",
    [
        "señal 100% 'a' \"b\" @:#?&=\\",
        "a,comma",
        "deep/" + "x" * 120,
        os.fsdecode(b"latin-\xf1"),
    ],
    ids=["odd characters", "comma", "too long for a socket", "not UTF-8"],
)
def test_any_path_can_hold_the_data(data_dir: Path, name: str) -> None:
    if not name.isascii() and not can_run(server_account(), binaries()):
        pytest.skip("Demeter is installed where the server's user cannot read: a copy has to bear this name")
    with embedded_server(data_dir / name, fsync=False) as server:
        assert ask(server.url, "SELECT current_database()") == "demeter"
        socket_folder = Path(make_url(server.url).query["host"])
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
        assert socket_folder.stat().st_uid == server_account().uid
    assert stopped_cleanly(data_dir / name)
    assert socket_folder == data_dir / name / "postgres" or not socket_folder.exists()
