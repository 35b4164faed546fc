"""Fit what a detector's boxes and cells are worth in plants, and write it into the model's card.

    python tools/calibrate.py configs/models/plant.json DATA/coco.json DATA/images

Needs SciPy beside Demeter's own packages. What boxes of a score and size are worth is fitted on the photos of
the splits "train" and "val"; how far that and the cells are to be believed is fitted on "val" alone, since a
network is too sure of photos that it learnt from. The photos of the split "test" are never looked at.
Left-out errors are printed: each "val" photo is predicted by a fit on all the other photos.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from pipeline.accuracy import CountError, count_error
from pipeline.calibration import Calibration, grid_basis, score_basis
from pipeline.config import ModelChoice, PipelineConfig
from pipeline.decode import decode
from pipeline.evidence import Evidence, gather
from pipeline.interval import Z_90, bounds, deviation
from pipeline.look import look
from pipeline.photo import Counter
from pipeline.reckon import decide
from pipeline.regions import LOOSE
from pipeline.truth import TruthPhoto, load_truth

SCORES = np.array([0.10, 0.20, 0.30, 0.40, 0.55, 0.75])
SIZES = np.array([15.0, 30.0, 60.0])
# Where photos say little, a box is worth about what its score promises.
PRIOR = np.array([0.05, 0.25, 0.60, 0.90, 1.05, 1.05])
PRIOR_LOOSE = np.array([0.0, 0.10, 0.30, 0.70, 0.90, 1.0])
PRIOR_STRENGTH = 10.0  # as if that many squared weighted plants spoke for the prior
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of a count that the cells decide
COVERAGE = 0.9


@dataclass(frozen=True, eq=False)
class Sample:
    """One photo, container by container; the plants that stand in none are the last, if any was seen."""

    name: str
    grid: NDArray[np.float64]  # (containers, knots of the worth): the boxes, as `Calibration` mixes them
    cells: NDArray[np.float64] | None  # (containers,): plants in the cells of the density
    seen: NDArray[np.intp]  # (containers,)
    truth: int
    held_out: bool  # the network did not learn from it


@dataclass(frozen=True)
class Fit:
    """`worth` (knots,) of boxes; the cells decide the share `share` of a count, after they were multiplied by
    `gain`."""

    worth: NDArray[np.float64]
    share: float = 0.0
    gain: float = 1.0


@dataclass(frozen=True)
class Prediction:
    """What a fit says of one photo."""

    seen: int
    hidden: int

    @property
    def total(self) -> int:
        return self.seen + self.hidden


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("card", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--segmenter", type=Path, default=Path("configs/models/containers.json"))
    arguments = parser.parse_args()
    calibrate(arguments.card, arguments.truth, arguments.images, arguments.segmenter)


def calibrate(card_path: Path, truth: Path, images: Path, segmenter: Path) -> None:
    """Fit on every labelled photo but those of the split "test", and write the fit into the card."""
    content = json.loads(card_path.read_text(encoding="utf-8"))
    choice = ModelChoice(card_path, min_score=float(SCORES[0]))
    counter = Counter.load(PipelineConfig(choice, ModelChoice(segmenter)))
    samples = []
    for photo in load_truth(truth, images):
        if photo.split != "test":
            samples.append(sample_of(photo, counter, float(content["min_score"])))
            print(f"{len(samples):4}: {photo.file.name}", flush=True)
    held_out = [one for one in samples if one.held_out]
    left_out = [predict(one, fit([other for other in samples if other is not one])) for one in held_out]
    spread = conformal_spread(held_out, left_out)
    report(held_out, left_out, spread)
    content["calibration"] = content_of(fit(samples), spread) | {"photos": len(samples)}
    card_path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def sample_of(photo: TruthPhoto, counter: Counter, min_score: float) -> Sample:
    config = counter.config
    pixels = decode(photo.file, max_pixels=int(config.max_megapixels * 1e6), min_side=config.min_side)
    view, containers = look(pixels, counter.detector, config), counter.segmenter(pixels)
    many = len(view.found)
    evidence = gather(pixels, view, containers, np.ones(many, np.bool_), np.full(many, LOOSE, np.intp))
    # Who stands where hardly depends on the worth of boxes: that of the prior will do.
    prior = Calibration.parse(content_of(Fit(np.concatenate([np.repeat(PRIOR, len(SIZES)), PRIOR_LOOSE])), 1))
    evidence = decide(evidence, replace(counter.detector.card, calibration=prior), min_score)
    places = list(range(len(evidence.containers)))
    if (evidence.of(LOOSE) & evidence.sure).any():
        places.append(LOOSE)
    boxes = knots_of(evidence)
    density, owner = evidence.density, evidence.cell_owner
    return Sample(
        name=photo.file.name,
        grid=np.array([boxes[evidence.of(place)].sum(axis=0) for place in places]).reshape(
            -1, boxes.shape[1]
        ),
        cells=None
        if density is None
        else np.array([float(density[owner == place].sum()) for place in places]),
        seen=np.array([(evidence.of(place) & evidence.sure).sum() for place in places], np.intp),
        truth=photo.total,
        held_out=photo.split == "val",
    )


def knots_of(evidence: Evidence) -> NDArray[np.float64]:
    """(n, knots): each box as a mixture of knots of the worth, those in containers before loose ones."""
    scores, inside = evidence.found.scores, evidence.contained[:, None]
    grid = grid_basis(SCORES, SIZES, scores, evidence.apparent_sizes)
    knots = np.concatenate([grid * inside, score_basis(SCORES, scores) * ~inside], axis=1)
    return np.where((scores >= SCORES[0])[:, None], knots, 0.0)


def fit(samples: Sequence[Sample]) -> Fit:
    """The share of the cells that leaves the least error on held-out photos, once both ways of counting are
    right there on average."""
    held_out = [one for one in samples if one.held_out]
    truth = sum(one.truth for one in held_out)
    worth = fit_worth(samples)
    worth = worth * truth / sum(predict(one, Fit(worth)).total for one in held_out)
    if any(one.cells is None for one in held_out):
        return Fit(worth)
    gain = truth / sum(predict(one, Fit(worth, 1.0)).total for one in held_out)
    return min((Fit(worth, share, gain) for share in SHARES), key=lambda one: mean_error(one, held_out))


def predict(sample: Sample, fit: Fit) -> Prediction:
    """What `pipeline.estimators.density_map` makes of the photo, and without cells `expected`."""
    boxes = sample.grid @ fit.worth
    if sample.cells is None or not fit.share:
        return Prediction(int(sample.seen.sum()), int(np.clip(boxes - sample.seen, 0, None).round().sum()))
    expected = fit.share * fit.gain * sample.cells + (1 - fit.share) * boxes
    seen = np.minimum(sample.seen, expected.round())
    return Prediction(int(seen.sum()), int(np.clip(expected - seen, 0, None).round().sum()))


def mean_error(fit: Fit, samples: Sequence[Sample]) -> float:
    """Mean squared error in units of the root of the plants, so that neither full nor sparse beds rule."""
    return float(np.mean([(predict(one, fit).total - one.truth) ** 2 / (one.truth + 50) for one in samples]))


def fit_worth(samples: Sequence[Sample]) -> NDArray[np.float64]:
    """Non-negative ridge regression of the true plants on the boxes, towards the prior.

    Photos weigh by 1/√plants: the errors of a sum of independent plants grow with its root.
    """
    truth = np.array([sample.truth for sample in samples], np.float64)
    weights = 1 / np.sqrt(truth + 50)
    weights *= 20 / (weights.mean() * truth.mean())
    rows = np.array([sample.grid.sum(axis=0) for sample in samples]) * weights[:, None]
    prior = np.concatenate([np.repeat(PRIOR, len(SIZES)), PRIOR_LOOSE])
    pull = np.sqrt(PRIOR_STRENGTH) * np.eye(len(prior))
    solution: NDArray[np.float64] = nnls(
        np.vstack([rows, pull]), np.concatenate([truth * weights, pull @ prior])
    )[0]
    return solution


def content_of(fit: Fit, spread: float) -> dict[str, Any]:
    """In the form that model cards hold."""
    grid = len(SCORES) * len(SIZES)
    return {
        "version": f"{dt.date.today():%Y.%m.%d}",
        "scores": SCORES.tolist(),
        "sizes": SIZES.tolist(),
        "worth": np.round(fit.worth[:grid].reshape(len(SCORES), len(SIZES)), 4).tolist(),
        "loose": np.round(fit.worth[grid:], 4).tolist(),
        "density": {"share": fit.share, "gain": round(fit.gain, 4)},
        "spread": round(spread, 3),
    }


def conformal_spread(samples: Sequence[Sample], left_out: Sequence[Prediction]) -> float:
    """Split-conformal: the quantile of left-out errors in units of the interval's own deviation."""
    errors = [
        abs(said.total - sample.truth) / deviation(said.seen, said.hidden)
        for sample, said in zip(samples, left_out, strict=True)
    ]
    rank = min(1.0, np.ceil((len(errors) + 1) * COVERAGE) / len(errors))
    return float(np.quantile(errors, rank, method="inverted_cdf") / Z_90)


def report(samples: Sequence[Sample], left_out: Sequence[Prediction], spread: float) -> None:
    truth = [sample.truth for sample in samples]
    totals = [said.total for said in left_out]
    intervals = [bounds(said.seen, said.hidden, spread) for said in left_out]
    print(f"seen alone: {words(count_error(truth, [said.seen for said in left_out]))}")
    print(f"with estimate, left out: {words(count_error(truth, totals, intervals))}")
    for sample, said in zip(samples, left_out, strict=True):
        error = said.total / max(sample.truth, 1) - 1
        print(f"  {sample.name}: {sample.truth} plants, {said.seen} seen, {said.total} in all ({error:+.1%})")


def words(error: CountError) -> str:
    words = f"MAPE {error.mape:.1%}, bias {error.bias:+.1%}, R² {error.r2:.3f} over {error.photos} photos"
    if error.coverage is not None and error.width is not None:
        words += f"; 90 % interval covers {error.coverage:.0%}, mean width {error.width:.0%}"
    return words


if __name__ == "__main__":
    main()
