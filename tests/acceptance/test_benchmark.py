from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from demeter_cli.errors import SettingsError
from demeter_cli.settings_file import write_settings
from tests.acceptance.conftest import EXAMPLES, Site

PHOTO = EXAMPLES / "N01-NORTE-C02.jpg"


def test_the_fastest_split_is_marked_and_written(site: Site) -> None:
    settings = site.folder / "demeter.toml"
    settings.write_text('# ours\nworkers = 1\ntimezone = "UTC"\n')
    done = site.run(
        "--config", settings, "model", "benchmark", PHOTO, "--seconds", "1", "--write", "-f", "json"
    )
    assert done.code == 0, done.err
    rows = done.json
    (best,) = [row for row in rows if row["best"]]
    assert best["photos_per_minute"] >= 0.97 * max(row["photos_per_minute"] for row in rows)
    assert all(row["memory_mb"] > 100 for row in rows)
    written = tomllib.loads(settings.read_text())
    assert written == {"workers": best["workers"], "threads": best["threads"], "timezone": "UTC"}
    assert settings.read_text().startswith("# ours\n")


def test_a_photo_that_cannot_be_read_is_one_sentence(site: Site, tmp_path: Path) -> None:
    (tmp_path / "no.jpg").write_bytes(b"\xff\xd8 not a photo")
    done = site.run("model", "benchmark", tmp_path / "no.jpg", "--seconds", "1")
    assert done.code == 8
    assert len(done.err.strip().splitlines()) <= 2
    assert "no.jpg" in done.err


def test_settings_are_written_beside_what_people_wrote(tmp_path: Path) -> None:
    path = tmp_path / "demeter.toml"
    write_settings(path, {"workers": 2})
    assert path.read_text() == "workers = 2\n"
    path.write_text('# workers = 9 would be too many\n  threads=1  # old\nuser = "a@b.c"\n')
    write_settings(path, {"threads": 3, "precision": "int8"})
    assert path.read_text() == (
        '# workers = 9 would be too many\nthreads = 3\nuser = "a@b.c"\nprecision = "int8"\n'
    )
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_settings_file_that_cannot_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "demeter.toml"
    path.write_bytes(b"user = '\xff'\n")
    with pytest.raises(SettingsError, match="cannot be written"):
        write_settings(path, {"workers": 2})
    assert path.read_bytes() == b"user = '\xff'\n"
