"""A real PostgreSQL for every test that asks for one, and an environment without surprises.

`DEMETER_TEST_DATABASE_URL` names a server on which databases may be made; without it, an embedded server is
started for the session. Each test gets a database of its own, copied from one that was migrated once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from demeter_cli import language

# Busy machines are slow; a property that holds late still holds.
settings.register_profile("demeter", deadline=None)
settings.load_profile("demeter")

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Read before any test has its environment scrubbed.
_EXTERNAL_SERVER = os.environ.get("DEMETER_TEST_DATABASE_URL")
SEEDS = Path(__file__).parents[1] / "seeds"
_FOREIGN = ("DEMETER_", "XDG_", "PG")
_numbers = count(1)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of whoever runs the tests reaches them, and nothing of theirs reaches the home folder."""
    for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
        monkeypatch.delenv(name)
    for name in ("LC_ALL", "LC_MESSAGES", "LANGUAGE"):  # tests read English unless they ask for Spanish
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    language.use("en")  # a command in this process may have spoken Spanish
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder which also the system user that root's server runs as may enter; pytest's own are 0700."""
    folder = Path(tempfile.mkdtemp(prefix="demeter-test-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def server(open_folder: Path) -> Iterator[str]:
    """The URL of a database on a server where databases may be made."""
    if _EXTERNAL_SERVER:
        yield _EXTERNAL_SERVER
        return
    from db.embedded import embedded_server

    with embedded_server(open_folder / "session", fsync=False) as embedded:
        yield embedded.url


@pytest.fixture(scope="session")
def template_database(server: str) -> Iterator[str]:
    """The name of a migrated, empty database to copy. Nobody stays connected to it."""
    from db.migrate import upgrade

    name = f"demeter_test_{os.getpid()}_template"
    _execute(server, f'CREATE DATABASE "{name}"')
    try:
        upgrade(_url_of(server, name))
        yield name
    finally:
        _execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def demo_template(server: str, template_database: str) -> Iterator[str]:
    """The name of a database to copy that holds the base catalogue and the demo nursery."""
    from db.engine import connect
    from db.seeds import load_seeds

    with _copied(server, template_database) as name:
        with connect(_url_of(server, name)) as connection:
            load_seeds(connection, SEEDS)
            load_seeds(connection, SEEDS / "demo")
        yield name


@pytest.fixture
def database_url(server: str, template_database: str) -> Iterator[str]:
    """The URL of a migrated, empty database of this test's own."""
    with _copied(server, template_database) as name:
        yield _url_of(server, name)


@pytest.fixture
def demo_url(server: str, demo_template: str) -> Iterator[str]:
    """The URL of this test's own copy of the demo nursery."""
    with _copied(server, demo_template) as name:
        yield _url_of(server, name)


@contextmanager
def _copied(server: str, template: str) -> Iterator[str]:
    """The name of a new copy of a database, for as long as the context lasts."""
    name = f"demeter_test_{os.getpid()}_{next(_numbers)}"
    _execute(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    try:
        yield name
    finally:
        _execute(server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """The one connection that a command would have, to this test's own database."""
    from db.engine import connect

    with connect(database_url) as connection:
        yield connection


def _execute(url: str, statement: str) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    from db.engine import parse_address

    engine = create_engine(parse_address(url), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)


def _url_of(server: str, database: str) -> str:
    from sqlalchemy import make_url

    return make_url(server).set(database=database).render_as_string(hide_password=False)
