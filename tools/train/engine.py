"""The training loop: AdamW, cosine, a running average of the weights, checkpoints that resume."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

Batch = TypeVar("Batch")


class Task(Protocol[Batch]):
    """What differs between the networks: their pictures and their loss."""

    def batch(self, random: np.random.Generator) -> Batch: ...

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]: ...


@dataclass(frozen=True)
class Recipe:
    """How to train. The schedule follows the clock, so that it ends when it has to."""

    minutes: float
    learning_rate: float = 1.5e-3
    final_share: float = 0.02  # of the learning rate, at the end
    warmup_steps: int = 60
    weight_decay: float = 5e-4
    average_steps: int = 300  # memory of the running average
    frozen_layers: int = 2  # the first convolutions see edges and colours; COCO taught them
    checkpoint_minutes: float = 3.0
    review_minutes: float = 15.0
    seed: int = 1


@dataclass
class Progress:
    """What a checkpoint holds besides the weights."""

    steps: int = 0
    seconds: float = 0.0
    reviewed: float = 0.0  # seconds at the last review


class Trainer(Generic[Batch]):
    """Trains `model` in place until the time of `recipe` is used up, over any number of runs."""

    def __init__(self, model: nn.Module, task: Task[Batch], recipe: Recipe, checkpoint: Path) -> None:
        self.model = model.to(memory_format=torch.channels_last)
        self.task, self.recipe, self.checkpoint = task, recipe, checkpoint
        freeze(model, recipe.frozen_layers)
        self.average = copy.deepcopy(model).eval()
        self.optimiser = torch.optim.AdamW(weight_groups(model, recipe.weight_decay), lr=recipe.learning_rate)
        self.progress = Progress()
        if checkpoint.exists():
            self._resume()

    def run(self, review: Callable[[nn.Module, Progress], None]) -> nn.Module:
        """Train, and hand the averaged network to `review` now and then. Returns it at the end."""
        progress, budget = self.progress, self.recipe.minutes * 60
        saved = progress.seconds
        batches = self._batches()
        while progress.seconds < budget:
            started = time.monotonic()
            parts = self._step(next(batches), progress.seconds / budget)
            progress.seconds += time.monotonic() - started
            if progress.steps % 20 == 0:
                self._report(parts, time.monotonic() - started)
            if progress.seconds - saved > self.recipe.checkpoint_minutes * 60:
                saved = progress.seconds
                self._save()
            if progress.seconds - progress.reviewed > self.recipe.review_minutes * 60:
                progress.reviewed = progress.seconds
                review(copy.deepcopy(self.average), progress)
        batches.close()
        self._save()
        return self.average

    def _step(self, batch: Batch, done: float) -> dict[str, float]:
        """One step of descent; `done` is the share of the time already used."""
        rate = self._learning_rate(done)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.model.train()
        keep_frozen_statistics(self.model, self.recipe.frozen_layers)
        loss, parts = self.task.loss(self.model, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimiser.step()
        self.progress.steps += 1
        self._update_average()
        return parts

    def _learning_rate(self, done: float) -> float:
        warm = min(1.0, (self.progress.steps + 1) / self.recipe.warmup_steps)
        cosine = (1 + math.cos(math.pi * min(done, 1.0))) / 2
        share = self.recipe.final_share
        return self.recipe.learning_rate * warm * (share + (1 - share) * cosine)

    @torch.no_grad()
    def _update_average(self) -> None:
        steps = self.progress.steps
        keep = min(1 - 1 / self.recipe.average_steps, (1 + steps) / (10 + steps))
        live = self.model.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(live[name], 1 - keep)

    def _batches(self) -> Iterator[Batch]:
        """Batches from a thread, one ahead; step n has the same pictures in every run."""
        with ThreadPoolExecutor(1) as pool:
            step = self.progress.steps
            ahead = pool.submit(self.task.batch, np.random.default_rng((self.recipe.seed, step)))
            while True:
                batch = ahead.result()
                step += 1
                ahead = pool.submit(self.task.batch, np.random.default_rng((self.recipe.seed, step)))
                yield batch

    def _report(self, parts: dict[str, float], seconds: float) -> None:
        losses = " ".join(f"{name} {value:.3f}" for name, value in parts.items())
        minutes = self.progress.seconds / 60
        log.info("%5.1f min, step %d, %.2f s: %s", minutes, self.progress.steps, seconds, losses)

    def _save(self) -> None:
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = self.checkpoint.with_suffix(".partial")
        content = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.progress.steps,
            "seconds": self.progress.seconds,
            "reviewed": self.progress.reviewed,
        }
        torch.save(content, partial)
        partial.replace(self.checkpoint)

    def _resume(self) -> None:
        content = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(content["model"])
        self.average.load_state_dict(content["average"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.progress = Progress(content["steps"], content["seconds"], content["reviewed"])
        log.info("resumed %s at step %d", self.checkpoint, self.progress.steps)


def freeze(model: nn.Module, layers: int) -> None:
    """Let only the layers after the first `layers` learn."""
    model.requires_grad_(True)
    for layer in model.model[:layers]:
        layer.requires_grad_(False)
    for name, value in model.named_parameters():
        if ".dfl." in name:  # constants of the head
            value.requires_grad_(False)


def keep_frozen_statistics(model: nn.Module, layers: int) -> None:
    for layer in model.model[:layers]:
        layer.eval()


def weight_groups(model: nn.Module, decay: float) -> list[dict]:
    """Parameters for the optimiser; biases and normalisation do not decay."""
    learning = [value for value in model.parameters() if value.requires_grad]
    return [
        {"params": [value for value in learning if value.ndim > 1], "weight_decay": decay},
        {"params": [value for value in learning if value.ndim <= 1], "weight_decay": 0.0},
    ]
