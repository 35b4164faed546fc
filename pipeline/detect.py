"""Find plants in tiles, and containers in whole photos, whatever runtime does it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Protocol

from pipeline.config import ModelChoice, PipelineConfig
from pipeline.errors import ModelError
from pipeline.masks import kind_of
from pipeline.types import Container, Detections, Pixels
from pipeline.weights import ModelCard, load_card, require_trusted


class Detector(Protocol):
    """Tiles in, boxes in tile pixels out, one `Detections` per tile in the same order; classes are `Thing`s.

    Tiles are at most `card.width` × `card.height` pixels. Boxes that score less than `min_score` are
    doubtful: they come along for the estimate of what was not seen.
    """

    card: ModelCard
    min_score: float

    def __call__(self, tiles: Iterable[Pixels]) -> list[Detections]: ...


class Segmenter(Protocol):
    """A whole photo in, its containers out, in photo pixels, best first."""

    card: ModelCard

    def __call__(self, photo: Pixels) -> list[Container]: ...


def load_detector(config: PipelineConfig) -> Detector:
    """The plant detector of the settings. Raises ModelError when it cannot be used."""
    card = detector_card(config)
    if card.task != "detect":
        raise ModelError(f"{card.weights} finds no plants: its card says task {card.task!r}, not 'detect'")
    match runtime_of(config.detector):
        case "openvino":
            _keep_openvino_to_itself()
            from pipeline.openvino_models import OpenVinoDetector

            return OpenVinoDetector(card, config)
        case runtime:
            require_trusted(card, config.trusted_pickles)
            from pipeline.sahi_detector import SahiDetector

            return SahiDetector(card, runtime, config)


def detector_card(config: PipelineConfig) -> ModelCard:
    """The card of the detector in the precision of the settings. Raises ModelError."""
    card = load_card(config.detector.path)
    if config.precision != "int8":
        return card
    if card.int8 is None:
        raise ModelError(
            f"the model {card.label} has no INT8 form: its card names none; make one with tools/quantize.py, "
            'or set precision to "auto"'
        )
    return load_card(card.int8)


def load_segmenter(config: PipelineConfig) -> Segmenter:
    """The container segmenter of the settings. Raises ModelError when it cannot be used."""
    card = load_card(config.segmenter.path)
    if card.task != "segment":
        raise ModelError(
            f"{card.weights} finds no containers: its card says task {card.task!r}, not 'segment'"
        )
    try:
        for name in card.classes:
            kind_of(name)
    except ValueError as error:
        raise ModelError(
            f"{card.weights} cannot be used: {error}; correct the classes in its card"
        ) from error
    _keep_openvino_to_itself()
    from pipeline.openvino_models import OpenVinoSegmenter

    return OpenVinoSegmenter(card, config)


def _keep_openvino_to_itself() -> None:
    """Before it is imported, which it would tell Google Analytics, unasked and from every worker.

    Where its telemetry cannot be imported, OpenVINO goes without. It also fails for a user without a home.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def runtime_of(choice: ModelChoice) -> str:
    if choice.runtime != "auto":
        return choice.runtime
    return "ultralytics" if choice.path.suffix == ".pt" else "openvino"
