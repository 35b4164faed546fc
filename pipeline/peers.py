"""The same weights counted in other people's ways, to compare with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from sahi.models.base import DetectionModel
from sahi.predict import get_sliced_prediction
from sahi.prediction import ObjectPrediction

from pipeline.boxes import drop_duplicates
from pipeline.config import PipelineConfig
from pipeline.detect import Detector
from pipeline.types import Detections, Pixels
from pipeline.yolo import Letterbox

Peer = Callable[[Pixels, Detector, PipelineConfig], Detections]


class _SahiView(DetectionModel):
    """Our detector as SAHI wants to see a model."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        super().__init__(model=detector, confidence_threshold=detector.min_score, device="cpu")

    def set_model(self, model: Any, **_: Any) -> None:
        self.model = model

    @property
    def num_categories(self) -> int:
        return len(self._detector.card.classes)

    def perform_inference(self, image: np.ndarray) -> None:
        (found,) = self._detector([np.ascontiguousarray(image[..., ::-1])])
        self._original_predictions = found.take(found.scores >= self._detector.min_score)

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
                    category_name=self._detector.card.classes[int(kind)],
                    shift_amount=shift,
                    full_shape=shape,
                )
                for box, kind, score in zip(
                    found.boxes.tolist(), found.classes.tolist(), found.scores.tolist(), strict=True
                )
            ]
        ]


def _by_sahi(kind: str, metric: str) -> Peer:
    """`get_sliced_prediction` over the same tiles; its own merge does the rest."""

    def predict(pixels: Pixels, detector: Detector, config: PipelineConfig) -> Detections:
        result = get_sliced_prediction(
            np.ascontiguousarray(pixels[..., ::-1]),
            _SahiView(detector),
            slice_height=config.tile,
            slice_width=config.tile,
            overlap_height_ratio=config.overlap,
            overlap_width_ratio=config.overlap,
            perform_standard_pred=False,
            postprocess_type=kind,
            postprocess_match_metric=metric,
            postprocess_match_threshold=0.5,
            force_postprocess_type=True,
            verbose=0,
        )
        found = result.object_prediction_list
        return Detections(
            np.array([item.bbox.to_xyxy() for item in found], np.float32).reshape(-1, 4),
            np.array([item.score.value for item in found], np.float32),
            np.array([item.category.id for item in found], np.int16),
            np.zeros(len(found), np.bool_),
        )

    return predict


def _whole_photo(pixels: Pixels, detector: Detector, config: PipelineConfig) -> Detections:
    """One look at the photo shrunk to the network's input, as a detector without tiles takes it."""
    card = detector.card
    fit = Letterbox.fit(pixels.shape[1], pixels.shape[0], card.width, card.height)
    small = cv2.resize(pixels, fit.inner, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    (raw,) = detector([small])
    found = drop_duplicates(raw.take(raw.scores >= detector.min_score), config.max_iou, 1.0)
    scale = np.float32(1 / fit.scale)
    return Detections(found.boxes * scale, found.scores, found.classes, found.cut)


PEERS: dict[str, Peer] = {
    "sahi-greedynmm": _by_sahi("GREEDYNMM", "IOS"),
    "sahi-nms": _by_sahi("NMS", "IOU"),
    "whole-photo": _whole_photo,
}
