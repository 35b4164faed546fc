"""Run an exported network over whole photos with the code that counts them in production."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.config import ModelChoice, PipelineConfig
from pipeline.look import first_zoom
from pipeline.merge import merge
from pipeline.openvino_models import OpenVinoDetector, OpenVinoSegmenter
from pipeline.sweep import detect_tiled, zoomed
from pipeline.types import Container, Detections, Thing
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
        kept = merge(found.take(found.scores >= min_score), self.config, min_score)
        return kept.take(kept.classes != Thing.EMPTY_POT)


class ContainerFinder:
    """The containers of a photo that score at least `min_score`."""

    def __init__(self, network: Path, side: int, min_score: float) -> None:
        card = _card(network, "segment", CONTAINER_CLASSES, side, min_score)
        self._segmenter = OpenVinoSegmenter(card, pipeline_config(network))

    def __call__(self, photo: Pixels) -> list[Container]:
        return self._segmenter(np.ascontiguousarray(photo))


def pipeline_config(network: Path) -> PipelineConfig:
    return PipelineConfig(detector=ModelChoice(network), segmenter=ModelChoice(network))


def _card(network: Path, task: str, classes: tuple[str, ...], side: int, min_score: float) -> ModelCard:
    return ModelCard(network.stem, "", task, network, "", classes, side, side, GREY, min_score)
