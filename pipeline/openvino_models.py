"""Run networks with OpenVINO, on the CPU unless told otherwise."""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from pipeline.config import PipelineConfig
from pipeline.density import CELL
from pipeline.devices import device_for
from pipeline.errors import ModelError
from pipeline.machine import cores, default_threads
from pipeline.masks import best_finds, containers_from_masks
from pipeline.things import things_of
from pipeline.types import Container, Detections, Pixels
from pipeline.weights import ModelCard, thresholds
from pipeline.yolo import Letterbox, mask_logits, read_boxes, read_mask_coefficients

_Answer = tuple[int, list[NDArray[np.float32]]]  # the number of a tile, and what the network said of it


class OpenVinoDetector:
    """Tiles go through a queue of requests, one per core, so that no core waits for another."""

    def __init__(self, card: ModelCard, config: PipelineConfig) -> None:
        self.card, self._things = card, things_of(card)
        fits = min(card.width, card.height)
        if config.tile > fits:
            raise ModelError(
                f"tiles of {config.tile} pixels do not fit the {card.width}×{card.height} input of "
                f"{card.weights}; set tile to at most {fits}"
            )
        self.min_score, self._floor = thresholds(card, config)
        self._compiled = _compile(card, config)
        _check_density(self._compiled, card)
        self._queue = ov.AsyncInferQueue(self._compiled)
        self._queue.set_callback(_store_output)

    def __call__(self, tiles: Iterable[Pixels]) -> list[Detections]:
        done: deque[_Answer] = deque()
        found: dict[int, Detections] = {}
        for number, tile in enumerate(tiles):
            self._queue.start_async({0: _padded(tile, self.card)[None]}, (number, done))
            self._read_all(done, found)  # while the cores are at the next ones
        self._queue.wait_all()
        self._read_all(done, found)
        return [found[number] for number in range(len(found))]

    def _read_all(self, done: deque[_Answer], found: dict[int, Detections]) -> None:
        while done:
            number, outputs = done.popleft()
            found[number] = self._read(*outputs)

    def _read(self, raw: NDArray[np.float32], *more: NDArray[np.float32]) -> Detections:
        found = read_boxes(raw, len(self.card.classes), self._floor)
        density = more[0][0] if more else None
        return replace(found, classes=self._things[found.classes], density=density)


