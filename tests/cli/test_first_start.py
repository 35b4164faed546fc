"""The first command makes tables and loads the demo nursery, also where another one was killed over it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from sqlalchemy import func, select

from db.embedded import embedded_server
from db.migrate import upgrade
from db.models.people import User
from db.models.places import StorageLocation
from demeter_cli.settings import Settings
from demeter_cli.site import open_database


def test_a_first_start_that_was_killed_before_the_seeds_is_taken_up(
    open_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It left tables without a nursery: no command could work, as there was no user to act as."""
    data = Path(tempfile.mkdtemp(dir=open_folder))
    data.chmod(0o755)
    with embedded_server(data, fsync=False) as server:
        upgrade(server.url)
        (data / "postgres.filling").touch()
        with open_database(Settings(data_dir=data)) as connection:
            for table in (User, StorageLocation):
                assert connection.scalar(select(func.count()).select_from(table))
        assert not (data / "postgres.filling").exists()
        assert "demo nursery" in capsys.readouterr().err
        with open_database(Settings(data_dir=data)):
            pass
    assert "demo nursery" not in capsys.readouterr().err
