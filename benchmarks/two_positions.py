"""Two photos of one bed from slightly different positions: by how much do their counts differ?

    python benchmarks/two_positions.py COCO_JSON IMAGES [--split test] [--pairs 2] [--json]

Of each labelled photo two views are made: its corners are moved at random (as a step aside and a turn of
the hand would), it is exposed anew and compressed again. Plants near the border enter or leave the frame, so
counts are compared as shares of the plants that each view shows, hidden ones included. Prints the median and
the worst difference, and the same for the plants seen alone.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from demeter_cli.settings import Settings
from pipeline.decode import decode
from pipeline.photo import Counter
from pipeline.truth import TruthPhoto, load_truth
from pipeline.types import UNHASHED, Photo, Pixels

MOVED = 0.04  # of a side, at most, by each corner
EXPOSURE, CAST = 0.12, 0.03  # standard deviations of logarithms


@dataclass(frozen=True)
class View:
    """One view counted, and the plants that it shows."""

    seen: int
    total: int
    truth: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("truth", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--pairs", type=int, default=2, help="pairs of views per photo")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    counter = Counter.load(Settings().pipeline(workers=1))
    photos = load_truth(arguments.truth, arguments.images, arguments.split)
    differences: dict[str, list[float]] = {"total": [], "seen": []}
    with tempfile.TemporaryDirectory() as folder:
        for number, photo in enumerate(photos):
            for pair in range(arguments.pairs):
                random = np.random.default_rng((number, pair))
                one, other = (view_of(photo, counter, random, Path(folder) / "view.jpg") for _ in range(2))
                if one.truth and other.truth:
                    for name, values in differences.items():
                        values.append(difference(getattr(one, name), getattr(other, name), one, other))
    report = {
        name: {"median": round(float(np.median(some)), 4), "worst": round(float(np.max(some)), 4)}
        for name, some in differences.items()
    }
    report["pairs"] = len(differences["total"])
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{report['pairs']} pairs of views of {len(photos)} photos")
    for name, figures in report.items():
        if isinstance(figures, dict):
            print(f"{name:6} median difference {figures['median']:6.1%}, worst {figures['worst']:6.1%}")


def difference(first: int, second: int, one: View, other: View) -> float:
    """Of two counts, each as a share of what its view shows."""
    shares = first / one.truth, second / other.truth
    return abs(shares[0] - shares[1]) / max(np.mean(shares), 1e-9)


def view_of(photo: TruthPhoto, counter: Counter, random: np.random.Generator, file: Path) -> View:
    pixels = decode(photo.file, max_pixels=200_000_000, min_side=1)
    height, width = pixels.shape[:2]
    # Only inwards: beyond the photo there is nothing to show.
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    inwards = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * (width, height) * MOVED
    moved = (corners + random.uniform(0, 1, (4, 2)) * inwards).astype(np.float32)
    way = cv2.getPerspectiveTransform(moved, corners)
    seen = cv2.warpPerspective(pixels, way, (width, height), flags=cv2.INTER_CUBIC)
    cv2.imwrite(str(file), exposed(seen, random), [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(85, 95))])
    result = counter.count(Photo(file, UNHASHED, 0))
    return View(result.seen, result.total, shown(photo, way, width, height))


def exposed(pixels: Pixels, random: np.random.Generator) -> Pixels:
    gain = np.exp(random.normal(0, EXPOSURE) + random.normal(0, CAST, 3))
    return np.clip(pixels * gain, 0, 255).astype(np.uint8)


def shown(photo: TruthPhoto, way: NDArray[np.float64], width: int, height: int) -> int:
    """Plants of the photo whose middle lies in the view."""
    whole = photo.plants.whole[photo.plants.counted]
    middles = (whole[:, :2] + whole[:, 2:]) / 2
    places = cv2.perspectiveTransform(middles[None].astype(np.float64), way)[0]
    return int(((places >= 0) & (places < (width, height))).all(axis=1).sum())


if __name__ == "__main__":
    main()
