"""Model cards: which files a model consists of, what it finds and at which threshold.

A card is a JSON file beside the weights. The files are checked against their sha256 before any
runtime reads them: a damaged or exchanged model would count wrongly without anyone noticing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.calibration import Calibration
from pipeline.config import PipelineConfig
from pipeline.errors import ModelError
from pipeline.unlike import Reference

TASKS = ("detect", "segment")
LARGEST_INPUT = 8192  # pixels a side; beyond it memory runs out, and a slip of the pen is likelier
REMEDY = "install Demeter again"
CODELESS = frozenset({".xml", ".onnx", ".safetensors"})  # graphs and arrays; all other forms may be pickles


@dataclass(frozen=True, slots=True)
class ModelCard:
    """`digest` names weights, calibration and training photos: the same digest gives the same counts."""

    name: str
    version: str
    task: str  # one of TASKS
    weights: Path
    digest: str
    classes: tuple[str, ...]
    width: int  # of the input, in pixels
    height: int
    padding: int  # grey level around a photo that does not fill the input
    min_score: float
    calibration: Calibration | None = None
    reference: Reference | None = None  # the training photos, from a file beside the card
    network: str = ""  # names the weights alone, which boxes and scores depend on
    int8: Path | None = None  # the card of the same network in 8-bit arithmetic, where there is one

    @property
    def label(self) -> str:
        return f"{self.name}-{self.version}"


def load_card(path: Path) -> ModelCard:
    """Read and verify the model at `path`: a card, or weights with a card beside them.

    Raises ModelError for a missing, unreadable or incomplete card, and for weights whose sha256
    differs from the card's.
    """
    card_path = path if path.suffix == ".json" else path.parent / f"{path.stem}.json"
    try:
        content = json.loads(card_path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError:
        return _card_of_bare_weights(path)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"the model card {card_path} cannot be read ({error}); {REMEDY}") from error
    try:
        card = _parse(content, card_path)
    except KeyError as error:
        raise ModelError(f"the model card {card_path} is incomplete: it has no {error}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"the model card {card_path} is wrong: {error}") from error
    if path != card_path and path.name not in content["files"]:
        raise ModelError(
            f"the model card {card_path} does not name {path.name}; give these weights a card of their own, "
            "or another name"
        )
    return card


def require_trusted(card: ModelCard, trusted: Collection[str]) -> None:
    """Weights whose form carries code, which runs when they are loaded, must be named by their sha256.

    The card beside them is no vouching: whoever made the weights made it too. Raises ModelError.
    """
    if card.weights.suffix.lower() in CODELESS:
        return
    digest = sha256_of(card.weights)
    if digest not in trusted:
        raise ModelError(
            f"{card.weights} may carry code that runs when it is loaded, so it is refused: export it to ONNX "
            f'or OpenVINO, or if you trust whom it comes from, set trusted_pickles = ["{digest}"]'
        )


def thresholds(card: ModelCard, config: PipelineConfig) -> tuple[float, float]:
    """The score from which a box counts as seen, and the lowest from which it says anything."""
    seen = config.detector.min_score if config.detector.min_score is not None else card.min_score
    return seen, min(seen, card.calibration.floor) if card.calibration else seen


def _parse(content: Any, card_path: Path) -> ModelCard:
    """Raises KeyError for what is missing, TypeError or ValueError for what cannot be meant."""
    if not isinstance(content, dict):
        raise TypeError("it holds no JSON object")
    task, classes, size = content["task"], content["classes"], _object(content["input"], "input")
    if task not in TASKS:
        raise ValueError(f"task is {task!r}, which is none of {', '.join(TASKS)}")
    if not isinstance(classes, list) or not classes:
        raise TypeError(f"classes is {classes!r}, which is no list of names")
    files = _object(content["files"], "files")
    photos = _photos_beside(card_path)
    return ModelCard(
        name=str(content["name"]),
        version=str(content["version"]),
        task=task,
        weights=_verified_weights(card_path, files),
        digest=_digest_of_files(files, content.get("calibration"), photos),
        classes=tuple(str(name) for name in classes),
        width=int(_within(size["width"], 1, LARGEST_INPUT, "input width")),
        height=int(_within(size["height"], 1, LARGEST_INPUT, "input height")),
        padding=int(_within(size.get("letterbox", 114), 0, 255, "letterbox")),
        min_score=_within(content["min_score"], 0, 1, "min_score"),
        calibration=Calibration.parse(content["calibration"]) if content.get("calibration") else None,
        reference=Reference.parse(photos) if photos else None,
        network=_digest_of_files(files),
        int8=_card_beside(card_path, content.get("int8")),
    )


def _card_beside(card_path: Path, name: Any) -> Path | None:
    if name is None:
        return None
    if not isinstance(name, str) or Path(name).name != name or not name.endswith(".json"):
        raise TypeError(f"int8 is {name!r}, which is no card beside it")
    return card_path.with_name(name)


def photos_path(card_path: Path) -> Path:
    """The file that tells what the photos were like on which a model was trained; it may be missing."""
    return card_path.with_suffix(".photos.json")


def _photos_beside(card_path: Path) -> Any:
    path = photos_path(card_path)
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse) if path.exists() else None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read ({error}); {REMEDY}") from error


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise TypeError(f"{what} is {value!r}, which is no object with names and values")
    return value


def _within(value: Any, low: float, high: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{what} is {value!r}, which is no number from {low} to {high}")
    return float(value)


def _verified_weights(card_path: Path, files: dict[str, Any]) -> Path:
    for name, expected in files.items():
        if name in {"", ".."} or Path(name).name != name:
            raise ModelError(f"the model card {card_path} names {name!r}, which is not a file beside it")
        path = card_path.parent / name
        if not path.exists():
            raise ModelError(f"the model file {path}, which {card_path.name} names, is missing; {REMEDY}")
        if sha256_of(path) != expected:
            raise ModelError(
                f"the model file {path} is damaged or was exchanged: its sha256 is not the one in "
                f"{card_path.name}; {REMEDY}, or give the new weights a card of their own"
            )
    return card_path.parent / next(iter(files))


def _card_of_bare_weights(path: Path) -> ModelCard:
    """Weights of the user's own, without a card: one class, plants, at customary thresholds."""
    if path.suffix == ".json" or not path.exists():
        raise ModelError(f"there is no model at {path}; check the setting, or {REMEDY}")
    files = {path.name: sha256_of(path)}
    beside = path.with_suffix(".bin")
    if path.suffix == ".xml" and beside.exists():  # OpenVINO keeps the graph and its weights apart.
        files[beside.name] = sha256_of(beside)
    digest = _digest_of_files(files)
    return ModelCard(
        path.stem, digest[:12], "detect", path, digest, ("plant",), 512, 512, 114, 0.25, network=digest
    )


def _digest_of_files(files: dict[str, Any], calibration: Any = None, photos: Any = None) -> str:
    """Names everything in a card that changes counts."""
    lines = "".join(f"{name}:{files[name]}\n" for name in sorted(files))
    if calibration is not None:
        lines += json.dumps(calibration, sort_keys=True)
    if photos is not None:
        lines += json.dumps(photos, sort_keys=True)
    return hashlib.sha256(lines.encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Raises ModelError when the file cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error
