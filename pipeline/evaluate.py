"""Count labelled photos by several methods and models in one go."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.breakdown import sort_plants
from pipeline.decode import decode
from pipeline.estimators import density
from pipeline.estimators.registry import ESTIMATORS
from pipeline.look import look
from pipeline.peers import PEERS
from pipeline.photo import Counter
from pipeline.replay import ReplayedDetector, ReplayedSegmenter
from pipeline.scores import Answer, Scored, score
from pipeline.things import things_of
from pipeline.truth import TruthPhoto
from pipeline.types import UNHASHED, Detections, Photo, Pixels, Thing

OURS = ("demeter", "no-estimate")
METHODS = (*OURS, *ESTIMATORS, *PEERS)


def default_methods(estimator: str) -> list[str]:
    """Every method once: the estimator of the settings is what "demeter" uses. "density" is left out: it asks
    the books for the pots of a place, and labelled photos name none."""
    return [method for method in METHODS if method not in (estimator, density.METHOD)]


class Entrant:
    """A detector in the comparison. It looks at each tile of a photo once, whatever the methods ask."""

    def __init__(self, name: str, counter: Counter) -> None:
        self.name = name
        self._detector = ReplayedDetector(counter.detector)
        # SAHI hands over tiles one by one, we hand over batches: neither answers for the other's seconds.
        self._peers_detector = ReplayedDetector(counter.detector)
        self._segmenter = ReplayedSegmenter(counter.segmenter)
        self._config = counter.config
        self._things = set(things_of(counter.detector.card).tolist())
        self._counted: dict[str, _Counted] = {}

    def answer(self, method: str, photo: TruthPhoto) -> Answer:
        """Raises PhotoError for a photo that cannot be read."""
        if method in PEERS:
            return self._ask_peer(method, photo)
        answer = self._count(photo, method if method in ESTIMATORS else self._config.estimator)
        return _seen_only(answer) if method == "no-estimate" else answer.said

    def forget(self) -> None:
        """Before the next photo."""
        self._counted.clear()
        for network in (self._detector, self._peers_detector, self._segmenter):
            network.forget()

    def _count(self, photo: TruthPhoto, estimator: str) -> _Counted:
        if estimator not in self._counted:
            config = replace(self._config, estimator=estimator)
            result = Counter(self._detector, self._segmenter, config).count(Photo(photo.file, UNHASHED, 0))
            seconds = result.seconds + self._detector.spared() + self._segmenter.spared()
            found, sure = self._with_doubtful(photo, result.detections)
            self._counted[estimator] = _Counted(
                Answer(
                    found=found,
                    sure=sure,
                    total=result.total,
                    seconds=seconds,
                    bounds=(result.low, result.high),
                    main=result.main,
                    counts=result.counts,
                    dead=result.dead if Thing.DEAD_PLANT in self._things else None,
                    empty_pots=result.empty_pots if Thing.EMPTY_POT in self._things else None,
                    pots=result.pots if Thing.EMPTY_POT in self._things else None,
                ),
                result.stages.get("estimate", 0.0),
            )
        return self._counted[estimator]

    def _with_doubtful(self, photo: TruthPhoto, seen: Detections) -> tuple[Detections, NDArray[np.bool_]]:
        """The boxes seen, then the doubtful ones, and which are which. The detector knows its tiles."""
        view = look(self._pixels(photo), self._detector, self._config)
        self._detector.spared()
        known = {row.tobytes() for row in seen.boxes}
        others = np.array([row.tobytes() not in known for row in view.found.boxes], np.bool_)
        found = Detections.concat([seen, view.found.take(others)])
        return found, np.arange(len(found)) < len(seen)

    def _ask_peer(self, method: str, photo: TruthPhoto) -> Answer:
        started = time.perf_counter()
        pixels = self._pixels(photo)
        decoded = time.perf_counter() - started
        said = PEERS[method](pixels, self._peers_detector, self._config)
        return Answer(said.found, said.sure, int(said.sure.sum()), decoded + said.seconds)

    def _pixels(self, photo: TruthPhoto) -> Pixels:
        config = self._config
        return decode(photo.file, max_pixels=int(config.max_megapixels * 1e6), min_side=config.min_side)


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """An answer of ours, and how many of its seconds went into the estimate."""

    said: Answer
    estimating: float


def _seen_only(counted: _Counted) -> Answer:
    """The boxes alone, as if nothing were hidden."""
    said = counted.said
    return replace(
        said,
        total=int(said.sure.sum()),
        seconds=said.seconds - counted.estimating,
        bounds=None,
        main=None if said.main is None else replace(said.main, hidden=0),
        counts=(),
    )


def knows_metres(photos: Iterable[TruthPhoto]) -> bool:
    """Whether the labels tell the distance of every plant."""
    return all(bool(np.isfinite(photo.plants.distance).all()) for photo in photos)


def score_photo(
    photo: TruthPhoto, entrants: Sequence[Entrant], methods: Sequence[str], *, metres: bool
) -> list[Scored]:
    """Every method of every entrant on one photo. Raises PhotoError for one that cannot be read."""
    groups, scored = sort_plants(photo, metres=metres), []
    for entrant in entrants:
        entrant.forget()
        scored += [
            score((entrant.name, method), photo, groups, entrant.answer(method, photo)) for method in methods
        ]
    return scored
