"""The two networks: YOLOv5n backbone and neck, with a detection or a segmentation head."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn
from ultralytics import YOLO
from ultralytics.nn.tasks import DetectionModel, SegmentationModel, yaml_model_load

from tools.train.truth import CONTAINER_CLASSES, PLANT_CLASSES, Pixels

# The gains of box, score and edge, and that masks come one per container.
LOSS_SETTINGS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, overlap_mask=False)


def plant_network() -> nn.Module:
    model = DetectionModel("yolov5n.yaml", nc=len(PLANT_CLASSES), verbose=False)
    model.names = dict(enumerate(PLANT_CLASSES))
    return model


def container_network() -> nn.Module:
    layout = yaml_model_load("yolov5n.yaml")
    inputs, repeats, _, _ = layout["head"][-1]
    layout["head"][-1] = [inputs, repeats, "Segment", ["nc", 32, 256]]
    model = SegmentationModel(layout, nc=len(CONTAINER_CLASSES), verbose=False)
    model.names = dict(enumerate(CONTAINER_CLASSES))
    model.args = LOSS_SETTINGS
    return model


def load_start(model: nn.Module, path: Path) -> int:
    """Copy every tensor of `path` that fits by name and shape; return how many did.

    `path` holds a plain dictionary of tensors, or an ultralytics checkpoint.
    """
    start = _tensors(path)
    own = model.state_dict()
    fitting = {name: value for name, value in start.items() if name in own and own[name].shape == value.shape}
    model.load_state_dict(fitting, strict=False)
    return len(fitting)


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(path, weights_only=True)
    except UnpicklingError:  # holds classes as well: an ultralytics checkpoint
        found = YOLO(path).model.state_dict()
    return {name: value.float() for name, value in found.items()}


def as_tensor(pictures: list[Pixels]) -> Tensor:
    """(n, 3, height, width) float32, RGB from 0 to 1, stored with the channels last."""
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).flip(1)
    return pixels.float().div_(255).contiguous(memory_format=torch.channels_last)
