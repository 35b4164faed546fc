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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from pipeline.accuracy import CountError, count_error
from pipeline.calibration import Calibration, grid_basis, score_basis
from pipeline.config import ModelChoice, PipelineConfig
from pipeline.decode import decode
from pipeline.interval import Z_90, bounds, deviation
from pipeline.look import look
from pipeline.photo import HALF_A_PLANT, Counter
from pipeline.regions import assign, map_regions
from pipeline.tally import LOOSE
from pipeline.truth import TruthPhoto, load_truth

SCORES = np.array([0.10, 0.20, 0.30, 0.40, 0.55, 0.75])
SIZES = np.array([15.0, 30.0, 60.0])
# Where photos say little, a box is worth about what its score promises.
PRIOR = np.array([0.05, 0.25, 0.60, 0.90, 1.05, 1.05])
PRIOR_LOOSE = np.array([0.0, 0.10, 0.30, 0.70, 0.90, 1.0])
PRIOR_STRENGTH = 10.0  # as if that many squared weighted plants spoke for the prior
COVERAGE = 0.9


@dataclass(frozen=True)
class Sample:
    """One photo: its boxes, the same summed on the grid, and the truth."""

    name: str
    scores: NDArray[np.float32]
    sizes: NDArray[np.float32]
    contained: NDArray[np.bool_]
    features: NDArray[np.float64]
    truth: int


@dataclass(frozen=True)
class Prediction:
    """What a fit says of one photo."""

    seen: int
    total: int

    @property
    def hidden(self) -> int:
        return self.total - self.seen


def main() -> None:
    arguments = _parser().parse_args()
    calibrate(arguments.card, arguments.truth, arguments.images, arguments.segmenter)


def calibrate(card_path: Path, truth: Path, images: Path, segmenter: Path) -> None:
    """Fit on every labelled photo but those of the split "test", and write the fit into the card."""
    card = json.loads(card_path.read_text(encoding="utf-8"))
    config = PipelineConfig(ModelChoice(card_path, min_score=float(SCORES[0])), ModelChoice(segmenter))
    counter, min_score = Counter.load(config), float(card["min_score"])
    photos = [photo for photo in load_truth(truth, images) if photo.split != "test"]
    samples = []
    for photo in photos:
        samples.append(_sample(photo, counter))
        print(f"{len(samples):4} of {len(photos)}: {photo.file.name}", flush=True)
    left_out = [_left_out(one, samples, min_score) for one in samples]
    spread = _spread(samples, left_out)
    _report(samples, left_out, spread)
    card["calibration"] = calibration_of(fit(samples), len(samples), spread)
    card_path.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def _left_out(one: Sample, samples: list[Sample], min_score: float) -> Prediction:
    """A photo as a fit on all the others predicts it."""
    others = [sample for sample in samples if sample is not one]
    return predict(one, calibration_of(fit(others), len(others)), min_score)


def calibration_of(worth: NDArray[np.float64], photos: int, spread: float = 1.0) -> dict[str, Any]:
    """A fit in the form that model cards hold."""
    grid = len(SCORES) * len(SIZES)
    return {
        "version": f"{dt.date.today():%Y.%m.%d}",
        "photos": photos,
        "scores": SCORES.tolist(),
        "sizes": SIZES.tolist(),
        "worth": np.round(worth[:grid].reshape(len(SCORES), len(SIZES)), 4).tolist(),
        "loose": np.round(worth[grid:], 4).tolist(),
        "spread": round(spread, 3),
    }


def predict(sample: Sample, content: dict[str, Any], min_score: float) -> Prediction:
    """What the pipeline makes of the photo, but for the shares of single containers."""
    calibration = Calibration.parse(content)
    worth = calibration.worth_of(sample.scores, sample.sizes, sample.contained)
    seen = int(((sample.scores >= min_score) & (worth >= HALF_A_PLANT)).sum())
    return Prediction(seen, max(seen, round(float(worth.sum()))))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("card", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--segmenter", type=Path, default=Path("configs/models/containers.json"))
    return parser


def _sample(photo: TruthPhoto, counter: Counter) -> Sample:
    config = counter.config
    pixels = decode(photo.file, max_pixels=int(config.max_megapixels * 1e6), min_side=config.min_side)
    view = look(pixels, counter.detector, config)
    found, apparent = view.found, view.apparent_sizes
    regions = map_regions(counter.segmenter(pixels), pixels.shape[1], pixels.shape[0])
    contained = assign(found.boxes, regions) != LOOSE
    grid = grid_basis(SCORES, SIZES, found.scores[contained], apparent[contained]).sum(axis=0)
    loose = score_basis(SCORES, found.scores[~contained]).sum(axis=0)
    features = np.concatenate([grid, loose])
    return Sample(photo.file.name, found.scores, apparent, contained, features, photo.total)


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


def _spread(samples: list[Sample], left_out: list[Prediction]) -> float:
    """Split-conformal: the quantile of left-out errors in units of the interval's own deviation."""
    errors = [
        abs(said.total - sample.truth) / deviation(said.seen, said.hidden)
        for sample, said in zip(samples, left_out, strict=True)
    ]
    rank = min(1.0, np.ceil((len(errors) + 1) * COVERAGE) / len(errors))
    return float(np.quantile(errors, rank) / Z_90)


def _report(samples: list[Sample], left_out: list[Prediction], spread: float) -> None:
    truth = [sample.truth for sample in samples]
    totals = [said.total for said in left_out]
    intervals = [bounds(said.seen, said.hidden, spread) for said in left_out]
    print(f"seen alone: {_words(count_error(truth, [said.seen for said in left_out]))}")
    print(f"with estimate, left out: {_words(count_error(truth, totals, intervals))}")
    pairs = sorted(
        zip(samples, left_out, strict=True), key=lambda pair: -abs(pair[1].total / pair[0].truth - 1)
    )
    for sample, said in pairs[:8]:
        print(f"  {sample.name}: {sample.truth} plants, {said.seen} seen, {said.total} in all")


def _words(error: CountError) -> str:
    words = f"MAPE {error.mape:.1%}, bias {error.bias:+.1%}, R² {error.r2:.3f} over {error.photos} photos"
    if error.coverage is not None and error.width is not None:
        words += f"; 90 % interval covers {error.coverage:.0%}, mean width {error.width:.0%}"
    return words


if __name__ == "__main__":
    main()
