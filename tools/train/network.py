"""The two networks: YOLOv5n backbone and neck, with a detection or a segmentation head."""

from __future__ import annotations

import math
from pathlib import Path
from pickle import UnpicklingError
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from ultralytics import YOLO
from ultralytics.nn.modules import Conv, Detect
from ultralytics.nn.tasks import DetectionModel, SegmentationModel, yaml_model_load

from tools.train.exported import load_exported
from tools.train.truth import CONTAINER_CLASSES, PLANT_CLASSES, Pixels

HALF_PRECISION = torch.ops.mkldnn._is_mkldnn_bf16_supported()
TYPICAL_DENSITY = 0.02  # plants per cell of 8 × 8 px
# The gains of box, score and edge, and that masks come one per container.
LOSS_SETTINGS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, overlap_mask=False)


class PlantNetwork(nn.Module):
    """A YOLO detector that also says how many plants stand in each cell of its finest features, those
    included that nobody can see (density-map regression, as in crowd counting).

    In training it returns the head's raw outputs by name, with `density` (n, 1, h/8, w/8) among them;
    otherwise the decoded boxes (n, 4 + classes, anchors) and the density.
    """

    def __init__(self) -> None:
        super().__init__()
        self.detector = DetectionModel("yolov5n.yaml", nc=len(PLANT_CLASSES), verbose=False)
        channels = self.head.cv2[0][0].conv.in_channels
        self.density = nn.Sequential(Conv(channels, 48, 3), Conv(48, 48, 3), nn.Conv2d(48, 1, 1))
        nn.init.constant_(self.density[-1].bias, math.log(TYPICAL_DENSITY))

    @property
    def model(self) -> nn.Sequential:
        """The layers, the head last."""
        return self.detector.model

    @property
    def head(self) -> Detect:
        return self.detector.model[-1]

    def forward(self, pixels: Tensor) -> dict[str, Tensor] | tuple[Tensor, Tensor]:
        outputs = self.detector(pixels)
        raw = outputs if self.training else outputs[1]
        plants = functional.softplus(self.density(raw["feats"][0]).float())
        return {**raw, "density": plants} if self.training else (outputs[0], plants)

    def fuse(self, verbose: bool = False) -> PlantNetwork:
        """Fold the normalisations of the detector into its convolutions."""
        self.detector.fuse(verbose=verbose)
        return self


def plant_network() -> PlantNetwork:
    return PlantNetwork()


def container_network() -> nn.Module:
    layout = yaml_model_load("yolov5n.yaml")
    inputs, repeats, _, _ = layout["head"][-1]
    layout["head"][-1] = [inputs, repeats, "Segment", ["nc", 32, 256]]
    model = SegmentationModel(layout, nc=len(CONTAINER_CLASSES), verbose=False)
    model.names = dict(enumerate(CONTAINER_CLASSES))
    model.args = LOSS_SETTINGS
    return model


def load_start(model: nn.Module, path: Path, pixels: Tensor) -> int:
    """Copy every tensor of `path` that fits by name and shape; return how many did.

    `path` holds a plain dictionary of tensors, an ultralytics checkpoint, or an exported network (.xml),
    whose normalisations are made anew from a batch of `pixels`.
    """
    if path.suffix == ".xml":
        return load_exported(model, path, pixels)
    start, target = _tensors(path), model.detector if isinstance(model, PlantNetwork) else model
    own = target.state_dict()
    fitting = {name: value for name, value in start.items() if name in own and own[name].shape == value.shape}
    target.load_state_dict(fitting, strict=False)
    return len(fitting)


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(path, weights_only=True)
    except UnpicklingError:  # holds classes as well: an ultralytics checkpoint
        found = YOLO(path).model.state_dict()
    return {name: value.float() for name, value in found.items()}


def forward(model: nn.Module, pixels: Tensor) -> Any:
    """The raw outputs of a network in float32.

    Where the processor multiplies bfloat16 (AVX-512 BF16, AMX) the network works in it: steps then take
    three quarters of the time.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=HALF_PRECISION):
        outputs = model(pixels)
    return _in_full_precision(outputs)


def _in_full_precision(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _in_full_precision(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_in_full_precision(one) for one in value)
    return value.float() if isinstance(value, Tensor) else value


def as_tensor(pictures: list[Pixels]) -> Tensor:
    """(n, 3, height, width) float32, RGB from 0 to 1, stored with the channels last."""
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).flip(1)
    return pixels.float().div_(255).contiguous(memory_format=torch.channels_last)
