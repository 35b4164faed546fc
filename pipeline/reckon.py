"""From the evidence of a photo to its counts and their intervals. Pure.

`Counter.count` comes here with the evidence that it has just gathered, `demeter estimate` with what was kept
of a photo counted earlier. The same evidence, settings and model card give the same figures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline import gate
from pipeline.config import PipelineConfig
from pipeline.estimators.registry import make_estimator, settled, shortcomings
from pipeline.evidence import Evidence
from pipeline.gate import Judgement
from pipeline.interval import bounds
from pipeline.kept import Kept
from pipeline.quality import Quality
from pipeline.regions import LOOSE, assign
from pipeline.roles import Plants, give_roles
from pipeline.tally import count_containers, main_total, with_bounds
from pipeline.types import (
    ContainerCount,
    ContainerKind,
    Detections,
    Photo,
    PhotoInfo,
    PhotoResult,
    PhotoStatus,
    Total,
)
from pipeline.weights import ModelCard, thresholds

HALF_A_PLANT = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Reckoning:
    """What a photo comes to. `owner[i]` is the index in `counts` of the container of plant i of `seen`.

    `shortcomings` are sentences on why the method could not do its work.
    """

    counts: tuple[ContainerCount, ...]
    seen: Detections
    owner: NDArray[np.intp]
    whole: Total
    main: Total
    judged: Judgement
    shortcomings: tuple[str, ...]
    pots: Detections

    def result(self, photo: Photo, info: PhotoInfo, model: str) -> PhotoResult:
        """As the result of this photo, before anyone decides what the findings mean for it."""
        return PhotoResult(
            photo=photo,
            info=info,
            status=PhotoStatus.WARNING if self.shortcomings else PhotoStatus.COMPLETED,
            warnings=self.shortcomings,
            counts=self.counts,
            detections=self.seen,
            owner=self.owner,
            low=self.whole.low,
            high=self.whole.high,
            main=self.main,
            model=model,
            seconds=0.0,
            measures=self.judged.measures,
            unlikeness=self.judged.unlikeness,
            pots=self.pots,
        )


def decide(evidence: Evidence, card: ModelCard, min_score: float) -> Evidence:
    """The evidence with its plants told from doubtful boxes, each in its container, and the bed told from
    those behind it.

    With a calibration a box must also be worth half a plant or more, which boxes on bare floor are not.
    """
    found, calibration = evidence.found, card.calibration
    # Loose plants of the background are gathered anew below.
    containers = [c for c in evidence.containers if c.kind is not ContainerKind.LOOSE]
    painted = evidence.painted if len(containers) == len(evidence.containers) else None
    bare = replace(evidence, containers=tuple(containers), painted=painted)
    plants = len(found)
    boxes = np.concatenate([found.boxes, evidence.pots.boxes])
    owner = assign(boxes, bare.regions)
    sure = found.scores >= min_score
    if calibration is not None:
        worth = calibration.worth_of(found.scores, evidence.apparent_sizes, owner[:plants] != LOOSE)
        sure = sure & (worth >= HALF_A_PLANT)
    # Empty pots find their place as plants do, but show nobody the way.
    showing = np.concatenate([sure, np.zeros(len(evidence.pots), np.bool_)])
    given, owner = give_roles(containers, bare.regions, Plants(boxes, showing, owner))
    decided = replace(bare, containers=tuple(given), sure=sure)
    # Roles change no outline, and what is loose has no area.
    return replace(decided, owner=owner[:plants], pots_owner=owner[plants:], painted=bare.regions)


def recount(kept: Kept, basis: tuple[ModelCard, PipelineConfig], photo: Photo, model: str) -> PhotoResult:
    """What a photo comes to by its kept evidence, as if the same network counted it now with this card and
    these settings. `photo` brings what is known of its place."""
    card, config = basis
    decided = decide(kept.evidence, card, thresholds(card, config)[0])
    evidence = replace(decided, spacings=photo.spacings)
    reckoned = reckon(evidence, kept.quality, card, config)
    info = PhotoInfo(evidence.width, evidence.height, "")
    result = replace(reckoned.result(photo, info, model), phash=kept.phash)
    return result.with_findings(gate.react(reckoned.judged.findings, config.gate))


def reckon(evidence: Evidence, quality: Quality, card: ModelCard, config: PipelineConfig) -> Reckoning:
    """The counts of decided evidence. `quality` is that of the part of the photo which shows the bed."""
    evidence = settled(evidence, config, card.calibration)
    counts, owner = count_containers(evidence, make_estimator(config, card.calibration))
    judged = gate.judge(quality, evidence, card.reference)
    spread = (card.calibration.spread if card.calibration else 1.0) * judged.unlikeness
    counts = with_bounds(counts, spread, doubtful=judged.doubtful)
    seen, hidden = sum(count.seen for count in counts), sum(count.hidden for count in counts)
    low, high = bounds(seen, hidden, spread, doubtful=judged.doubtful)
    return Reckoning(
        counts,
        evidence.found.take(evidence.sure),
        owner[evidence.sure],
        Total(seen, hidden, low, high),
        main_total(counts, spread, doubtful=judged.doubtful),
        judged,
        shortcomings(evidence, config),
        evidence.pots,
    )
