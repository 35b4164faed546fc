"""How long a command takes until it answers: whole processes, and the time to import what they load.

    python benchmarks/start_up.py [--rounds 9] [--modules 12] [--json]

On the demo nursery, with embedded PostgreSQL: what `report stock` takes includes starting and stopping it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from common import in_turn, show
from one_photo import EXAMPLE

COMMANDS = {
    "python -c pass": None,
    "demeter --help": ["--help"],
    "demeter report stock": ["report", "stock"],
    "demeter count, one photo": ["count", str(EXAMPLE)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--modules", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="demeter-benchmark-", dir="/var/tmp") as temporary:
        Path(temporary).chmod(0o755)
        environment = os.environ | {"DEMETER_DATA_DIR": temporary}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled
        run(["process", str(EXAMPLE)], environment)
        timings = in_turn(
            {name: lambda words=words: run(words, environment) for name, words in COMMANDS.items()},
            arguments.rounds,
        )
        imports = slowest_imports(environment, arguments.modules)
    rows = [{"command": name, "seconds": timings.median(name)} for name in COMMANDS]
    show(f"Whole processes, medians of {arguments.rounds} rounds", rows, arguments.json, imports=imports)


def run(words: list[str] | None, environment: dict[str, str]) -> str:
    command = ["-c", "pass"] if words is None else ["-m", "demeter_cli.main", *words]
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr}")
    return done.stderr


def slowest_imports(environment: dict[str, str], most: int) -> str:
    """Milliseconds that `report stock` spends on each package itself, not on what it imports in turn."""
    told = run(["report", "stock"], environment | {"PYTHONPROFILEIMPORTTIME": "1"})
    spent: dict[str, float] = {}
    for micro, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", told):
        package = name.split(".")[0]
        spent[package] = spent.get(package, 0.0) + int(micro) / 1e3
    ranked = sorted(spent.items(), key=lambda item: -item[1])[:most]
    return ", ".join(f"{name} {ms:.0f} ms" for name, ms in ranked)


if __name__ == "__main__":
    main()