class OpenVinoSegmenter:
    """Finds containers in the whole photo, fitted into the network's input."""

    def __init__(self, card: ModelCard, config: PipelineConfig) -> None:
        self.card = card
        self._min_score = (
            config.segmenter.min_score if config.segmenter.min_score is not None else card.min_score
        )
        self._compiled = _compile(card, config)
        outputs = self._compiled.outputs
        if len(outputs) < 2 or not outputs[1].partial_shape.compatible(ov.PartialShape([1, 32, -1, -1])):
            raise ModelError(f"{card.weights} has no mask output; export it as a segmentation model")

    def __call__(self, photo: Pixels) -> list[Container]:
        fit = Letterbox.fit(photo.shape[1], photo.shape[0], self.card.width, self.card.height)
        small = cv2.resize(photo, fit.inner, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        outputs = self._compiled({0: _padded(small, self.card)[None]})
        raw, prototypes = outputs[0][0], outputs[1][0]
        classes = len(self.card.classes)
        found = read_boxes(raw, classes, self._min_score)
        best = best_finds(found)
        coefficients = read_mask_coefficients(raw, classes, self._min_score)[best]
        return containers_from_masks(found.take(best), mask_logits(coefficients, prototypes), fit, self.card)


def _store_output(request: Any, job: tuple[int, deque[_Answer]]) -> None:
    number, done = job
    done.append((number, [tensor.data[0].copy() for tensor in request.output_tensors]))


def _padded(pixels: Pixels, card: ModelCard) -> Pixels:
    """`pixels` in the upper left of a full input; the padding matches what training saw."""
    height, width = pixels.shape[:2]
    if (height, width) == (card.height, card.width):
        return np.ascontiguousarray(pixels)
    return cv2.copyMakeBorder(
        pixels, 0, card.height - height, 0, card.width - width, cv2.BORDER_CONSTANT, value=(card.padding,) * 3
    ).astype(np.uint8, copy=False)


def _compile(card: ModelCard, config: PipelineConfig) -> Any:
    """The network with its pre-processing in the graph: it takes (1, h, w, 3) uint8 BGR."""
    core = ov.Core()
    cache = config.cache_dir if config.cache_dir is not None and _writable(config.cache_dir) else None
    if cache is not None:
        core.set_property({"CACHE_DIR": str(cache)})
    threads = config.threads or default_threads(cores(), max(1, config.workers))
    options = {"PERFORMANCE_HINT": "THROUGHPUT"}
    if config.precision in {"f32", "bf16"}:
        options["INFERENCE_PRECISION_HINT"] = config.precision
    device = device_for("openvino", config.device)
    if device == "CPU":
        # Pinned, the only thread of each of two processes would be on the same core.
        options["ENABLE_CPU_PINNING"] = "NO"
        options |= {"INFERENCE_NUM_THREADS": str(threads), "NUM_STREAMS": str(threads)}
    try:
        model = core.read_model(card.weights)
        model.reshape({0: [1, 3, card.height, card.width]})
        steps = ov.preprocess.PrePostProcessor(model)
        image = steps.input(0)
        image.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        image.tensor().set_color_format(ov.preprocess.ColorFormat.BGR)
        image.model().set_layout(ov.Layout("NCHW"))
        image.preprocess().convert_element_type(ov.Type.f32)
        image.preprocess().convert_color(ov.preprocess.ColorFormat.RGB).scale(255.0)
        with _alone_in(cache), _same_signal_stack():
            compiled = core.compile_model(steps.build(), device, options)
    except RuntimeError as error:  # OpenVINO raises nothing narrower.
        reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
        raise ModelError(f"OpenVINO cannot use {card.weights} on {config.device}: {reason}") from error
    _check_output(compiled, card)
    return compiled


@contextmanager
def _same_signal_stack() -> Iterator[None]:
    """Keep the stack that this thread handles signals on.

    OpenVINO puts one of its own in place and unmaps it with the network, but leaves it in use: the next
    Ctrl-C would end the process with a segmentation fault.
    """
    libc = ctypes.CDLL(None)
    before = ctypes.create_string_buffer(64)  # a stack_t, whose layout differs between systems
    libc.sigaltstack(None, before)
    try:
        yield
    finally:
        libc.sigaltstack(before, None)


def _check_output(compiled: Any, card: ModelCard) -> None:
    expected = 4 + len(card.classes) + (32 if card.task == "segment" else 0)
    shape = compiled.outputs[0].partial_shape  # Suppression inside the graph leaves a side open.
    if not shape.is_static or len(shape) != 3 or list(shape)[:2] != [1, expected]:
        raise ModelError(
            f"{card.weights} gives an output of shape {shape} where [1,{expected},n] is expected for "
            f"{len(card.classes)} class(es); export it without NMS, or write a card that lists its classes"
        )


def _check_density(compiled: Any, card: ModelCard) -> None:
    """A detector may have a second output, plants per cell; nothing else may pass for it."""
    cells = [1, 1, card.height // CELL, card.width // CELL]
    shapes = [output.partial_shape for output in compiled.outputs[1:]]
    if shapes and not (len(shapes) == 1 and shapes[0].is_static and list(shapes[0]) == cells):
        raise ModelError(
            f"{card.weights} has outputs of shapes {shapes} beside its boxes, where at most one of {cells} "
            "(plants per cell) is understood; export it without them"
        )


@contextmanager
def _alone_in(cache: Path | None) -> Iterator[None]:
    """While others compile into the same cache, wait: two processes that write one network there spoil it for
    each other, and the second finds it ready."""
    if cache is None:
        yield
        return
    with (cache / "lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # the kernel lets go of it however the process ends
        yield


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
