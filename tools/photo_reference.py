"""Measure the training photos, so that counting knows which photos are unlike them.

    python tools/photo_reference.py configs/models/plant.json DATA/coco.json DATA/images

Writes plant.photos.json beside the card: of each measure the middle 96 % over the photos of the split
"train", and a standard deviation. The scores of boxes are among them, so it belongs after every training
of the detector. The same photos and models give the same file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import ModelChoice, PipelineConfig
from pipeline.photo import Counter
from pipeline.truth import load_truth
from pipeline.types import UNHASHED, Measures, Photo
from pipeline.unlike import scaled
from pipeline.weights import photos_path

MIDDLE = (2, 98)  # per cent
BODY, BODY_WIDTH = (5, 95), 3.29  # per cent, and as many standard deviations of a normal distribution
# Measures that hardly vary over rendered photos must not make a trifle of a difference look enormous.
LEAST_SPREAD = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("card", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--segmenter", type=Path, default=Path("configs/models/containers.json"))
    arguments = parser.parse_args()
    measure_photos(arguments.card, arguments.truth, arguments.images, arguments.segmenter)


def measure_photos(card: Path, truth: Path, images: Path, segmenter: Path) -> None:
    """Write the file beside the card from the photos of the split "train"."""
    counter = Counter.load(PipelineConfig(ModelChoice(card), ModelChoice(segmenter)))
    photos = load_truth(truth, images, split="train")
    measured = [counter.count(Photo(photo.file, UNHASHED, 0)).measures for photo in photos]
    content = reference(one for one in measured if one is not None)
    photos_path(card).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def reference(measured: Iterable[Measures]) -> dict[str, Any]:
    """The training photos in the form that `pipeline.unlike.Reference` reads."""
    rows = [scaled(one) for one in measured]
    ranges = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        low, high = np.percentile(values, MIDDLE)
        spread = max(float(np.ptp(np.percentile(values, BODY))) / BODY_WIDTH, LEAST_SPREAD)
        ranges[name] = [round(float(value), 4) for value in (low, high, spread)]
    return {"photos": len(rows), "ranges": ranges}


if __name__ == "__main__":
    main()
