"""Any model type that SAHI knows, behind our own tiling and merging."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from pipeline.config import PipelineConfig
from pipeline.devices import device_for
from pipeline.errors import ModelError
from pipeline.merge import from_sahi
from pipeline.things import things_of
from pipeline.types import Detections, Pixels
from pipeline.weights import ModelCard, thresholds

# ultralytics stops at 300 boxes a tile unless told otherwise, and says nothing.
NO_CAP = 100_000


@contextmanager
def _pillow_left_alone() -> Iterator[None]:
    """Once it is imported, ultralytics answers a damaged picture by installing a package from the network;
    to us, a damaged picture is a photo's failure."""
    from PIL import Image

    its_own = Image.open
    try:
        yield
    finally:
        Image.open = its_own


class SahiDetector:
    """Runs a model through `sahi.AutoDetectionModel`, tile by tile."""

    def __init__(self, card: ModelCard, model_type: str, config: PipelineConfig) -> None:
        self.card, self._things = card, things_of(card)
        self.min_score, floor = thresholds(card, config)
        try:
            from sahi import AutoDetectionModel
            from sahi.auto_model import MODEL_TYPE_TO_MODEL_CLASS_NAME

            if model_type not in MODEL_TYPE_TO_MODEL_CLASS_NAME:
                known = ", ".join(MODEL_TYPE_TO_MODEL_CLASS_NAME)
                raise ModelError(
                    f"runtime {model_type!r} is none of auto, openvino, {known}; correct the setting"
                )
            with _pillow_left_alone():
                self._model = AutoDetectionModel.from_pretrained(
                    model_type=model_type,
                    model_path=str(card.weights),
                    confidence_threshold=floor,
                    device=device_for(model_type, config.device),
                    image_size=card.width,
                )
        except ImportError as error:
            raise ModelError(
                f"{card.weights} needs packages that are not installed ({error}): "
                f"pip install 'demeter[ultralytics]'"
            ) from error
        except (KeyError, ValueError, OSError, RuntimeError, TypeError, AttributeError) as error:
            raise ModelError(f"SAHI cannot load {card.weights} as {model_type!r}: {error}") from error
        known_to_model = len(self._model.category_mapping or ())
        if len(card.classes) > 1 and known_to_model not in {0, len(card.classes)}:
            raise ModelError(
                f"{card.weights} knows {known_to_model} classes where its card lists {len(card.classes)}; "
                "correct the classes in its card"
            )
        overrides = getattr(self._model.model, "overrides", None)
        if overrides is not None:
            overrides["max_det"] = NO_CAP

    def __call__(self, tiles: Iterable[Pixels]) -> list[Detections]:
        return [self._detect(tile) for tile in tiles]

    def _detect(self, tile: Pixels) -> Detections:
        self._model.perform_inference(np.ascontiguousarray(tile[..., ::-1]))
        origin: list[list[int | float]] = [[0, 0]]
        size: list[list[int | float]] = [[tile.shape[0], tile.shape[1]]]
        self._model.convert_original_predictions(shift_amount=origin, full_shape=size)
        found = from_sahi(self._model.object_prediction_list)
        # Whatever a model finds whose card has one class belongs to that class.
        one = len(self._things) == 1
        return replace(found, classes=self._things[np.zeros_like(found.classes) if one else found.classes])
