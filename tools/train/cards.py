"""The machine card beside an exported model: what a program must know to use it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

LICENCE = (
    "AGPL-3.0-or-later; trained from YOLOv5n v6.0 COCO weights by Ultralytics (GPL-3.0) "
    "with the ultralytics package (AGPL-3.0)"
)
Figures = dict[str, str | int | float]


@dataclass(frozen=True)
class Card:
    """One model as others use it; `side` in pixels, `letterbox` a grey level 0-255."""

    name: str
    version: str
    task: str
    classes: tuple[str, ...]
    side: int
    min_score: float
    max_overlap: float
    letterbox: int = 114
    metrics: Figures = field(default_factory=dict)


def write_card(card: Card, folder: Path) -> Path:
    """Write `folder`/NAME.json for the IR files that lie there, with their SHA-256."""
    files = {f"{card.name}{suffix}": "" for suffix in (".xml", ".bin")}
    content = {
        "name": card.name,
        "version": card.version,
        "task": card.task,
        "format": "openvino",
        "files": {name: _sha256(folder / name) for name in files},
        "classes": list(card.classes),
        "input": {"width": card.side, "height": card.side, "letterbox": card.letterbox},
        "min_score": card.min_score,
        "max_overlap": card.max_overlap,
        "licence": LICENCE,
        "card": f"{card.name}.md",
        "metrics": card.metrics,
    }
    path = folder / f"{card.name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
