from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.detect import load_detector
from pipeline.devices import device_for
from pipeline.errors import ModelError
from tests.pipeline.networks import tiny_config


@pytest.mark.parametrize(
    ("runtime", "device", "name"),
    [
        ("openvino", "CPU", "CPU"),
        ("openvino", "gpu", "GPU"),
        ("openvino", "GPU.1", "GPU.1"),
        ("openvino", "AUTO", "AUTO"),
        ("ultralytics", "CPU", "cpu"),
        ("ultralytics", "GPU", "cuda:0"),
        ("ultralytics", "CUDA", "cuda:0"),
        ("ultralytics", "cuda:1", "cuda:1"),
        ("torchvision", "mps", "mps"),
    ],
)
def test_each_runtime_gets_the_name_that_it_knows(runtime: str, device: str, name: str) -> None:
    assert device_for(runtime, device) == name


def test_a_card_that_openvino_cannot_use_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Nvidia's cards: take a \.pt model"):
        load_detector(replace(tiny_config(tmp_path), device="CUDA"))
