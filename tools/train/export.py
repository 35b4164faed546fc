"""Write a trained network as OpenVINO IR in the layout that ultralytics exports have."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import openvino as ov
import torch
from torch import nn

from tools.train.network import PlantNetwork

log = logging.getLogger(__name__)

BATCH = 4  # of the check that the batch can be reshaped


def export_openvino(model: nn.Module, side: int, path: Path) -> Path:
    """Save `model` as `path` (.xml, with .bin beside it) with weights in FP16.

    Input `images` is float32 (N, 3, side, side), RGB from 0 to 1, with N left open.
    `output0` is (N, 4 + classes [+ 32], anchors): xywh in input pixels, class scores after
    the sigmoid, mask coefficients. A segmenter adds `output1`, prototypes (N, 32, side/4, side/4); a plant
    network plants per cell (N, 1, side/8, side/8).
    The graph holds no suppression. Anchors are computed in it, so other sides work too.
    """
    model = model.eval().float()
    head = model.model[-1]
    # A plant network takes the features from beside the boxes, which the head hides when it exports.
    head.export, head.dynamic, head.format = not isinstance(model, PlantNetwork), True, "openvino"
    example = torch.rand(2, 3, side, side)
    with torch.no_grad():
        converted = ov.convert_model(model, example_input=example)
        expected = model(example)
    converted.inputs[0].get_tensor().set_names({"images"})
    for number, output in enumerate(converted.outputs):
        output.get_tensor().set_names({f"output{number}"})
    converted.reshape({"images": ov.PartialShape([-1, 3, side, side])})
    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(converted, path, compress_to_fp16=True)
    first = expected[0] if isinstance(expected, tuple) else expected
    _check(path, example.numpy(), first.numpy())
    return path


def _check(path: Path, example: np.ndarray, expected: np.ndarray) -> None:
    """Fail if the file, read back with another batch size, disagrees with the network."""
    core = ov.Core()
    model = core.read_model(path)
    model.reshape({0: [BATCH, *example.shape[1:]]})
    batch = np.concatenate([example, example])
    precise = {"INFERENCE_PRECISION_HINT": "f32"}
    found = core.compile_model(model, "CPU", precise)({"images": batch})["output0"][:2]
    score_error = np.abs(found[:, 4:5] - expected[:, 4:5]).max()
    box_error = np.abs(found[:, :4] - expected[:, :4]).max()
    log.info("%s: largest change by export: box %.2f px, score %.4f", path, box_error, score_error)
    if score_error > 0.05:
        raise RuntimeError(f"{path} does not compute what the network computes")
