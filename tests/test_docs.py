"""What is written about Demeter is what Demeter does."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from demeter_cli.errors import ExitCode

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")]


def recipe(target: str) -> list[str]:
    """The lines that make would run for a target, without variables."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert found is not None, f"the Makefile has no target {target}"
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in found[1].splitlines()]


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_runs_exactly_the_line_in_the_readme(target: str) -> None:
    [line] = recipe(target)
    assert README.splitlines().count(line) == 1


def test_ci_finds_both_lines_in_the_readme_and_each_only_once() -> None:
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv ")]
    assert sorted(line.rpartition("&& ")[2] for line in lines) == [
        ".venv/bin/demeter process examples",
        ".venv/bin/python -m pytest -n 2 --dist loadfile",
    ]


def test_ci_runs_the_checks_of_the_makefile() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert [line for line in recipe("check") if line not in script] == []


def test_every_target_of_the_makefile_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):(.*)$", makefile, re.MULTILINE)
    assert [name for name, rest in targets if "  ## " not in rest] == []


def test_the_page_of_exit_codes_lists_every_code_and_no_other() -> None:
    page = (ROOT / "docs/exit-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.MULTILINE)
    assert [(int(code), name) for code, name in rows] == [(code.value, code.name) for code in ExitCode]


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "tools/make_cli_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "40"},
    )
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_named_in_pages_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:demeter_cli|db|pipeline|tests|tools|configs|seeds|docs)/[\w./-]+)`", page.read_text()
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_example_photo_is_listed_with_its_true_count() -> None:
    listed = re.findall(
        r"^\| `([^`]+)` \| \d+ \| .+ \| \d+ \|$", (ROOT / "examples/README.md").read_text(), re.MULTILINE
    )
    photos = [path.relative_to(ROOT / "examples").as_posix() for path in (ROOT / "examples").rglob("*.jpg")]
    assert sorted(listed) == sorted(photos)
    assert 6 <= len(photos) <= 8
    assert sum((ROOT / "examples" / photo).stat().st_size for photo in photos) <= 8_000_000


def test_the_changelog_tells_of_the_version_that_the_program_has() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    assert version is not None
    assert f"## [{version[1]}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in ROOT.glob("docs/**/*.md")]
    assert [page for page in pages if page != "README.md" and f"({page})" not in index] == []


def test_every_message_of_the_troubleshooting_page_is_one_that_the_program_can_say() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(quoted) > 25
    said = said_by_the_program()
    unknown = [text for text in quoted if not all(part.strip() in said for part in text.split("…"))]
    assert unknown == []


def said_by_the_program() -> str:
    """Every text in the sources, with adjacent literals joined as Python joins them."""
    texts = []
    for folder in ("demeter_cli", "db", "pipeline"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
                elif isinstance(node, ast.JoinedStr):
                    parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
                    texts.append(" … ".join(map(str, parts)))
    return "\n".join(texts)


def test_every_command_has_a_man_page_that_man_shows_without_complaint(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "tools/make_man_pages.py", tmp_path], check=True)
    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert len(written) > 90
    death = written["demeter-stock-death.1"]
    assert "Book plants that died" in death
    assert 'demeter stock death N01\\-NORTE\\-C01 12 \\-\\-reason "rot after the storm"' in death
    heads = (".SH NAME", ".SH SYNOPSIS", ".SH SEE ALSO")
    assert [name for name, text in written.items() if not all(head in text for head in heads)] == []
    if shutil.which("groff"):
        files = sorted(map(str, tmp_path.iterdir()))
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-z", *files], capture_output=True, check=True
        )
        assert done.stderr == b""
