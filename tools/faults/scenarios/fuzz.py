"""Damaged files for everything that reads files, in a process of its own with little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from random import Random

from tools.faults.nursery import ROOT
from tools.faults.rules import demand, scenario
from tools.faults.site import Ground

SECONDS = 60


def _fuzzed(target: str, random: Random) -> str:
    seed = random.randrange(1_000_000)
    done = subprocess.run(
        [sys.executable, "-m", "tools.faults.fuzzing", target, str(seed), str(SECONDS)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    last = " | ".join(done.stderr.strip().splitlines()[-2:])
    case = done.stdout.strip().rpartition("\n")[2]
    demand(done.returncode == 0, f"seed {seed}, case {case}: exit {done.returncode}: {last}")
    return f"{json.loads(done.stderr.splitlines()[-1])['cases']:,} files"


@scenario("fuzz", times=3)
def damaged_photos(ground: Ground, random: Random) -> str:
    """JPEG, PNG, WebP, TIFF, HEIC and their EXIF: pixels of the size that was announced, or PhotoError."""
    return _fuzzed("decode", random)


@scenario("fuzz", times=2)
def damaged_tables(ground: Ground, random: Random) -> str:
    """CSV in four encodings, spreadsheets: rows, or UnreadableFile."""
    return _fuzzed("table", random)


@scenario("fuzz", times=1)
def damaged_maps(ground: Ground, random: Random) -> str:
    """GeoJSON: features, or UnreadableFile."""
    return _fuzzed("map", random)


@scenario("fuzz", times=1)
def odd_file_names(ground: Ground, random: Random) -> str:
    """Any bytes as a file name: the place that it spells, or none."""
    return _fuzzed("name", random)
