"""A night's folder through `demeter process`: photos a minute and the memory of all its processes.

    python benchmarks/a_folder.py [--photos 50 500] [--workers 1 2] [--megapixels 12] [--json]

Photos are the examples, enlarged; bytes after the end of each make copies that are files of their own. The
whole command is timed: embedded PostgreSQL, storing the originals, pictures, evidence, booking. Memory is
what the processes hold together, shared pages once (PSS), at most during the second and the last tenth of the
time: both alike means that it does not grow.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import show
from one_photo import EXAMPLE, enlarge

from pipeline.splits import tree_memory

EVERY = 0.25  # seconds between two looks at the memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="demeter-benchmark-", dir="/var/tmp") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        sources = enlarged(folder, arguments.megapixels)
        for photos in arguments.photos:
            for workers in arguments.workers:
                rows.append(processed(folder, sources, photos, workers))
                first = next(row for row in rows if row["photos"] == photos)
                rows[-1]["times the first"] = rows[-1]["photos a minute"] / first["photos a minute"]
    show(f"Folders of photos of {arguments.megapixels:g} megapixels", rows, arguments.json)


def enlarged(folder: Path, megapixels: float) -> list[bytes]:
    examples = sorted(EXAMPLE.parent.glob("N*.jpg"))
    return [enlarge(one, megapixels, folder / one.name).read_bytes() for one in examples]


def processed(folder: Path, sources: Sequence[bytes], photos: int, workers: int) -> dict[str, Any]:
    night, data = folder / "photos", folder / "data"
    for old in (night, data):
        shutil.rmtree(old, ignore_errors=True)
    night.mkdir()
    for number in range(photos):
        content = sources[number % len(sources)] + f"copy {number}".encode()
        (night / f"IMG_{number:04}.jpg").write_bytes(content)
    command = [sys.executable, "-m", "demeter_cli.main", "process", str(night), "--format", "json"]
    environment = os.environ | {"DEMETER_DATA_DIR": str(data), "DEMETER_GATE_REPEAT": "off"}
    started = time.perf_counter()
    with (folder / "out.json").open("w") as output:
        process = subprocess.Popen(
            [*command, "--workers", str(workers)], env=environment, stdout=output, stderr=subprocess.DEVNULL
        )
        held = watched(process)
    took = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"demeter process ended with status {process.returncode}")
    counted = len(json.loads((folder / "out.json").read_text())["photos"])
    tenth = max(1, len(held) // 10)
    return {
        "photos": photos,
        "workers": workers,
        "counted": counted,
        "photos a minute": 60 * counted / took,
        "MB, 2nd tenth": round(max(held[tenth : 2 * tenth]) / 1e6),
        "MB, last tenth": round(max(held[-tenth:]) / 1e6),
        "MB, most": round(max(held) / 1e6),
    }


def watched(process: subprocess.Popen[Any]) -> list[int]:
    """Bytes held by the process and all below it, until it ends, without the server of the database, whose
    memory is a setting."""
    held = []
    while process.poll() is None:
        held.append(tree_memory(process.pid, without="postgres"))
        time.sleep(EVERY)
    return held


if __name__ == "__main__":
    main()
