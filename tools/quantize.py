"""Make an INT8 copy of a detector: smaller and faster, at some cost of accuracy.

    python tools/quantize.py configs/models/plant.json DATA/coco.json DATA/images OUT

Needs NNCF (`pip install nncf`) beside Demeter's own packages. The ranges of the activations are measured on
tiles of the photos of the split "train". OUT gets the weights and a card with the same threshold and
calibration; compare both with `demeter model evaluate … --model A --model B` before you rely on it: scores
shift, so the copy should be calibrated anew (tools/calibrate.py).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import nncf
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from pipeline.config import ModelChoice, PipelineConfig
from pipeline.decode import decode
from pipeline.look import first_zoom
from pipeline.sweep import zoomed
from pipeline.tiles import plan_tiles
from pipeline.truth import TruthPhoto, load_truth
from pipeline.weights import load_card, sha256_of

TILES = 240
TILES_OF_A_PHOTO = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("card", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    card = load_card(arguments.card)
    photos = load_truth(arguments.truth, arguments.images, split="train")
    tiles = list(tiles_of(photos, PipelineConfig(ModelChoice(arguments.card), ModelChoice(arguments.card))))
    model = ov.Core().read_model(card.weights)
    # The box decoder turns distances into pixels, where a step of 1/256 of the input is two pixels.
    names = [".*dfl.*", ".*Concat.*", ".*Multiply.*", ".*Sigmoid.*"]
    small = nncf.quantize(
        model,
        nncf.Dataset(tiles),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(tiles),
        ignored_scope=nncf.IgnoredScope(patterns=names, validate=False),
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    ov.save_model(small, arguments.out / card.weights.name)
    content = json.loads(arguments.card.read_text(encoding="utf-8"))
    content["version"] += "-int8"
    content["files"] = {name: sha256_of(arguments.out / name) for name in content["files"]}
    (arguments.out / arguments.card.name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def tiles_of(photos: list[TruthPhoto], config: PipelineConfig) -> Iterator[NDArray[np.float32]]:
    """(1, 3, side, side) RGB from 0 to 1, as the network gets them, from photos all over the set."""
    random = np.random.default_rng(1)
    for photo in photos[: TILES // TILES_OF_A_PHOTO]:
        pixels = decode(photo.file, max_pixels=200_000_000, min_side=1)
        seen, _ = zoomed(pixels, first_zoom(pixels.shape[1], pixels.shape[0], config))
        plan = plan_tiles(seen.shape[1], seen.shape[0], config.tile, config.overlap)
        for index in random.choice(len(plan), min(TILES_OF_A_PHOTO, len(plan)), replace=False):
            tile = plan[index]
            crop = seen[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
            if crop.shape[:2] == (config.tile, config.tile):
                rgb = cv2.cvtColor(crop, cv2.COLOR_BGR2RGB).astype(np.float32) / 255
                yield np.ascontiguousarray(rgb.transpose(2, 0, 1))[None]


if __name__ == "__main__":
    main()
