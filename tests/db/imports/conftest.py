"""One migrated and seeded database for each module; each test works in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from db.engine import connect
from tests.conftest import _copied, _url_of


@pytest.fixture(scope="module")
def module_url(server: str, demo_template: str) -> Iterator[str]:
    with _copied(server, demo_template) as name:
        yield _url_of(server, name)


@pytest.fixture
def books(module_url: str) -> Iterator[Connection]:
    """The demo nursery, as it was before whatever other tests did to it."""
    with connect(module_url) as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()
