"""Run an exported network over whole photos with the code that counts them in production."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import drop_duplicates
from pipeline.config import ModelChoice, PipelineConfig
from pipeline.look import detect_tiled, first_zoom, zoomed
from pipeline.openvino_models import OpenVinoDetector, OpenVinoSegmenter
from pipeline.types import Boxes, Container, Detections
from pipeline.weights import ModelCard
from tools.train.truth import CONTAINER_CLASSES, PLANT_CLASSES, Pixels

LOWEST_SCORE = 0.05  # that is looked at when thresholds are chosen
GREY = 114  # around a photo or tile that does not fill the input


class PlantFinder:
    """All boxes of all tiles of a photo, doubles included; `merge` drops the doubles."""

    def __init__(self, network: Path, side: int) -> None:
        card = _card(network, "detect", PLANT_CLASSES, side, LOWEST_SCORE)
        self.config = pipeline_config(network)
        self._detector = OpenVinoDetector(card, self.config)

    def __call__(self, photo: Pixels) -> Detections:
        seen, zoom = zoomed(photo, first_zoom(photo.shape[1], photo.shape[0], self.config))
        found, _ = detect_tiled(seen, self._detector, self.config)
        return replace(found, boxes=found.boxes / np.float32(zoom))

    def merge(self, found: Detections, min_score: float) -> Detections:
        """The plants, dead or not, each once. A pot holds one thing, be it a plant or nothing."""
        sure = found.take(found.scores >= min_score)
        alike = replace(sure, classes=np.zeros_like(sure.classes), density=None)
        kept = drop_duplicates(alike, self.config.max_iou, self.config.max_cut_overlap)
        empty = sure.boxes[sure.classes == PLANT_CLASSES.index("empty_container")]
        return kept.take(~_among(kept.boxes, empty))


class ContainerFinder:
    """The containers of a photo that score at least `min_score`."""

    def __init__(self, network: Path, side: int, min_score: float) -> None:
        card = _card(network, "segment", CONTAINER_CLASSES, side, min_score)
        self._segmenter = OpenVinoSegmenter(card, pipeline_config(network))

    def __call__(self, photo: Pixels) -> list[Container]:
        return self._segmenter(np.ascontiguousarray(photo))


def pipeline_config(network: Path) -> PipelineConfig:
    return PipelineConfig(detector=ModelChoice(network), segmenter=ModelChoice(network))


def _among(boxes: Boxes, others: Boxes) -> NDArray[np.bool_]:
    """(n,): which boxes are one of `others`, to the bit."""
    known = {box.tobytes() for box in others}
    return np.array([box.tobytes() in known for box in boxes], np.bool_)


def _card(network: Path, task: str, classes: tuple[str, ...], side: int, min_score: float) -> ModelCard:
    return ModelCard(network.stem, "", task, network, "", classes, side, side, GREY, min_score)
