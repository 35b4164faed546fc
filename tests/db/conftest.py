"""Databases that tests share, folders for embedded servers, and commands that use them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from db.embedded import embedded_server
from db.engine import connect
from tests.conftest import _copied, _url_of
from tests.db.servers import new_folder


@pytest.fixture
def demo(demo_url: str) -> Iterator[Connection]:
    """A connection to the demo nursery."""
    with connect(demo_url) as connection:
        yield connection


@pytest.fixture(scope="module")
def module_url(server: str, demo_template: str) -> Iterator[str]:
    """One migrated and seeded database for each module, which its tests share."""
    with _copied(server, demo_template) as name:
        yield _url_of(server, name)


@pytest.fixture
def books(module_url: str) -> Iterator[Connection]:
    """The module's demo nursery, in a transaction that is rolled back after each test."""
    with connect(module_url) as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


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
