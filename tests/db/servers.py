"""Embedded servers to try things on: commands that use one, and ways to look at it and to kill it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from db.embedded import embedded_server
from db.errors import EmbeddedServerError

# A command: says where its server is, and leaves when it is told to.
COMMAND = """
import sys
from pathlib import Path
from db.embedded import embedded_server

with embedded_server(Path(sys.argv[1]), fsync=False) as server:
    print(server.url, server.created, flush=True)
    sys.stdin.readline()
"""


def new_folder(parent: Path) -> Path:
    folder = Path(tempfile.mkdtemp(dir=parent))
    folder.chmod(0o755)
    return folder


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
