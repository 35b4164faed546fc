"""What is installed fits the licence, and its list is one that others can read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.audit_dependencies import FITTING, misfits, needed, sbom

TOOL = Path(__file__).parents[1] / "tools/audit_dependencies.py"


def test_every_package_that_comes_along_may_be_part_of_this_work() -> None:
    packages = needed("demeter", frozenset())
    assert {"demeter", "numpy", "psycopg", "markupsafe"} <= packages.keys()
    assert "torch" not in packages
    assert "pytest" not in packages
    assert list(misfits(packages)) == []


@pytest.mark.parametrize(
    "licence", ["MIT", "BSD-3-Clause", "Apache Software License", "LGPL-3.0-only", "MPL-2.0"]
)
def test_a_licence_that_fits_is_known(licence: str) -> None:
    assert FITTING.search(licence)


@pytest.mark.parametrize("licence", ["", "Proprietary", "SSPL-1.0", "Commercial", "GPL-2.0-only", "BUSL-1.1"])
def test_a_licence_that_does_not_fit_is_looked_at(licence: str) -> None:
    assert not FITTING.search(licence)


def test_the_list_of_parts_names_each_with_its_version(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, TOOL, "--offline", "--sbom", tmp_path / "parts.json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    parts = json.loads((tmp_path / "parts.json").read_text(encoding="utf-8"))
    assert parts == sbom(needed("demeter", frozenset()))
    assert all(part["purl"].endswith(part["version"]) for part in parts["components"])
