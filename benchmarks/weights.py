"""The shipped detector as other programs want it: the same weights as ultralytics `.pt`, as ultralytics' own
OpenVINO export, and as ONNX.

Needs the extra `ultralytics`, and `onnx` for the last. What is made is kept in a folder and made once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from demeter_cli.settings import shipped

SIDE = 512


@dataclass(frozen=True)
class Peers:
    """Paths of one network in three forms, and the names of its classes."""

    torch: Path
    openvino: Path
    onnx: Path
    classes: tuple[str, ...]


def peers_of_shipped(folder: Path) -> Peers:
    """The shipped detector, without its plants per cell, which the others do not know."""
    classes = tuple(json.loads(shipped("configs/models/plant.json").read_text())["classes"])
    peers = Peers(folder / "plant.pt", folder / "plant_openvino_model", folder / "plant.onnx", classes)
    folder.mkdir(parents=True, exist_ok=True)
    if not peers.torch.exists():
        _save_torch(peers.torch, classes)
    if not peers.openvino.exists():
        _export(peers.torch, "openvino")
    if not peers.onnx.exists():
        _export(peers.torch, "onnx")
    return peers


def _save_torch(path: Path, classes: tuple[str, ...]) -> None:
    import torch
    from ultralytics import YOLO

    from tools.train.exported import load_exported
    from tools.train.network import plant_network

    whole = plant_network()
    # Any batch will do for the normalisations: they are unfolded to compute what they did when folded.
    batch = torch.from_numpy(np.random.default_rng(0).random((2, 3, SIDE, SIDE), np.float32))
    copied = load_exported(whole, shipped("configs/models/plant.xml"), batch)
    if not copied:
        raise SystemExit("the shipped weights do not fit the network that they were trained in")
    network = whole.detector.eval()
    network.names = dict(enumerate(classes))
    network.task = "detect"
    model = YOLO("yolov5n.yaml", verbose=False)
    model.model = network
    model.save(str(path))


def _export(path: Path, form: str) -> None:
    from ultralytics import YOLO

    YOLO(str(path), task="detect").export(format=form, imgsz=SIDE, verbose=False)
