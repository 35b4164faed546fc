"""What the pipeline needs to know, in one frozen value."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path

# Raise it with every change of the code that changes counts; photos are then counted anew.
VERSION = 3
ESTIMATORS = ("density-map", "expected", "perspective", "bands", "density")


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which weights to use, and through which runtime.

    `runtime` is "auto" (by the file's suffix), "openvino", or a model type that SAHI knows
    ("ultralytics", "torchvision", "huggingface", …).
    """

    path: Path
    runtime: str = "auto"
    min_score: float | None = None  # None: the threshold in the model's card


class Reaction(StrEnum):
    """What is done about a photo when a check finds something."""

    OFF = "off"
    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class GateConfig:
    """One reaction per `pipeline.types.Check`, by its name."""

    unreadable: Reaction = Reaction.REFUSE
    dark: Reaction = Reaction.WARN
    bright: Reaction = Reaction.WARN
    haze: Reaction = Reaction.WARN
    motion: Reaction = Reaction.WARN
    blur: Reaction = Reaction.WARN
    small: Reaction = Reaction.WARN
    angle: Reaction = Reaction.WARN
    turned: Reaction = Reaction.WARN
    floor: Reaction = Reaction.REFUSE
    empty: Reaction = Reaction.REFUSE
    loose: Reaction = Reaction.WARN
    strange: Reaction = Reaction.WARN
    repeat: Reaction = Reaction.WARN

    def reaction(self, check: str) -> Reaction:
        return Reaction(getattr(self, check))

    def accepting(self) -> GateConfig:
        """The same, but what would be refused is only warned of."""
        names = [name for name, reaction in asdict(self).items() if reaction is Reaction.REFUSE]
        return replace(self, **dict.fromkeys(names, Reaction.WARN))


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """Lengths are pixels of the upright photo, shares lie in 0–1."""

    detector: ModelChoice
    segmenter: ModelChoice
    tile: int = 512
    view_side: int = 2080  # photos are looked at with this long side; 0: as they are
    overlap: float = 0.25
    skip_below: float = 0.02  # tiles with a smaller share of containers are not looked at; 0: all are
    merge: str = "cut-aware"  # or "nms", "greedynmm", which heed neither of the next two
    max_iou: float = 0.5
    max_cut_overlap: float = 0.5
    estimator: str = "density-map"  # one of ESTIMATORS
    max_megapixels: float = 120.0
    min_side: int = 64
    # What follows changes what becomes of a count, or how fast it is made; the count itself at most by plants
    # whose scores are so near the threshold that the precision decides.
    gate: GateConfig = GateConfig()
    workers: int = 1
    threads: int = 0  # per worker; 0: twice its share of the cores
    device: str = "CPU"
    precision: str = "auto"  # or "f32", "bf16", "int8": the networks' arithmetic
    cache_dir: Path | None = None
    overlay_dir: Path | None = field(default=None)
    patience: float = 600.0  # seconds that a worker may take for one photo; 0: for ever
    keep_evidence: bool = False  # whether results bring what they can be estimated from again
    trusted_pickles: tuple[str, ...] = ()  # sha256 of weights that may run code of their own when loaded

    def fingerprint(self) -> str:
        """Names everything that can change a count; photos counted under it need no second look."""
        values = asdict(self)
        for name in (
            "gate",
            "workers",
            "threads",
            "device",
            "precision",
            "cache_dir",
            "overlay_dir",
            "patience",
            "keep_evidence",
            "trusted_pickles",
            "detector",
            "segmenter",
        ):
            del values[name]
        values["version"] = VERSION
        values["min_score"] = [self.detector.min_score, self.segmenter.min_score]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
