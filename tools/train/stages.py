"""The steps of the recipe, each of which also runs alone."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tools.train import containers, plants
from tools.train.containers import ContainerTask
from tools.train.engine import Progress, Recipe, Task, Trainer
from tools.train.evaluate import (
    ContainerFigures,
    choose_container_score,
    choose_min_score,
    container_figures,
    plant_figures,
    search,
    search_containers,
    surer,
)
from tools.train.export import export_openvino
from tools.train.network import container_network, load_start, plant_network
from tools.train.plants import PlantTask
from tools.train.truth import LabelledPhoto, Split, cached_pixels, load_photos

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """Where things are and how long to train. `out` holds what can be made again."""

    data: Path
    out: Path
    models: Path
    start: Path | None
    plant_minutes: float
    container_minutes: float
    baseline: Path | None = None  # a network to set beside ours in the card
    test: bool = False  # look at the test photos too

    @property
    def splits(self) -> list[Split]:
        return [Split.VAL, Split.TEST] if self.test else [Split.VAL]

    @property
    def cache(self) -> Path:
        return self.out / "cache"

    @property
    def plant_checkpoint(self) -> Path:
        return self.out / "plant.pt"

    @property
    def container_checkpoint(self) -> Path:
        return self.out / "containers.pt"

    def photos(self, split: Split) -> list[LabelledPhoto]:
        return [photo for photo in load_photos(self.data) if photo.split == split]


def fill_cache(options: Options) -> None:
    """Decode every photo once."""
    for photo in load_photos(options.data):
        cached_pixels(photo, options.cache)
        cached_pixels(photo, options.cache, containers.SHRINK)


def train_plants(options: Options) -> None:
    model = plant_network()
    task = PlantTask(options.photos(Split.TRAIN), options.cache, model)

    def review(average: nn.Module, progress: Progress) -> None:
        with tempfile.TemporaryDirectory(dir=options.out) as folder:
            path = export_openvino(average.fuse(verbose=False), plants.SIDE, Path(folder) / "plant.xml")
            searches = search(path, plants.SIDE, options.photos(Split.VAL), options.cache)
        score = choose_min_score(searches)
        log.info("review at step %d: score %.2f, %s", progress.steps, score, plant_figures(searches, score))

    _train(model, task, Recipe(options.plant_minutes), options.plant_checkpoint, options.start, review)


def train_containers(options: Options) -> None:
    model = container_network()
    task = ContainerTask(options.photos(Split.TRAIN), options.cache, model)

    def review(average: nn.Module, progress: Progress) -> None:
        with tempfile.TemporaryDirectory(dir=options.out) as folder:
            path = export_openvino(average.fuse(verbose=False), containers.SIDE, Path(folder) / "c.xml")
            score, rows = review_containers(path, options)
        log.info("review at step %d: score %.2f", progress.steps, score)
        for row in rows:
            log.info("%s", row)

    recipe = Recipe(options.container_minutes)
    _train(model, task, recipe, options.container_checkpoint, options.start, review)


def review_containers(path: Path, options: Options) -> tuple[float, list[ContainerFigures]]:
    """The best score on the validation photos, and the figures there."""
    photos = options.photos(Split.VAL)
    found = search_containers(path, containers.SIDE, photos, options.cache)
    score = choose_container_score(photos, found, options.cache)
    return score, container_figures(photos, surer(found, score), options.cache)


def export_plants(options: Options) -> Path:
    return _export(plant_network(), options.plant_checkpoint, plants.SIDE, options.models / "plant.xml")


def export_containers(options: Options) -> Path:
    path = options.models / "containers.xml"
    return _export(container_network(), options.container_checkpoint, containers.SIDE, path)


def _train(
    model: nn.Module,
    task: Task,
    recipe: Recipe,
    checkpoint: Path,
    start: Path | None,
    review: Callable[[nn.Module, Progress], None],
) -> None:
    if start is not None and not checkpoint.exists():
        pixels = task.batch(np.random.default_rng(0)).pixels
        log.info("%d tensors of %s", load_start(model, start, pixels), start)
    Trainer(model, task, recipe, checkpoint).run(review)


def _export(model: nn.Module, checkpoint: Path, side: int, path: Path) -> Path:
    content = torch.load(checkpoint, weights_only=True)
    model.load_state_dict(content["average"])
    return export_openvino(model.eval().fuse(verbose=False), side, path)
