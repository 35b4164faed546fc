"""Figures of an exported network on whole photos, and the score thresholds that suit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.types import Container, Detections
from tools.train.finding import LOWEST_SCORE, ContainerFinder, PlantFinder
from tools.train.matching import HIT_IOU, Verdicts, average_precision, judge, precision_recall
from tools.train.truth import CONTAINER_CLASSES, LabelledPhoto, cached_pixels

JUDGED_VISIBILITY = 0.25  # a plant that shows less is neither hit nor false alarm
CONTAINER_SCORES = tuple(np.round(np.arange(0.06, 0.8, 0.03), 2).tolist())
MASK_SHRINK = 2  # containers are compared on pixels of this many photo pixels

Mask = NDArray[np.bool_]  # (height, width) of the photo / MASK_SHRINK


@dataclass(frozen=True)
class PlantFigures:
    """Against plants at least 25 % visible; errors of the count per photo and over all."""

    photos: int
    precision: float
    recall: float
    ap50: float
    count_mape: float
    count_bias: float
    found: int
    plants: int


@dataclass(frozen=True)
class ContainerFigures:
    """Of one kind. `mask_iou`: mean over the true ones of the best mask found, 0 if none was."""

    kind: str
    truths: int
    found: int
    precision: float
    recall: float
    mask_iou: float
    area_iou: float  # of all that the kind covers, all photos together


@dataclass(frozen=True, eq=False)
class Search:
    """What a network found in one photo at the lowest threshold, doubles included."""

    photo: LabelledPhoto
    finder: PlantFinder
    found: Detections

    def kept(self, min_score: float) -> Detections:
        return self.finder.merge(self.found, min_score)

    @property
    def plants(self) -> int:
        return len(self.photo.plants.visible(JUDGED_VISIBILITY))

    def verdicts(self, min_score: float) -> Verdicts:
        kept, plants = self.kept(min_score), self.photo.plants
        truth, unjudged = plants.visible(JUDGED_VISIBILITY), plants.hardly_visible(JUDGED_VISIBILITY)
        return judge(kept.boxes, kept.scores, truth, unjudged)


def search(network: Path, side: int, photos: Sequence[LabelledPhoto], cache: Path) -> list[Search]:
    finder = PlantFinder(network, side)
    return [Search(photo, finder, finder(np.asarray(cached_pixels(photo, cache)))) for photo in photos]


def plant_figures(searches: Sequence[Search], min_score: float) -> PlantFigures:
    """Precision, recall and counts at `min_score`; AP50 over all scores."""
    counts = [len(one.kept(min_score)) for one in searches]
    errors = [
        abs(count - one.plants) / max(one.plants, 1) for count, one in zip(counts, searches, strict=True)
    ]
    precision, recall = precision_recall([one.verdicts(min_score) for one in searches])
    plants = sum(one.plants for one in searches)
    return PlantFigures(
        photos=len(searches),
        precision=precision,
        recall=recall,
        ap50=average_precision([one.verdicts(0.0) for one in searches]),
        count_mape=float(np.mean(errors)),
        count_bias=sum(counts) / max(plants, 1) - 1,
        found=sum(counts),
        plants=plants,
    )


def choose_min_score(searches: Sequence[Search]) -> float:
    """The score with the best F1: how many plants there are is for the cells and the calibration to say."""
    verdicts = [one.verdicts(LOWEST_SCORE) for one in searches]
    scores = np.concatenate([one.scores for one in verdicts])
    order = np.argsort(-scores, kind="stable")
    hits = np.concatenate([one.hits for one in verdicts])[order].cumsum()
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + sum(one.truths for one in verdicts))
    return round(float(np.floor(scores[order][f1.argmax()] * 100)) / 100, 2)


def search_containers(
    network: Path, side: int, photos: Sequence[LabelledPhoto], cache: Path
) -> list[list[Container]]:
    """The containers of every photo at the lowest threshold.

    A container is never dropped for one that is less sure, so higher thresholds need no second look.
    """
    finder = ContainerFinder(network, side, CONTAINER_SCORES[0])
    return [finder(cached_pixels(photo, cache)) for photo in photos]


def surer(found: Sequence[Sequence[Container]], min_score: float) -> list[list[Container]]:
    return [[one for one in some if one.score >= min_score] for some in found]


def container_figures(
    photos: Sequence[LabelledPhoto], found: Sequence[Sequence[Container]], cache: Path
) -> list[ContainerFigures]:
    """One row per kind."""
    sizes = [cached_pixels(photo, cache).shape[:2] for photo in photos]
    rows = []
    for kind, name in enumerate(CONTAINER_CLASSES):
        pairs = []
        for photo, some, size in zip(photos, found, sizes, strict=True):
            truth = [paint(one.polygon, size) for one in photo.containers if one.kind == kind]
            own = sorted((one for one in some if one.kind.value == name), key=lambda one: -one.score)
            pairs.append((truth, [paint(one.polygon, size) for one in own]))
        rows.append(_figures_of_kind(name, pairs))
    return rows


def choose_container_score(
    photos: Sequence[LabelledPhoto], found: Sequence[Sequence[Container]], cache: Path
) -> float:
    """The score with the best F1 over all kinds; of equals the middle one."""

    def f1(score: float) -> float:
        rows = container_figures(photos, surer(found, score), cache)
        hits = sum(row.recall * row.truths for row in rows)
        return round(2 * hits / max(sum(row.found + row.truths for row in rows), 1), 6)

    values = {score: f1(score) for score in CONTAINER_SCORES}
    best = [score for score, value in values.items() if value == max(values.values())]
    return best[len(best) // 2]


def paint(polygon: NDArray[np.float32], size: tuple[int, int]) -> Mask:
    """The inside of a polygon in a photo of `size` (height, width)."""
    mask = np.zeros((size[0] // MASK_SHRINK, size[1] // MASK_SHRINK), np.uint8)
    cv2.fillPoly(mask, [np.round(polygon / MASK_SHRINK).astype(np.int32)], 1)
    return mask.astype(bool)


def mask_iou(first: Mask, second: Mask) -> float:
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 0.0


def _figures_of_kind(kind: str, photos: list[tuple[list[Mask], list[Mask]]]) -> ContainerFigures:
    """From pairs of true masks and found masks, best score first."""
    hits = shared = covered = 0
    best: list[float] = []
    for truth, found in photos:
        overlap = np.array([[mask_iou(one, mask) for mask in truth] for one in found])
        overlap = overlap.reshape(len(found), len(truth))
        best += overlap.max(0, initial=0).tolist()
        hits += _hits(overlap)
        if truth or found:
            blank = np.zeros_like((truth or found)[0])
            true_area = np.logical_or.reduce([blank, *truth])
            found_area = np.logical_or.reduce([blank, *found])
            shared += np.count_nonzero(true_area & found_area)
            covered += np.count_nonzero(true_area | found_area)
    truths, detections = len(best), sum(len(found) for _, found in photos)
    return ContainerFigures(
        kind=kind,
        truths=truths,
        found=detections,
        precision=hits / max(detections, 1),
        recall=hits / max(truths, 1),
        mask_iou=float(np.mean(best)) if best else 0.0,
        area_iou=float(shared / max(covered, 1)),
    )


def _hits(overlap: NDArray[np.float64]) -> int:
    """How many rows of (found, truths) find a truth of their own, the first row choosing first."""
    free = np.ones(overlap.shape[1], bool)
    hits = 0
    for row in overlap:
        candidates = np.where(free, row, 0)
        if candidates.max(initial=0) >= HIT_IOU:
            free[candidates.argmax()] = False
            hits += 1
    return hits
