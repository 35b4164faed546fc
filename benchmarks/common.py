"""What all benchmarks share: rounds in turn, medians, ratios, and which machine it was.

Ways are timed in turn, round after round, so that a machine that others use slows all of them alike; a ratio
is the median of the ratios of single rounds.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("openvino", "sahi", "ultralytics", "torch", "onnxruntime", "psycopg", "sqlalchemy")


def machine() -> str:
    """The processor, its cores, and the versions of what is compared."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    units = [name for name in ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16") if name in flags]
    versions = ", ".join(f"{name} {version}" for name in PACKAGES if (version := _version(name)))
    cores = f"{model or platform.machine()}, {os.cpu_count()} cores ({' '.join(units)})"
    return f"{cores}; Python {platform.python_version()}; {versions}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@dataclass
class Timings:
    """Seconds of each way in each round; ours is the first."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def median(self, way: str) -> float:
        return statistics.median(self.seconds[way])

    def ratio(self, way: str, ours: str) -> float:
        """How many times as long `way` takes as ours."""
        pairs = zip(self.seconds[way], self.seconds[ours], strict=True)
        return statistics.median(theirs / our for theirs, our in pairs)


def in_turn(ways: Mapping[str, Callable[[], Any]], rounds: int, warm_up: bool = True) -> Timings:
    """Time each way once a round, in an order that rotates."""
    names, timings = list(ways), Timings()
    if warm_up:
        for way in ways.values():
            way()
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started = time.perf_counter()
            ways[name]()
            timings.seconds.setdefault(name, []).append(time.perf_counter() - started)
    return timings


def show(title: str, rows: Sequence[Mapping[str, Any]], as_json: bool, **more: Any) -> None:
    """Print rows as an aligned table, or everything as JSON."""
    if as_json:
        print(json.dumps({"title": title, "machine": machine(), **more, "rows": list(rows)}, indent=2))
        return
    print(title, machine(), *(f"{name}: {value}" for name, value in more.items()), sep="\n")
    if not rows:
        return
    cells = [[_shown(row.get(name)) for name in rows[0]] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(rows[0])]
    for line in ([*rows[0]], *cells):
        first, *others = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join([first, *others]))


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
