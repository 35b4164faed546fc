"""A photo comes to the same from its kept evidence as from its pixels."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.calibration import Calibration
from pipeline.config import ESTIMATORS, PipelineConfig
from pipeline.kept import unpack
from pipeline.photo import Counter
from pipeline.reckon import recount
from pipeline.types import ContainerKind, Photo, PhotoResult, PhotoStatus, Spacing
from pipeline.weights import ModelCard
from tests.pipeline.networks import tiny_config
from tests.pipeline.scenes import pots

SPACINGS = (Spacing(ContainerKind.SEGMENT, 64.0, 8.0),)
GENEROUS = Calibration(
    "generous", np.array([0.1, 0.9]), np.array([5.0, 50.0]), np.full((2, 2), 1.5), np.full(2, 0.7), 1.2
)


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    """A bed of plants, some of which are too dim to be seen."""
    pixels = pots(12, 10, 90)
    pixels[16 * 8 : 16 * 9, 16 : 16 * 7] = 120
    path = tmp_path / "bed.png"
    cv2.imwrite(str(path), pixels)
    content = path.read_bytes()
    return Photo(path, hashlib.sha256(content).hexdigest(), len(content), SPACINGS)


def figures(result: PhotoResult) -> object:
    return (
        [(c.seen, c.hidden, c.low, c.high, c.container.role, c.estimates) for c in result.counts],
        (result.low, result.high, result.main, result.phash, result.status, result.warnings),
        (result.measures, result.unlikeness, result.findings),
        (result.detections.boxes.tolist(), result.owner.tolist()),
    )


def count(config: PipelineConfig, photo: Photo) -> tuple[PhotoResult, ModelCard]:
    counter = Counter.load(replace(config, keep_evidence=True))
    return counter.count(photo), counter.detector.card


@pytest.mark.parametrize("method", ESTIMATORS)
def test_a_count_from_evidence_is_the_count_from_the_photo(tmp_path: Path, photo: Photo, method: str) -> None:
    config = tiny_config(tmp_path, estimator=method)
    first, card = count(config, photo)
    assert first.evidence is not None
    kept = unpack(first.evidence, "x")
    assert figures(recount(kept, (card, config), photo, "m")) == figures(first)
    assert kept.network == card.network != ""


@pytest.mark.parametrize("method", ESTIMATORS)
def test_evidence_of_one_method_gives_the_count_of_any_other(
    tmp_path: Path, photo: Photo, method: str
) -> None:
    config = tiny_config(tmp_path)
    first, card = count(config, photo)
    assert first.evidence is not None
    wanted, _ = count(replace(config, estimator=method), photo)
    other = replace(config, estimator=method)
    assert figures(recount(unpack(first.evidence, "x"), (card, other), photo, "m")) == figures(wanted)


def test_a_new_calibration_decides_anew_what_counts_as_seen(tmp_path: Path, photo: Photo) -> None:
    config = tiny_config(tmp_path)
    first, card = count(config, photo)
    assert first.evidence is not None
    again = recount(unpack(first.evidence, "x"), (replace(card, calibration=GENEROUS), config), photo, "m")
    assert again.seen == first.seen
    assert again.total == pytest.approx(1.5 * first.seen, abs=1)
    worthless = replace(GENEROUS, worth=np.full((2, 2), 0.2))
    none = recount(unpack(first.evidence, "x"), (replace(card, calibration=worthless), config), photo, "m")
    assert none.seen == 0


def test_evidence_is_kept_only_where_it_is_asked_for(tmp_path: Path, photo: Photo) -> None:
    config = tiny_config(tmp_path)
    assert Counter.load(config).count(photo).evidence is None
    assert replace(config, keep_evidence=True).fingerprint() == config.fingerprint()


@pytest.mark.parametrize(
    ("spacings", "words"),
    [
        ((), "there are no density parameters for a segment"),
        ((Spacing(ContainerKind.BOX, 64.0, 8.0),), "there are no density parameters for a segment"),
        ((Spacing(ContainerKind.SEGMENT, 0.0, 8.0),), "an area of 0 cm²"),
        ((Spacing(ContainerKind.SEGMENT, 64.0, 0.0),), "a diameter of 0 cm"),
        ((Spacing(ContainerKind.SEGMENT, float("nan"), 8.0),), "an area of nan cm²"),
        ((Spacing(ContainerKind.SEGMENT, 64.0, 8.0, 0.0),), "an overlap factor of 0"),
    ],
)
def test_without_usable_density_parameters_the_photo_says_so(
    tmp_path: Path, photo: Photo, spacings: tuple[Spacing, ...], words: str
) -> None:
    config = tiny_config(tmp_path, estimator="density")
    result, _ = count(config, replace(photo, spacings=spacings))
    assert result.hidden == 0
    assert result.status is PhotoStatus.WARNING
    (sentence,) = result.warnings
    assert words in sentence
    assert "density_parameters" in sentence
