"""What one way of counting labelled photos is worth: box by box, photo by photo, group by group. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.accuracy import BoxScore, CountError, Matches, Reliability, count_error, match, reliability
from pipeline.average_precision import AveragePrecision, Judged, average_precision, average_precisions
from pipeline.breakdown import ORDER, By, Names, sort_boxes, spread_hidden
from pipeline.truth import TruthPhoto
from pipeline.types import ContainerCount, Detections, Total

# Of fewer plants of one group than this, a percentage of one photo says nothing.
ENOUGH_PLANTS = 10

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one method says of one photo. What it does not tell is None; `counts` is empty for a method
    that knows no containers."""

    found: Detections  # doubtful boxes included
    sure: NDArray[np.bool_]  # which of them count as seen
    total: int
    seconds: float
    bounds: Interval | None = None  # low and high of the total
    main: Total | None = None
    counts: tuple[ContainerCount, ...] = ()
    dead: int | None = None
    empty_pots: int | None = None
    pots: Detections | None = None  # the empty pots, all of them sure


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One method on one photo, beside the truth. `groups` are those of the true plants, `boxes` those of
    the boxes found."""

    model: str
    method: str
    photo: TruthPhoto
    answer: Answer
    matches: Matches
    precision: AveragePrecision
    groups: Mapping[By, Names]
    boxes: Mapping[By, Names]

    @property
    def score(self) -> BoxScore:
        """Of the boxes that count as seen."""
        hits = int((self.matches.hit & self.answer.sure).sum())
        return BoxScore(hits, int(self.false.sum()), int(self.photo.visible.sum()))

    @property
    def missed(self) -> NDArray[np.bool_]:
        """Per plant with a box: it should have been found and was not."""
        missed: NDArray[np.bool_] = self.photo.visible.copy()
        missed[self.matches.plant[self.matches.hit & self.answer.sure]] = False
        return missed

    @property
    def false(self) -> NDArray[np.bool_]:
        """Per box: it counts as a plant and is none."""
        false: NDArray[np.bool_] = self.answer.sure & self.matches.false
        return false

    @property
    def dead_score(self) -> BoxScore | None:
        """Of the boxes said to be dead plants; a living plant called dead is false as well."""
        dead = self.photo.is_dead
        if dead is None or self.answer.dead is None:
            return None
        said = self.answer.sure & self.answer.found.dead
        right = said & self.matches.hit & np.append(dead, False)[self.matches.plant]  # NOTHING is the last
        false = said & ~right & ~self.matches.ignored
        return BoxScore(int(right.sum()), int(false.sum()), int((dead & self.photo.visible).sum()))

    @property
    def pots_score(self) -> BoxScore | None:
        """Of the boxes said to be empty pots."""
        true, said = self.photo.pots, self.answer.pots
        if true is None or said is None:
            return None
        matches = match(said.boxes, said.scores, true.boxes, true.visible)
        return BoxScore(int(matches.hit.sum()), int(matches.false.sum()), int(true.visible.sum()))

    @property
    def error(self) -> float:
        """Distance of the count from the truth, as a share of the truth; of one plant, if there is none."""
        return abs(self.answer.total - self.photo.total) / max(1, self.photo.total)


@dataclass(frozen=True, slots=True)
class GroupScore:
    """The plants of one group, over all photos that have some or were said to."""

    by: By
    name: str
    boxes: BoxScore
    precision: AveragePrecision
    count: CountError


@dataclass(frozen=True, slots=True)
class ThingScore:
    """Dead plants, or empty pots, over all photos."""

    count: CountError
    boxes: BoxScore | None


@dataclass(frozen=True, slots=True)
class Summary:
    """One method over all photos. Counts that the labels or the method do not know are None."""

    model: str
    method: str
    boxes: BoxScore
    precision: AveragePrecision
    count: CountError
    main: CountError | None  # of the photographed bed alone
    dead: ThingScore | None
    empty_pots: ThingScore | None
    reliability: Reliability
    groups: tuple[GroupScore, ...]
    seconds: float  # median per photo


def score(name: tuple[str, str], photo: TruthPhoto, groups: Mapping[By, Names], answer: Answer) -> Scored:
    """`name` is that of the model and of the method."""
    found = answer.found
    # What counts as seen chooses first: a doubtful box takes no plant from it.
    rank = found.scores + answer.sure.astype(np.float32)
    matches = match(found.boxes, rank, photo.boxes, photo.visible)
    precision = average_precision([Judged(found.boxes, found.scores, photo.boxes, photo.visible)])
    boxes = sort_boxes(photo, groups, found.boxes, matches)
    return Scored(*name, photo, answer, matches, precision, groups, boxes)


def summarise(scored: Sequence[Scored]) -> Summary:
    """The scores of one method of one model. Raises IndexError without photos."""
    groups = {
        (by, name): [_judged(one, by, name) for one in scored]
        for by, names in ORDER.items()
        for name in names
        if any((one.groups[by] == name).any() or (one.boxes[by] == name).any() for one in scored)
    }
    everything = {None: [_judged(one) for one in scored]}
    precisions = average_precisions({**everything, **groups})
    return Summary(
        model=scored[0].model,
        method=scored[0].method,
        boxes=_sum([one.score for one in scored]),
        precision=precisions[None],
        count=_count_error(scored),
        main=_main_error(scored),
        dead=_thing_score(
            [(one.photo.dead, one.answer.dead) for one in scored], [one.dead_score for one in scored]
        ),
        empty_pots=_thing_score(
            [(one.photo.empty_pots, one.answer.empty_pots) for one in scored],
            [one.pots_score for one in scored],
        ),
        reliability=_reliability(scored),
        groups=tuple(_group_score(scored, key, precisions[key]) for key in groups),
        seconds=float(np.median([one.answer.seconds for one in scored])),
    )


def _judged(one: Scored, by: By | None = None, name: str = "") -> Judged:
    """The photo as the library wants it; of one group, with the other plants and boxes left out."""
    found, photo = one.answer.found, one.photo
    if by is None:
        return Judged(found.boxes, found.scores, photo.boxes, photo.visible)
    boxes, plants = one.boxes[by] == name, one.groups[by][: len(photo.boxes)] == name
    return Judged(found.boxes[boxes], found.scores[boxes], photo.boxes[plants], photo.visible[plants])


def _sum(scores: Sequence[BoxScore]) -> BoxScore:
    return BoxScore(
        sum(score.hits for score in scores),
        sum(score.false for score in scores),
        sum(score.asked for score in scores),
    )


def _count_error(scored: Sequence[Scored]) -> CountError:
    bounds = [one.answer.bounds for one in scored if one.answer.bounds is not None]
    return count_error(
        [one.photo.total for one in scored],
        [one.answer.total for one in scored],
        bounds if len(bounds) == len(scored) else (),
    )


def _main_error(scored: Sequence[Scored]) -> CountError | None:
    pairs = [(one.photo.main, one.answer.main) for one in scored]
    known = [(true, said) for true, said in pairs if true is not None and said is not None]
    if len(known) < len(pairs):
        return None
    told = scored[0].answer.bounds is not None
    return count_error(
        [true for true, _ in known],
        [said.total for _, said in known],
        [(said.low, said.high) for _, said in known] if told else (),
    )


def _thing_score(
    pairs: Sequence[tuple[int | None, int | None]], boxes: Sequence[BoxScore | None]
) -> ThingScore | None:
    """Of true and counted things of one sort; None where a photo or the method does not know them."""
    known = [(true, said) for true, said in pairs if true is not None and said is not None]
    if len(known) < len(pairs):
        return None
    matched = [score for score in boxes if score is not None]
    return ThingScore(
        count_error([true for true, _ in known], [said for _, said in known]),
        _sum(matched) if len(matched) == len(boxes) else None,
    )


def _reliability(scored: Sequence[Scored]) -> Reliability:
    judged = [~one.matches.ignored for one in scored]
    return reliability(
        np.concatenate([one.answer.found.scores[some] for one, some in zip(scored, judged, strict=True)]),
        np.concatenate([one.matches.hit[some] for one, some in zip(scored, judged, strict=True)]),
    )


def _group_score(scored: Sequence[Scored], key: tuple[By, str], precision: AveragePrecision) -> GroupScore:
    by, name = key
    boxes, counts = [], []
    for one in scored:
        plants, found = one.groups[by] == name, one.boxes[by] == name
        sure, visible = one.answer.sure & found, one.photo.visible & plants[: len(one.photo.boxes)]
        boxes.append(
            BoxScore(
                int((one.matches.hit & sure).sum()), int((one.matches.false & sure).sum()), int(visible.sum())
            )
        )
        true = int((one.photo.plants.counted & plants).sum())
        said = float(sure.sum() + spread_hidden(one.photo, one.answer.counts)[plants].sum())
        if true or said:
            counts.append((true, said))
    error = count_error([true for true, _ in counts], [said for _, said in counts], enough=ENOUGH_PLANTS)
    return GroupScore(by, name, _sum(boxes), precision, error)
