"""One photo from file to boxes: `demeter count` against SAHI and ultralytics, same weights, same tiles.

    python benchmarks/against_sahi.py [PHOTO] [--rounds 5] [--view 2080] [--json]

The photo (default: an example) is enlarged to 12 megapixels, and cut to 3000 × 1500. Ours is all that
`demeter count` does with a photo: quality gate, containers, plants, hidden plants, interval. SAHI's is
`get_sliced_prediction` with tiles that show as much of the photo as ours do and its default merge, and
once with tiles of 512 pixels of the photo as it is, which is how one would start;
ultralytics' is `predict` on the same tiles, without any merge. All include reading the file; models are
loaded before. `--view 0` takes photos at their own size, in three to four times as many tiles. Needs the
extra `ultralytics`.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from common import in_turn, show
from one_photo import EXAMPLE, enlarge
from weights import SIDE, peers_of_shipped

from demeter_cli.settings import Settings, cache_dir
from pipeline.config import PipelineConfig
from pipeline.look import first_zoom
from pipeline.photo import Counter
from pipeline.tiles import plan_tiles
from pipeline.types import Photo

OURS = "demeter count"
MOST = 3000  # boxes per tile; ultralytics' own limit of 300 would cut crowded tiles off


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photo", type=Path, nargs="?", default=EXAMPLE)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--view", type=int, default=2080)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    config = replace(Settings().pipeline(workers=1), view_side=arguments.view)
    counters = [Counter.load(config), Counter.load(replace(config, precision="int8"))]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for photo in photos_from(arguments.photo, Path(folder)):
            rows += compared(photo, counters, arguments.rounds)
    show(f"One photo, medians of {arguments.rounds} rounds", rows, arguments.json)


def photos_from(source: Path, folder: Path) -> list[Path]:
    large = enlarge(source, 12.0, folder / "large.jpg")
    pixels = cv2.imread(str(large))
    assert pixels is not None
    segment = folder / "segment.jpg"
    cv2.imwrite(str(segment), pixels[1000:2500, 500:3500], [cv2.IMWRITE_JPEG_QUALITY, 92])
    return [large, segment]


def compared(path: Path, counters: list[Counter], rounds: int) -> list[dict[str, Any]]:
    content = path.read_bytes()
    photo = Photo(path, hashlib.sha256(content).hexdigest(), len(content))
    found: dict[str, int] = {}
    ours = {
        OURS: lambda: counters[0].count(photo).seen,
        f"{OURS}, INT8": lambda: counters[1].count(photo).seen,
    }
    ways = ours | peers(path, counters[0].config)
    timings = in_turn(
        {name: lambda n=name, way=way: found.update({n: way()}) for name, way in ways.items()}, rounds
    )
    height, width = cv2.imread(str(path)).shape[:2]
    return [
        {
            "photo": f"{width}×{height}",
            "way": name,
            "seconds": timings.median(name),
            "times ours": timings.ratio(name, OURS),
            "plants": found[name],
        }
        for name in ways
    ]


def peers(path: Path, config: PipelineConfig) -> dict[str, Callable[[], int]]:
    height, width = cv2.imread(str(path)).shape[:2]
    side = round(SIDE / first_zoom(width, height, config))
    weights = peers_of_shipped(cache_dir() / "benchmarks")
    score = 0.32  # of the model's card
    return {
        "SAHI, torch": by_sahi(path, weights.torch, side, score),
        "SAHI, OpenVINO": by_sahi(path, weights.openvino, side, score),
        "SAHI, OpenVINO, tiles of 512 pixels": by_sahi(path, weights.openvino, SIDE, score),
        "ultralytics on tiles, torch": by_tiles(path, weights.torch, side, score),
        "ultralytics on tiles, OpenVINO": by_tiles(path, weights.openvino, side, score),
    }


def by_sahi(path: Path, weights: Path, side: int, score: float) -> Callable[[], int]:
    from sahi import AutoDetectionModel
    from sahi.predict import get_sliced_prediction

    model = AutoDetectionModel.from_pretrained(
        model_type="ultralytics",
        model_path=str(weights),
        confidence_threshold=score,
        device="cpu",
        image_size=SIDE,
    )
    model.model.overrides["max_det"] = MOST

    def predict() -> int:
        result = get_sliced_prediction(
            str(path),
            model,
            slice_height=side,
            slice_width=side,
            overlap_height_ratio=0.25,
            overlap_width_ratio=0.25,
            perform_standard_pred=False,
            verbose=0,
        )
        return sum(one.category.id == 0 for one in result.object_prediction_list)

    return predict


def by_tiles(path: Path, weights: Path, side: int, score: float) -> Callable[[], int]:
    from ultralytics import YOLO

    model = YOLO(str(weights), task="detect")

    def predict() -> int:
        photo = cv2.imread(str(path))
        assert photo is not None
        plan = plan_tiles(photo.shape[1], photo.shape[0], side, 0.25)
        tiles = [np.ascontiguousarray(photo[t.y : t.y + t.height, t.x : t.x + t.width]) for t in plan]
        found = [
            model.predict(tile, imgsz=SIDE, conf=score, max_det=MOST, verbose=False)[0] for tile in tiles
        ]
        return sum(int((one.boxes.cls == 0).sum()) for one in found)

    return predict


if __name__ == "__main__":
    main()
