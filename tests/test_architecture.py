"""The house rules that a program can check; CONTRIBUTING.md lists them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("demeter_cli", "db", "pipeline")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
# Where this project was made there were other folders beside it; nothing may need them.
FOREIGN = ("../" + "shared", "/" + "work/")
OURS = (*PACKAGES, "tests", "tools", "configs", "seeds", "docs", "examples", "benchmarks", ".ci")


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file of the project, at its top and in its folders."""
    inside = (path for folder in OURS for path in (ROOT / folder).rglob("*"))
    for path in (*ROOT.glob("*"), ROOT / ".pre-commit-config.yaml", ROOT / ".dockerignore", *inside):
        if path.is_file() and path.suffix not in {".jpg", ".bin", ".pyc"}:
            yield path, path.read_text(encoding="utf-8", errors="replace")


def test_every_file_is_short_enough_to_be_read() -> None:
    lengths = {
        shown(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(*PACKAGES, "tests", "tools")
    }
    assert len(lengths) > 50
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_every_function_fits_a_screen() -> None:
    # A migration's only function lists columns: a revision is read once, from top to bottom.
    files = [path for path in sources(*PACKAGES, "tests", "tools") if "versions" not in path.parts]
    lengths = {
        f"{shown(path)}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in files
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef)
    }
    assert len(lengths) > 300
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


def test_there_is_one_broad_except_and_it_is_in_the_worker() -> None:
    broad = [shown(path) for path in sources(*PACKAGES) for node in ast.walk(parse(path)) if is_broad(node)]
    assert broad == ["pipeline/run.py"]


def is_broad(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException"))
        for kind in caught
    )


@pytest.mark.parametrize(
    "text",
    [
        "try: pass\nexcept: pass",
        "try: pass\nexcept Exception: pass",
        "try: pass\nexcept (OSError, Exception): pass",
    ],
)
def test_every_spelling_of_a_broad_except_is_recognised(text: str) -> None:
    assert [is_broad(node) for node in ast.walk(ast.parse(text))].count(True) == 1


def test_nothing_prints_but_the_output_module() -> None:
    calls = [
        f"{shown(path)}:{node.lineno}"
        for path in sources(*PACKAGES)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert calls == []


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        shown(path)
        for path in sources(*PACKAGES)
        for node in ast.walk(parse(path))
        if reads_environment(node)
    }
    assert readers == {"demeter_cli/settings.py", "demeter_cli/environment.py"}


def reads_environment(node: ast.AST) -> bool:
    names = ("environ", "environb", "getenv")
    match node:
        case ast.Attribute(value=ast.Name(id="os"), attr=attribute):
            return attribute in names
        case ast.ImportFrom(module="os"):
            return any(alias.name in names for alias in node.names)
    return False


def test_packages_start_with_an_empty_file() -> None:
    starts = [path for path in sources(*PACKAGES, "tests") if path.name == "__init__.py"]
    assert {path.parent.name for path in starts} >= set(PACKAGES)
    assert [shown(path) for path in starts if path.stat().st_size] == []


def test_no_file_has_a_name_that_refuses_to_say_what_is_inside() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "core", "misc", "base_service"}
    assert [shown(path) for path in sources(*PACKAGES, "tests", "tools") if path.stem in vague] == []


def test_tests_replace_nothing_of_our_own() -> None:
    found = []
    for path in sources("tests"):
        tree = parse(path)
        ours = {alias for node in ast.walk(tree) for alias in names_from_our_packages(node)}
        for node in ast.walk(tree):
            mocks = {"mock", "unittest.mock", "pytest_mock"} & set(imported_names(node))
            if mocks or replaces(node, ours):
                found.append(f"{shown(path)}:{getattr(node, 'lineno', 0)}")
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "from db import stock\nmonkeypatch.setattr(stock, 'settle', None)",
        "import pipeline.photo\nmonkeypatch.setattr(pipeline.photo.draw, 'save', None)",
        "monkeypatch.setattr('demeter_cli.site.open_database', None)",
    ],
)
def test_every_way_of_replacing_our_own_is_recognised(text: str) -> None:
    tree = ast.parse(text)
    ours = {alias for node in ast.walk(tree) for alias in names_from_our_packages(node)}
    assert [replaces(node, ours) for node in ast.walk(tree)].count(True) == 1


def imported_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield node.module or ""
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def names_from_our_packages(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        ours = [alias for alias in node.names if alias.name.partition(".")[0] in PACKAGES]
        yield from (alias.asname or alias.name.partition(".")[0] for alias in ours)
    elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PACKAGES:
        yield from (alias.asname or alias.name for alias in node.names)


def replaces(node: ast.AST, ours: set[str]) -> bool:
    """Whether this is `monkeypatch.setattr` on a module or object of ours."""
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="monkeypatch"), attr="setattr"), args=[target, *_]
        ):
            pass
        case _:
            return False
    if isinstance(target, ast.Constant):
        return str(target.value).partition(".")[0] in PACKAGES
    while isinstance(target, ast.Attribute):
        target = target.value
    return isinstance(target, ast.Name) and target.id in ours


def test_nothing_needs_a_folder_of_the_machine_where_it_was_made() -> None:
    found = [f"{shown(path)}: {word}" for path, text in texts() for word in FOREIGN if word in text]
    assert found == []


def test_nothing_is_left_to_be_done_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error")
    left = [
        f"{shown(path)}: {mark}"
        for path in sources(*PACKAGES, "tests", "tools")
        for mark in marks
        if mark in path.read_text(encoding="utf-8")
    ]
    assert left == []
