"""Milliseconds per tile of 512 × 512 pixels: our engine, ultralytics and ONNX Runtime, with the same weights.

    python benchmarks/tile_engine.py [PHOTO] [--rounds 9] [--precision bf16] [--json]

Every way starts from the same pixels and ends with boxes: ours with all of them (they are merged later, for
the whole photo), ultralytics with its own suppression. `f32` is ours without bfloat16. Needs the extra
`ultralytics`, and onnx and onnxruntime.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from common import in_turn, show
from weights import SIDE, peers_of_shipped

from demeter_cli.settings import Settings, cache_dir
from pipeline.decode import decode
from pipeline.detect import load_detector
from pipeline.sweep import zoomed
from pipeline.tiles import plan_tiles
from pipeline.types import Pixels

EXAMPLE = Path(__file__).parents[1] / "examples" / "N01-NORTE-C03.jpg"
OURS = "demeter"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photo", type=Path, nargs="?", default=EXAMPLE)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    tiles = tiles_of(arguments.photo)
    timings = in_turn({name: lambda way=way: way(tiles) for name, way in ways().items()}, arguments.rounds)
    rows = [
        {
            "way": name,
            "ms a tile": timings.median(name) / len(tiles) * 1e3,
            "times ours": timings.ratio(name, OURS),
        }
        for name in timings.seconds
    ]
    rows.sort(key=lambda row: row["ms a tile"])
    show(
        f"{len(tiles)} tiles of {SIDE} × {SIDE} pixels, medians of {arguments.rounds} rounds",
        rows,
        arguments.json,
    )


def tiles_of(path: Path) -> list[Pixels]:
    photo, _ = zoomed(decode(path, max_pixels=10**9, min_side=1), 1.3)
    plan = plan_tiles(photo.shape[1], photo.shape[0], SIDE, 0.25)
    return [np.ascontiguousarray(photo[t.y : t.y + SIDE, t.x : t.x + SIDE]) for t in plan]


def ways() -> dict[str, Callable[[list[Pixels]], Any]]:
    peers = peers_of_shipped(cache_dir() / "benchmarks")
    config = Settings().pipeline(workers=1)
    found: dict[str, Callable[[list[Pixels]], Any]] = {OURS: load_detector(config)}
    found["demeter, INT8"] = load_detector(replace(config, precision="int8"))
    found["demeter, f32"] = load_detector(replace(config, precision="f32"))
    found["ultralytics, torch"] = by_ultralytics(peers.torch)
    found["ultralytics, OpenVINO"] = by_ultralytics(peers.openvino)
    found["ultralytics, ONNX Runtime"] = by_ultralytics(peers.onnx)
    found["ONNX Runtime alone"] = by_onnxruntime(peers.onnx)
    return found


def by_ultralytics(weights: Path) -> Callable[[list[Pixels]], Any]:
    from ultralytics import YOLO

    model = YOLO(str(weights), task="detect")
    return lambda tiles: [
        model.predict(tile, imgsz=SIDE, conf=0.1, max_det=3000, verbose=False)[0] for tile in tiles
    ]


def by_onnxruntime(weights: Path) -> Callable[[list[Pixels]], Any]:
    """Nothing but the network: pixels to floats before it, boxes above the threshold after it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(weights), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def detect(tiles: list[Pixels]) -> list[Any]:
        found = []
        for tile in tiles:
            blob = cv2.dnn.blobFromImage(tile, 1 / 255, swapRB=True)
            raw = session.run(None, {name: blob})[0][0]
            found.append(raw[:, raw[4:].max(axis=0) >= 0.1])
        return found

    return detect


if __name__ == "__main__":
    main()
