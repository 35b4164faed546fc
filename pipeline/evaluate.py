"""Count labelled photos by several methods in one go, and say how good each is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.accuracy import CountError, Matches, count_error, match
from pipeline.decode import decode
from pipeline.errors import PhotoError
from pipeline.peers import PEERS
from pipeline.photo import Counter
from pipeline.truth import TruthPhoto
from pipeline.types import Boxes, Photo

OURS = ("demeter", "no-estimate", "perspective")
METHODS = (*OURS, *PEERS)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one method says of one photo. `bounds` is None for a method that does not tell."""

    boxes: Boxes
    scores: NDArray[np.float32]
    total: int
    bounds: tuple[int, int] | None
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One method on one photo, beside the truth."""

    method: str
    photo: TruthPhoto
    answer: Answer
    matches: Matches


@dataclass(frozen=True, slots=True)
class Summary:
    """One method over all photos. Precision and recall are those of plants visible enough to be asked for."""

    method: str
    precision: float
    recall: float
    count: CountError
    seconds: float  # median per photo


def evaluate(photos: Iterable[TruthPhoto], counter: Counter, methods: Iterable[str]) -> Iterator[Scored]:
    """Every method on every photo, photo by photo. Raises PhotoError for a photo that cannot be read."""
    answers = {method: _answerer(method, counter) for method in methods}
    for photo in photos:
        for method, answer in answers.items():
            said = answer(photo)
            yield Scored(method, photo, said, match(said.boxes, said.scores, photo.boxes, photo.visible))


def summarise(scored: list[Scored]) -> Summary:
    """The scores of one method."""
    hits = sum(int(one.matches.hit.sum()) for one in scored)
    false = sum(int(one.matches.false.sum()) for one in scored)
    asked = sum(int(one.photo.visible.sum()) for one in scored)
    bounds = [one.answer.bounds for one in scored if one.answer.bounds is not None]
    return Summary(
        method=scored[0].method,
        precision=hits / max(1, hits + false),
        recall=hits / max(1, asked),
        count=count_error(
            [one.photo.total for one in scored],
            [one.answer.total for one in scored],
            bounds if len(bounds) == len(scored) else (),
        ),
        seconds=float(np.median([one.answer.seconds for one in scored])),
    )


def _answerer(method: str, counter: Counter) -> Callable[[TruthPhoto], Answer]:
    if method in PEERS:
        return lambda photo: _ask_peer(method, photo, counter)
    estimator = "perspective" if method == "perspective" else "expected"
    ours = replace(counter, config=replace(counter.config, estimator=estimator))
    return lambda photo: _ask_ours(photo, ours, estimated=method != "no-estimate")


def _ask_ours(photo: TruthPhoto, counter: Counter, *, estimated: bool) -> Answer:
    result = counter.count(Photo(photo.file, "0" * 64, 0))
    _require_size(photo, result.info.width, result.info.height)
    total, bounds = (result.total, (result.low, result.high)) if estimated else (result.seen, None)
    return Answer(result.detections.boxes, result.detections.scores, total, bounds, result.seconds)


def _ask_peer(method: str, photo: TruthPhoto, counter: Counter) -> Answer:
    config, started = counter.config, time.perf_counter()
    pixels = decode(photo.file, max_pixels=int(config.max_megapixels * 1e6), min_side=config.min_side)
    _require_size(photo, pixels.shape[1], pixels.shape[0])
    found = PEERS[method](pixels, counter.detector, config)
    return Answer(found.boxes, found.scores, len(found), None, time.perf_counter() - started)


def _require_size(photo: TruthPhoto, width: int, height: int) -> None:
    if (width, height) != (photo.width, photo.height):
        raise PhotoError(
            f"{photo.file} is {width}×{height} pixels and the labels are for {photo.width}×{photo.height}; "
            "label the upright photo, or give the right folder"
        )
