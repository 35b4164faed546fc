"""Model cards: which files a model consists of, what it finds and at which threshold.

A card is a JSON file beside the weights. The files are checked against their sha256 before any
runtime reads them: a damaged or exchanged model would count wrongly without anyone noticing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError


@dataclass(frozen=True, slots=True)
class ModelCard:
    """`digest` names the weights: the same digest gives the same counts."""

    name: str
    version: str
    task: str  # "detect" or "segment"
    weights: Path
    digest: str
    classes: tuple[str, ...]
    width: int  # of the input, in pixels
    height: int
    padding: int  # grey level around a photo that does not fill the input
    min_score: float

    @property
    def label(self) -> str:
        return f"{self.name}-{self.version}"


def load_card(path: Path) -> ModelCard:
    """Read and verify the model at `path`: a card, or weights with a card beside them.

    Raises ModelError for a missing, unreadable or incomplete card, and for weights whose sha256
    differs from the card's.
    """
    card_path = path if path.suffix == ".json" else path.with_suffix(".json")
    if not card_path.exists():
        return _card_of_bare_weights(path)
    try:
        card = json.loads(card_path.read_text(encoding="utf-8"))
        weights = _verified_weights(card_path, card)
        size = card["input"]
        return ModelCard(
            name=str(card["name"]),
            version=str(card["version"]),
            task=str(card["task"]),
            weights=weights,
            digest=_digest_of_files(card["files"]),
            classes=tuple(str(name) for name in card["classes"]),
            width=int(size["width"]),
            height=int(size["height"]),
            padding=int(size.get("letterbox", 114)),
            min_score=float(card["min_score"]),
        )
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(
            f"the model card {card_path} cannot be read ({error}); install Demeter again"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"the model card {card_path} is incomplete: {error!r} is missing or wrong"
        ) from error


def _verified_weights(card_path: Path, card: dict[str, Any]) -> Path:
    files: dict[str, str] = card["files"]
    for name, expected in files.items():
        path = card_path.parent / name
        if Path(name).name != name:
            raise ModelError(f"the model card {card_path} names {name!r}, which is not a file beside it")
        if not path.exists():
            raise ModelError(f"the model file {path} is missing; install Demeter again")
        if sha256_of(path) != expected:
            raise ModelError(
                f"the model file {path} is damaged or was exchanged: its sha256 is not the one in "
                f"{card_path.name}; install Demeter again, or give the new weights a card of their own"
            )
    return card_path.parent / next(iter(files))


def _card_of_bare_weights(path: Path) -> ModelCard:
    """Weights of the user's own, without a card: one class, plants, at customary thresholds."""
    if path.suffix == ".json" or not path.exists():
        raise ModelError(f"there is no model at {path}; check the setting, or install Demeter again")
    digest = sha256_of(path)
    return ModelCard(path.stem, digest[:12], "detect", path, digest, ("plant",), 512, 512, 114, 0.25)


def _digest_of_files(files: dict[str, str]) -> str:
    return hashlib.sha256("".join(f"{n}:{files[n]}\n" for n in sorted(files)).encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """Raises ModelError when the file cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error
