"""Fit what a detector's boxes are worth in plants, and write it into the model's card.

    python tools/calibrate.py configs/models/plant.json DATA/coco.json DATA/images

Needs SciPy beside Demeter's own packages. The photos of the split "test" are never looked at. Left-out
errors are printed: each photo is predicted by a fit on all the others.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from pipeline.accuracy import CountError, count_error
from pipeline.boxes import drop_duplicates, sizes
from pipeline.calibration import grid_basis, score_basis
from pipeline.config import ModelChoice, PipelineConfig
from pipeline.decode import decode
from pipeline.interval import Z_90, bounds, deviation
from pipeline.photo import Counter, detect_tiled
from pipeline.regions import assign, map_regions
from pipeline.truth import TruthPhoto, load_truth
from pipeline.types import Detections

SCORES = np.array([0.10, 0.20, 0.30, 0.40, 0.55, 0.75])
SIZES = np.array([15.0, 30.0, 60.0])
# Where photos say little, a box is worth about what its score promises.
PRIOR = np.array([0.05, 0.25, 0.60, 0.90, 1.05, 1.05])
PRIOR_LOOSE = np.array([0.0, 0.10, 0.30, 0.70, 0.90, 1.0])
PRIOR_STRENGTH = 10.0  # as if that many squared weighted plants spoke for the prior
COVERAGE = 0.9


@dataclass(frozen=True)
class Sample:
    """One photo: its boxes on the grid, the plants seen, and the truth."""

    name: str
    features: NDArray[np.float64]
    seen: int
    truth: int


def main() -> None:
    arguments = _parser().parse_args()
    card = json.loads(arguments.card.read_text(encoding="utf-8"))
    config = PipelineConfig(
        ModelChoice(arguments.card, min_score=float(SCORES[0])), ModelChoice(arguments.segmenter)
    )
    counter = Counter.load(config)
    photos = [p for p in load_truth(arguments.truth, arguments.images) if p.split != "test"]
    samples = []
    for photo in photos:
        samples.append(_sample(photo, counter, float(card["min_score"])))
        print(f"{len(samples):4} of {len(photos)}: {photo.file.name}", flush=True)
    worth = fit(samples)
    left_out = [
        round(float(one.features @ fit([other for other in samples if other is not one]))) for one in samples
    ]
    spread = _spread(samples, left_out)
    _report(samples, left_out, spread)
    grid = len(SCORES) * len(SIZES)
    card["calibration"] = {
        "version": f"{dt.date.today():%Y.%m.%d}",
        "photos": len(samples),
        "scores": SCORES.tolist(),
        "sizes": SIZES.tolist(),
        "worth": np.round(worth[:grid].reshape(len(SCORES), len(SIZES)), 4).tolist(),
        "loose": np.round(worth[grid:], 4).tolist(),
        "spread": round(spread, 3),
    }
    arguments.card.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("card", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--segmenter", type=Path, default=Path("configs/models/containers.json"))
    return parser


def _sample(photo: TruthPhoto, counter: Counter, seen_from: float) -> Sample:
    config = counter.config
    pixels = decode(photo.file, max_pixels=int(config.max_megapixels * 1e6), min_side=config.min_side)
    raw = detect_tiled(pixels, counter.detector, config)
    found = drop_duplicates(raw, config.max_iou, config.max_cut_overlap, seen_from)
    containers = counter.segmenter(pixels)
    owner = assign(found.boxes, map_regions(containers, pixels.shape[1], pixels.shape[0]))
    seen = int((found.scores >= seen_from).sum())
    return Sample(photo.file.name, _features(found, owner >= 0), seen, photo.total)


def _features(found: Detections, contained: NDArray[np.bool_]) -> NDArray[np.float64]:
    inside, loose = found.take(contained), found.take(~contained)
    grid = grid_basis(SCORES, SIZES, inside.scores, sizes(inside.boxes)).sum(axis=0)
    return np.concatenate([grid, score_basis(SCORES, loose.scores).sum(axis=0)])


def fit(samples: list[Sample]) -> NDArray[np.float64]:
    """Non-negative ridge regression of the true plants on the boxes, towards the prior.

    Photos weigh by 1/√plants: the errors of a sum of independent plants grow with its root.
    """
    truth = np.array([sample.truth for sample in samples], np.float64)
    weights = 1 / np.sqrt(truth + 50)
    weights *= 20 / (weights.mean() * truth.mean())
    rows = np.array([sample.features for sample in samples]) * weights[:, None]
    prior = np.concatenate([np.repeat(PRIOR, len(SIZES)), PRIOR_LOOSE])
    pull = np.sqrt(PRIOR_STRENGTH) * np.eye(len(prior))
    solution: NDArray[np.float64] = nnls(
        np.vstack([rows, pull]), np.concatenate([truth * weights, pull @ prior])
    )[0]
    return solution


def _spread(samples: list[Sample], left_out: list[int]) -> float:
    """Split-conformal: the quantile of left-out errors in units of the interval's own deviation."""
    errors = [
        abs(total - sample.truth) / deviation(sample.seen, max(0, total - sample.seen))
        for sample, total in zip(samples, left_out, strict=True)
    ]
    rank = min(1.0, np.ceil((len(errors) + 1) * COVERAGE) / len(errors))
    return float(np.quantile(errors, rank) / Z_90)


def _report(samples: list[Sample], left_out: list[int], spread: float) -> None:
    truth = [sample.truth for sample in samples]
    seen = [sample.seen for sample in samples]
    intervals = [
        bounds(sample.seen, max(0, total - sample.seen), spread)
        for sample, total in zip(samples, left_out, strict=True)
    ]
    for label, error in (
        ("seen alone", count_error(truth, seen)),
        ("with estimate, left out", count_error(truth, left_out, intervals)),
    ):
        print(f"{label}: {_words(error)}")
    worst = sorted(zip(samples, left_out, strict=True), key=lambda pair: -abs(pair[1] / pair[0].truth - 1))
    for sample, total in worst[:8]:
        print(f"  {sample.name}: {sample.truth} plants, {sample.seen} seen, {total} estimated")


def _words(error: CountError) -> str:
    words = f"MAPE {error.mape:.1%}, bias {error.bias:+.1%}, R² {error.r2:.3f} over {error.photos} photos"
    if error.coverage is not None and error.width is not None:
        words += f"; 90 % interval covers {error.coverage:.0%}, mean width {error.width:.0%}"
    return words


if __name__ == "__main__":
    main()
