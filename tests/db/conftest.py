from __future__ import annotations

import pytest
from nursery import Nursery, build_nursery
from sqlalchemy import Connection


@pytest.fixture
def nursery(connection: Connection) -> Nursery:
    return build_nursery(connection)
