"""Tiny networks without weights, for tests: real OpenVINO files that a real worker can load.

The detector divides its input into cells of 16 pixels. The brightness of a cell is its score, so a bright
square on the lattice is a plant. The segmenter calls whatever is not black one container.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

from pipeline.config import GateConfig, ModelChoice, PipelineConfig, Reaction

# Drawn scenes are no photographs: what the gate holds against their pixels is beside the point.
DRAWN = GateConfig(
    **dict.fromkeys(
        ("unreadable", "dark", "bright", "haze", "motion", "blur", "small", "angle", "turned"), Reaction.OFF
    )
)
CELL = 16
PLANT = 10  # side of the detector's boxes: clear of the cell's edges, and so of the tile's
SIDE = 64  # of the detector's input


def save_detector(
    folder: Path, *, side: int = SIDE, classes: tuple[str, ...] = ("plant",), density: int = 0
) -> Path:
    """Write the detector and its card; returns the path of the card. All but the first class score 0.

    With `density` it has a second output: the brightness of each cell of so many pixels.
    """
    image = op.parameter([1, 3, side, side], np.float32, name="images")
    scores = op.reshape(_brightness(image, CELL), np.array([1, 1, -1]), special_zero=False)
    middles = np.arange(CELL / 2, side, CELL, dtype=np.float32)
    y, x = (grid.ravel() for grid in np.meshgrid(middles, middles, indexing="ij"))
    boxes = np.stack([x, y, np.full_like(x, PLANT), np.full_like(x, PLANT)])[None]
    others = np.zeros((1, len(classes) - 1, len(x)), np.float32)
    output = op.concat([boxes, scores, others] if len(classes) > 1 else [boxes, scores], axis=1)
    outputs = [output, _brightness(image, density)] if density else [output]
    return save(folder, ov.Model(outputs, [image]), {"name": "cells", "classes": list(classes), "side": side})


def save_sorter(folder: Path, *, side: int = SIDE, density: int = 0) -> Path:
    """As `save_detector`, but the colour of a cell says what stands there: a green plant, a blue empty pot or
    a red dead plant, each as sure as that colour is bright."""
    image = op.parameter([1, 3, side, side], np.float32, name="images")
    cells = op.avg_pool(image, [CELL, CELL], [0, 0], [0, 0], [CELL, CELL], exclude_pad=True)
    red_green_blue = op.reshape(cells, np.array([1, 3, -1]), special_zero=False)
    scores = op.gather(red_green_blue, np.array([1, 2, 0]), np.array(1))
    middles = np.arange(CELL / 2, side, CELL, dtype=np.float32)
    y, x = (grid.ravel() for grid in np.meshgrid(middles, middles, indexing="ij"))
    boxes = np.stack([x, y, np.full_like(x, PLANT), np.full_like(x, PLANT)])[None]
    output = op.concat([boxes, scores], axis=1)
    outputs = [output, _brightness(image, density)] if density else [output]
    classes = ["plant", "empty_container", "dead_plant"]
    return save(folder, ov.Model(outputs, [image]), {"name": "sorter", "classes": classes, "side": side})


def save_segmenter(folder: Path, *, side: int = SIDE, classes: tuple[str, ...] = ("segment",)) -> Path:
    """Write the segmenter and its card; returns the path of the card."""
    image = op.parameter([1, 3, side, side], np.float32, name="images")
    lit = op.subtract(_brightness(image, 4), np.float32(0.05))
    prototypes = op.concat([lit, np.zeros((1, 31, side // 4, side // 4), np.float32)], axis=1)
    whole = np.zeros((1, 4 + len(classes) + 32, 1), np.float32)
    whole[0, :4, 0] = side / 2, side / 2, side, side
    whole[0, 4, 0] = 0.9
    whole[0, 4 + len(classes), 0] = 1.0
    model = ov.Model([op.add(whole, np.float32(0)), prototypes], [image])
    card = {"name": "lit", "task": "segment", "classes": list(classes), "side": side}
    return save(folder, model, card)


def save(folder: Path, model: ov.Model, card: dict[str, Any]) -> Path:
    """Write a network and a card with its true sha256; returns the path of the card."""
    folder.mkdir(parents=True, exist_ok=True)
    name = card.get("name", "net")
    ov.save_model(model, folder / f"{name}.xml", compress_to_fp16=False)
    files = [folder / f"{name}.xml", folder / f"{name}.bin"]
    return write_card(folder / f"{name}.json", files, **card)


def write_card(path: Path, files: list[Path], **card: Any) -> Path:
    side = card.pop("side", SIDE)
    content = {
        "name": path.stem,
        "version": "1",
        "task": "detect",
        "files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
        "classes": ["plant"],
        "input": {"width": side, "height": side, "letterbox": 0},
        "min_score": 0.5,
    }
    path.write_text(json.dumps(content | card), encoding="utf-8")
    return path


def tiny_config(folder: Path, **changes: Any) -> PipelineConfig:
    """The pipeline with both tiny networks, written below `folder`."""
    choices = {"detector": save_detector(folder / "models"), "segmenter": save_segmenter(folder / "models")}
    values: dict[str, Any] = {"tile": SIDE, "overlap": 0.25, "view_side": 0, "workers": 0, "threads": 1}
    values["gate"] = DRAWN
    return PipelineConfig(**{name: ModelChoice(path) for name, path in choices.items()} | values | changes)


def _brightness(image: ov.Node, cell: int) -> ov.Node:
    """(1, 1, h / cell, w / cell): mean of all three channels, 0–1."""
    grey = op.reduce_mean(image, np.array([1]), keep_dims=True)
    return op.avg_pool(grey, [cell, cell], [0, 0], [0, 0], [cell, cell], exclude_pad=True)
