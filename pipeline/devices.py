"""What the setting `device` means to each runtime. Pure."""

from __future__ import annotations

from pipeline.errors import ModelError

GRAPHICS = ("GPU", "CUDA")


def device_for(runtime: str, device: str) -> str:
    """The name that the runtime knows the device by. "GPU" is Intel's to OpenVINO, Nvidia's to all others.

    Raises ModelError for one that the runtime cannot have.
    """
    kind, _, number = device.upper().partition(":")
    if runtime == "openvino":
        if kind == "CUDA":
            raise ModelError(
                "OpenVINO does not run on Nvidia's cards: take a .pt model (runtime ultralytics) for device "
                f'"{device}", or set device to "CPU", or to "GPU" for Intel\'s graphics'
            )
        return device.upper()
    if kind in GRAPHICS:
        return f"cuda:{number or 0}"
    return device.lower()
