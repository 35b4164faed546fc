"""Seconds and memory to merge what tiles saw twice: ours, every backend of SAHI, and torchvision.

    python benchmarks/merge_boxes.py [--boxes 1000 10000 33000] [--slow 120] [--json]

Every plant is in the boxes two to four times, as tiles overlap; "crowded" plants overlap their neighbours,
"sparse" ones do not. Each way runs in a process of its own; memory is the peak above that of the same
process before it merges. One way is given up for larger inputs once it took more than `--slow` seconds.
`order` says whether the answer is the same for shuffled input. Needs torchvision and numba for their ways.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import show
from numpy.typing import NDArray

from pipeline.boxes import drop_duplicates
from pipeline.types import Detections

OURS = "demeter, cut-aware"
SIDE = 30.0  # pixels, of a plant
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--boxes", type=int, nargs="+", default=[1000, 10_000, 33_000, 100_000])
    parser.add_argument("--slow", type=float, default=120.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=3, metavar=("WAY", "BOXES", "SCENE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        way, boxes, scene = arguments.one
        print(json.dumps(measured(way, int(boxes), scene)))
        return
    rows: list[dict[str, Any]] = []
    given_up: set[str] = set()
    for scene in ("sparse", "crowded"):
        for boxes in arguments.boxes:
            rows += compared(boxes, scene, given_up, arguments.slow)
    show(f"Merging boxes, medians of {ROUNDS} rounds", rows, arguments.json)


def compared(boxes: int, scene: str, given_up: set[str], slow: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for way in WAYS:
        found = None if way in given_up else in_a_process(way, boxes, scene, slow)
        if found is None:
            given_up.add(way)
        ours = rows[0] if rows else found
        rows.append(
            {
                "scene": scene,
                "boxes": boxes,
                "way": way,
                "kept": found and found["kept"],
                "seconds": found and found["seconds"],
                "times ours": found and ours and found["seconds"] / ours["seconds"],
                "MB": found and found["mb"],
                "order": found and ("same" if found["same"] else "differs"),
            }
        )
    return rows


def in_a_process(way: str, boxes: int, scene: str, slow: float) -> dict[str, Any] | None:
    command = [sys.executable, __file__, "--one", way, str(boxes), scene]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=slow * (ROUNDS + 2), check=False
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        sys.stderr.write(f"{way}: {done.stderr.strip().splitlines()[-1]}\n")
        return None
    found: dict[str, Any] = json.loads(done.stdout)
    return found if found["seconds"] <= slow else None


def measured(way: str, boxes: int, scene: str) -> dict[str, Any]:
    merge, found = WAYS[way](), crowd(boxes, scene)
    merge(crowd(50, scene))  # compiles, imports
    before, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        kept = merge(found)
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shuffled = merge(found.take(np.random.default_rng(1).permutation(len(found))))
    return {
        "kept": len(kept),
        "seconds": sorted(seconds)[ROUNDS // 2],
        "mb": (peak - before) / 1024,
        "same": sorted(map(tuple, kept.tolist())) == sorted(map(tuple, shuffled.tolist())),
    }


def crowd(boxes: int, scene: str) -> Detections:
    """Plants on a jittered grid, each seen by two to four tiles, some of them cut."""
    random = np.random.default_rng(boxes)
    plants = max(1, boxes // 3)
    pitch = SIDE * (0.75 if scene == "crowded" else 2.5)
    columns = int(np.ceil(plants**0.5))
    at = np.stack([np.arange(plants) % columns, np.arange(plants) // columns], axis=1) * pitch
    at = at + random.normal(0, pitch * 0.1, at.shape)
    who = np.concatenate([np.arange(plants), random.integers(0, plants, boxes - plants)])
    middle = at[who] + random.normal(0, 1.0, (boxes, 2))
    half = SIDE / 2 * random.uniform(0.8, 1.2, (plants, 1))[who]
    scores = np.round(random.uniform(0.3, 1.0, boxes), 2).astype(np.float32)  # as of a network: with ties
    return Detections(
        np.concatenate([middle - half, middle + half], axis=1).astype(np.float32),
        scores,
        np.zeros(boxes, np.int16),
        random.random(boxes) < 0.1,
    )


Boxes = NDArray[np.float32]
Merge = Callable[[Detections], Boxes]


def ours() -> Merge:
    return lambda found: drop_duplicates(found, 0.5, 0.5).boxes


def sahi(backend: str, kind: str, metric: str) -> Callable[[], Merge]:
    """SAHI's function under its own class, on the arrays that the class makes of predictions."""

    def make() -> Merge:
        from sahi.postprocess import combine
        from sahi.postprocess.backends import set_postprocess_backend

        set_postprocess_backend(backend)
        function = getattr(combine, kind)

        def merge(found: Detections) -> Boxes:
            rows = np.column_stack([found.boxes, found.scores, found.classes]).astype(np.float32)
            kept = function(rows, match_metric=metric, match_threshold=0.5)
            return found.boxes[np.fromiter(kept, np.intp)]

        return merge

    return make


def torchvision() -> Merge:
    import torch
    from torchvision.ops import nms

    return lambda found: found.boxes[
        nms(torch.from_numpy(found.boxes), torch.from_numpy(found.scores), 0.5).numpy()
    ]


WAYS: dict[str, Callable[[], Merge]] = {
    OURS: ours,
    **{f"SAHI nms, {name}": sahi(name, "nms", "IOU") for name in ("numpy", "numba", "torchvision")},
    **{f"SAHI greedy_nmm, {name}": sahi(name, "greedy_nmm", "IOS") for name in ("numpy", "numba")},
    **{f"SAHI nmm, {name}": sahi(name, "nmm", "IOS") for name in ("numpy", "numba")},
    "torchvision nms": torchvision,
}


if __name__ == "__main__":
    main()
