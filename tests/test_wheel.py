"""The wheel is whole: it runs from any folder, without the checkout that it was built from."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = "demeter_cli/shipped/"
# What a build needs; the copy keeps a build out of the tree, and caches out of the wheel.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "demeter_cli", "db", "pipeline", "configs", "seeds")
EXTRA = ("examples", "tests", "tools", "docs")

LOCATE = """
import json
from demeter_cli.settings import shipped
import db.migrate, demeter_cli
from pipeline.weights import load_card
print(json.dumps({
    "code": demeter_cli.__file__,
    "settings": str(shipped("configs/demeter.toml")),
    "seeds": sorted(path.name for path in shipped("seeds").iterdir()),
    "demo": len(list(shipped("seeds/demo").iterdir())),
    "models": [load_card(shipped(f"configs/models/{name}.json")).label for name in ("containers", "plant")],
    "schema": db.migrate.head(),
}))
"""


def run(*arguments: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        arguments,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    sources.mkdir()
    for name in (*SOURCES, *EXTRA):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, sources)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ".", cwd=sources)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """A folder with nothing of ours but what the wheel holds."""
    folder = wheel.parent / "installed"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--no-deps", "--no-index", "--target", folder, wheel, cwd=wheel.parent)
    return folder


def test_the_wheel_carries_code_configuration_seeds_and_models_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for source, target in (("configs", "configs/"), ("seeds", "seeds/")):
        wanted = {
            SHIPPED + target + path.relative_to(ROOT / source).as_posix()
            for path in (ROOT / source).rglob("*")
            if path.is_file()
        }
        assert wanted <= set(names)
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"demeter_cli", "db", "pipeline"}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert any(re.fullmatch(r"db/migrations/versions/r\d{4}_\w+\.py", name) for name in names)
    assert "db/migrations/script.py.mako" in names
    assert "demeter_cli/locale/es_AR/LC_MESSAGES/demeter.mo" in names


def test_the_models_together_are_small_enough_to_ship(wheel: Path) -> None:
    models = [each for each in zipfile.ZipFile(wheel).infolist() if "/configs/models/" in each.filename]
    assert models
    assert sum(each.file_size for each in models) <= 15_000_000


def test_installed_it_finds_all_that_it_carries_from_any_folder(installed: Path, tmp_path: Path) -> None:
    found = json.loads(run(sys.executable, "-c", LOCATE, cwd=tmp_path, PYTHONPATH=str(installed)))
    assert found["code"] == str(installed / "demeter_cli/__init__.py")
    assert found["settings"] == str(installed / SHIPPED / "configs/demeter.toml")
    assert found["seeds"] == sorted(path.name for path in (ROOT / "seeds").iterdir())
    assert found["demo"] == len(list((ROOT / "seeds/demo").iterdir()))
    assert {label.partition("-")[0] for label in found["models"]} >= {"plant", "containers"}
    assert re.fullmatch(r"\d{4}", found["schema"])


def test_installed_its_command_knows_its_version(installed: Path, tmp_path: Path) -> None:
    said = run(
        sys.executable, installed / "bin/demeter", "--version", cwd=tmp_path, PYTHONPATH=str(installed)
    )
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    assert version is not None
    assert said == f"demeter {version[1]}\n"
