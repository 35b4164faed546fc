"""Run the real command in a real process, on a site of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Site:
    """An environment for commands: settings by variables, a folder for photos."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"COLUMNS": "100", "NO_COLOR": "1"} | self.settings

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "demeter_cli.main", *map(str, arguments)],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str | Path, timeout: float = 240) -> Finished:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=timeout)
        return Finished(process.returncode, out, err)

    def but(self, **settings: str) -> Site:
        return Site(self.folder, self.settings | settings)


def black(site: Site, name: str) -> Path:
    """A photo taken with the lens covered."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(7).integers(0, 9, (500, 600, 3)).astype(np.uint8)
    Image.fromarray(noise).save(site.folder / name)
    return site.folder / name


@pytest.fixture
def site(tmp_path: Path, demo_url: str, compiled: Path) -> Site:
    """The demo nursery in a database that the settings name."""
    settings = {
        "DEMETER_DATABASE_URL": demo_url,
        "DEMETER_DATA_DIR": str(tmp_path / "data"),
        "XDG_CACHE_HOME": str(compiled),
    }
    photos = tmp_path / "photos"
    photos.mkdir()
    return Site(photos, settings | {"HOME": str(tmp_path / "home")})


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of compiled networks that the commands of one session share, as on a real machine."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """Six small photos with plants in them, quick to count and all different."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("crops")
    made = []
    for number, name in enumerate(("N01-NORTE-C01", "N01-NORTE-C02", "N02-NORTE-C01")):
        with Image.open(EXAMPLES / f"{name}.jpg") as photo:
            for half in range(2):
                left = 100 + 700 * half
                path = folder / f"crop-{number}-{half}.jpg"
                photo.crop((left, 500, left + 600, 1000)).save(path, quality=92)
                made.append(path)
    yield made
