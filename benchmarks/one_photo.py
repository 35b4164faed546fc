"""One photo from shell to answer: seconds, peak memory, and the share of each stage.

    python benchmarks/one_photo.py [PHOTO] [--megapixels 12] [--runs 5] [--json]

The photo (default: an example) is enlarged to the size asked for. Medians over the runs after one warm-up,
which also compiles the networks.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

EXAMPLE = Path(__file__).parents[1] / "examples" / "N01-NORTE-C03.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photo", type=Path, nargs="?", default=EXAMPLE)
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photo = enlarge(arguments.photo, arguments.megapixels, Path(folder) / "photo.jpg")
        count(photo)
        runs = [count(photo) for _ in range(arguments.runs)]
    report = summarise(runs)
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['machine']}; {report['width']}×{report['height']} pixels, {report['plants']} plants")
    print(f"whole process  {report['wall']:6.2f} s   peak memory {report['peak_mb']:.0f} MB")
    print(f"the photo      {report['seconds']:6.2f} s")
    for stage, seconds in report["stages"].items():
        print(f"  {stage:12} {seconds:6.2f} s  {seconds / report['seconds']:4.0%}")


def enlarge(source: Path, megapixels: float, target: Path) -> Path:
    with Image.open(source) as opened:
        photo = ImageOps.exif_transpose(opened)
        factor = (megapixels * 1e6 / (photo.width * photo.height)) ** 0.5
        size = (round(photo.width * factor), round(photo.height * factor))
        photo.resize(size, Image.Resampling.LANCZOS).save(target, quality=92)
    return target


def count(photo: Path) -> dict[str, Any]:
    """One call of the command, with the seconds and the peak memory of its process (`wait4`)."""
    command = [sys.executable, "-m", "demeter_cli.main", "count", str(photo), "--format", "json"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if status:
        raise SystemExit(f"demeter count failed with status {status}")
    scale = 1024 if sys.platform == "linux" else 1  # ru_maxrss is in KiB on Linux, in bytes on macOS
    return {**json.loads(output)[0], "wall": wall, "peak_mb": usage.ru_maxrss * scale / 1e6}


def summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    def median(values: list[float]) -> float:
        return round(statistics.median(values), 3)

    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "width": runs[0]["width"],
        "height": runs[0]["height"],
        "plants": runs[0]["total"],
        "wall": median([run["wall"] for run in runs]),
        "peak_mb": median([run["peak_mb"] for run in runs]),
        "seconds": median([run["seconds"] for run in runs]),
        "stages": {name: median([run["stages"][name] for run in runs]) for name in runs[0]["stages"]},
    }


if __name__ == "__main__":
    main()
