"""One seeded database for each module, which its tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from db.engine import connect


@pytest.fixture
def books(module_url: str) -> Iterator[Connection]:
    """A connection to the module's nursery; what a test commits, the next one finds."""
    with connect(module_url) as connection:
        yield connection
