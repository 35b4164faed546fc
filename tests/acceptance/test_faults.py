"""CI's share of the fault campaign (`make faults`): one staging each of what would hurt most."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import tools.faults.scenarios.listed  # noqa: F401  they put themselves on the list
from tools.faults.checks import Books, differences
from tools.faults.rules import SCENARIOS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/promises.md").read_text(encoding="utf-8")
ROW = ("N01-NORTE-C01.jpg", "completed", "N01-NORTE-C01", 40, 2, 38, 47, 40, 1, 42, 1)
CLEAN = Books((ROW,), 0, 0, (), (), ())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")
def test_nothing_is_lost_when_processes_the_database_and_files_fail(open_folder: Path) -> None:
    campaign = subprocess.run(
        [sys.executable, "-m", "tools.faults", "--quick", "--folder", str(open_folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert campaign.returncode == 0, campaign.stdout + campaign.stderr
    assert "4 stagings held, 0 scenarios broken" in campaign.stdout


def test_the_page_of_promises_names_only_what_there_is_and_every_scenario() -> None:
    named = set(re.findall(r"`([a-z0-9-]+-[a-z0-9-]+|interrupted|terminated|stopped|hangs)`", PAGE))
    assert named == {one.name for one in SCENARIOS}
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in re.findall(r"`(test_\w+)`", PAGE) if f"def {name}(" not in tests] == []


def test_a_clean_run_differs_in_nothing_from_itself() -> None:
    assert list(differences(CLEAN, CLEAN)) == []


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (replace(CLEAN, sessions=()), "N01-NORTE-C01.jpg is lost"),
        (replace(CLEAN, sessions=(ROW, ROW)), "a photo has two sessions"),
        (replace(CLEAN, sessions=((*ROW[:-2], 84, 2),)), "in a clean run"),
        (replace(CLEAN, sessions=(ROW, ("b.jpg", *ROW[1:]))), "b.jpg came from nowhere"),
        (replace(CLEAN, unfinished=1), "1 claims are stuck"),
        (replace(CLEAN, running=1), "still marked as running"),
        (replace(CLEAN, unsound=("batch A holds 1 but its movements sum to 2",)), "not sound"),
        (replace(CLEAN, lost=("original/a.jpg",)), "points to a file that is lost"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_broken_promise_is_noticed(found: Books, sentence: str) -> None:
    assert any(sentence in problem for problem in differences(found, CLEAN))
