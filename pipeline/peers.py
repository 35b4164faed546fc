"""The same weights counted in other people's ways, to compare with.

Each takes the photo as it is, and only the boxes that score at least the detector's threshold, as its users
do. Empty pots are no plants. For the precision at every threshold it is asked once more, for all boxes;
nobody waits for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sahi.models.base import DetectionModel
from sahi.predict import get_sliced_prediction
from sahi.prediction import ObjectPrediction

from pipeline.boxes import drop_duplicates
from pipeline.config import PipelineConfig
from pipeline.merge import from_sahi
from pipeline.replay import ReplayedDetector
from pipeline.things import plants_and_pots
from pipeline.types import Detections, Pixels, Thing
from pipeline.yolo import Letterbox


@dataclass(frozen=True, slots=True, eq=False)
class PeerAnswer:
    """Boxes in photo pixels, doubtful ones included; `sure` are those that count."""

    found: Detections
    sure: NDArray[np.bool_]
    seconds: float  # until the sure ones were known


Peer = Callable[[Pixels, ReplayedDetector, PipelineConfig], PeerAnswer]


class _SahiView(DetectionModel):
    """Our detector as SAHI wants to see a model."""

    def __init__(self, detector: ReplayedDetector, min_score: float) -> None:
        self._detector = detector
        super().__init__(model=detector, confidence_threshold=min_score, device="cpu")

    def set_model(self, model: Any, **_: Any) -> None:
        self.model = model

    @property
    def num_categories(self) -> int:
        return len(Thing)

    def perform_inference(self, image: np.ndarray) -> None:
        (found,) = self._detector([np.ascontiguousarray(image[..., ::-1])])
        self._original_predictions = found.take(found.scores >= self.confidence_threshold)

    def _create_object_prediction_list_from_original_predictions(
        self,
        shift_amount_list: list[list[int | float]] | None = None,
        full_shape_list: list[list[int | float]] | None = None,
    ) -> None:
        found: Detections = self._original_predictions
        shift = [int(pixels) for pixels in (shift_amount_list or [[0, 0]])[0]]
        shape = [int(pixels) for pixels in full_shape_list[0]] if full_shape_list else None
        self._object_prediction_list_per_image = [
            [
                ObjectPrediction(
                    bbox=box,
                    category_id=int(kind),
                    score=score,
                    category_name=Thing(kind).name,
                    shift_amount=shift,
                    full_shape=shape,
                )
                for box, kind, score in zip(
                    found.boxes.tolist(), found.classes.tolist(), found.scores.tolist(), strict=True
                )
            ]
        ]


def _by_sahi(kind: str, metric: str) -> Peer:
    """`get_sliced_prediction` over tiles of the same size; its own merge does the rest."""

    def predict(
        pixels: Pixels, detector: ReplayedDetector, config: PipelineConfig, least: float
    ) -> Detections:
        result = get_sliced_prediction(
            np.ascontiguousarray(pixels[..., ::-1]),
            _SahiView(detector, least),
            slice_height=config.tile,
            slice_width=config.tile,
            overlap_height_ratio=config.overlap,
            overlap_width_ratio=config.overlap,
            perform_standard_pred=False,
            postprocess_type=kind,
            postprocess_match_metric=metric,
            postprocess_match_threshold=0.5,
            postprocess_class_agnostic=True,  # as ours: one pot holds one thing
            force_postprocess_type=True,
            verbose=0,
        )
        found = from_sahi(result.object_prediction_list)
        return plants_and_pots(found, detector.min_score)[0]

    def answer(pixels: Pixels, detector: ReplayedDetector, config: PipelineConfig) -> PeerAnswer:
        started = time.perf_counter()
        sure = predict(pixels, detector, config, detector.min_score)
        seconds = time.perf_counter() - started + detector.spared()
        # Merged together with doubtful boxes the sure ones may come out otherwise, so the two are kept apart.
        every = predict(pixels, detector, config, 0.0)
        detector.spared()
        doubtful = every.take(every.scores < detector.min_score)
        return PeerAnswer(
            Detections.concat([sure, doubtful]), np.arange(len(sure) + len(doubtful)) < len(sure), seconds
        )

    return answer


def _whole_photo(pixels: Pixels, detector: ReplayedDetector, config: PipelineConfig) -> PeerAnswer:
    """One look at the photo shrunk to the network's input, as a detector without tiles takes it."""
    card, started = detector.card, time.perf_counter()
    fit = Letterbox.fit(pixels.shape[1], pixels.shape[0], card.width, card.height)
    small = cv2.resize(pixels, fit.inner, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    (raw,) = detector([small])
    merged, _ = plants_and_pots(
        drop_duplicates(raw, config.max_iou, 1.0, detector.min_score), detector.min_score
    )
    scale = np.float32(1 / fit.scale)
    found = Detections(merged.boxes * scale, merged.scores, merged.classes, merged.cut)
    seconds = time.perf_counter() - started + detector.spared()
    return PeerAnswer(found, found.scores >= detector.min_score, seconds)


PEERS: dict[str, Peer] = {
    "sahi-greedynmm": _by_sahi("GREEDYNMM", "IOS"),
    "sahi-nms": _by_sahi("NMS", "IOU"),
    "whole-photo": _whole_photo,
}
