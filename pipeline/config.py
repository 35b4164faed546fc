"""What the pipeline needs to know, in one frozen value."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

# Raise it with every change of the code that changes counts; photos are then counted anew.
VERSION = 1
ESTIMATORS = ("expected", "perspective")


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which weights to use, and through which runtime.

    `runtime` is "auto" (by the file's suffix), "openvino", or a model type that SAHI knows
    ("ultralytics", "torchvision", "huggingface", …).
    """

    path: Path
    runtime: str = "auto"
    min_score: float | None = None  # None: the threshold in the model's card


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """Lengths are pixels of the upright photo, shares lie in 0–1."""

    detector: ModelChoice
    segmenter: ModelChoice
    tile: int = 512
    view_side: int = 2080  # photos are looked at with this long side; 0: as they are
    overlap: float = 0.25
    max_iou: float = 0.5
    max_cut_overlap: float = 0.5
    estimator: str = "expected"  # or "perspective"
    max_megapixels: float = 120.0
    min_side: int = 64
    # What follows changes how fast a photo is counted, never the count.
    workers: int = 1
    threads: int = 0  # per worker; 0: cores ÷ workers
    device: str = "CPU"
    cache_dir: Path | None = None
    overlay_dir: Path | None = field(default=None)

    def fingerprint(self) -> str:
        """Names everything that can change a count; photos counted under it need no second look."""
        values = asdict(self)
        for name in ("workers", "threads", "device", "cache_dir", "overlay_dir", "detector", "segmenter"):
            del values[name]
        values["version"] = VERSION
        values["min_score"] = [self.detector.min_score, self.segmenter.min_score]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
