"""One photo, from file to result. Runs inside a worker process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import draw, gate, quality
from pipeline.config import PipelineConfig
from pipeline.decode import decode
from pipeline.detect import Detector, Segmenter, load_detector, load_segmenter
from pipeline.errors import StorageError
from pipeline.estimators.registry import make_estimator, settled
from pipeline.evidence import Evidence, gather
from pipeline.exif import read_info
from pipeline.interval import bounds
from pipeline.look import View, look
from pipeline.phash import perceptual_hash
from pipeline.quality import Frame
from pipeline.regions import LOOSE, RegionMap, assign, map_regions
from pipeline.roles import Plants, give_roles
from pipeline.tally import count_containers, main_total, with_bounds
from pipeline.types import (
    Container,
    Detections,
    Photo,
    PhotoInfo,
    PhotoResult,
    PhotoStatus,
    Pixels,
    Total,
)

HALF_A_PLANT = 0.5


@dataclass(frozen=True, slots=True)
class Counter:
    """The models of one process, loaded once."""

    detector: Detector
    segmenter: Segmenter
    config: PipelineConfig

    @staticmethod
    def load(config: PipelineConfig) -> Counter:
        """Raises ModelError."""
        return Counter(load_detector(config), load_segmenter(config), config)

    @property
    def model(self) -> str:
        return f"{self.detector.card.label}+{self.segmenter.card.label}"

    def count(self, photo: Photo) -> PhotoResult:
        """Count one photo. Raises PhotoError when the file cannot be counted."""
        config, clock = self.config, _Clock()
        with clock.stage("decode"):
            info = read_info(photo.path)
            pixels = decode(photo.path, max_pixels=int(config.max_megapixels * 1e6), min_side=config.min_side)
        info = replace(info, width=pixels.shape[1], height=pixels.shape[0])
        with clock.stage("gate"):
            frame = quality.frame(pixels)
            findings = gate.react(gate.hopeless(frame), config.gate)
        if gate.refuses(findings):
            return self._uncounted(photo, info, frame, clock).with_findings(findings)
        with clock.stage("containers"):
            containers = self.segmenter(pixels)
            regions = map_regions(containers, pixels.shape[1], pixels.shape[0])
        with clock.stage("detect"):
            view = look(pixels, self.detector, config)
            owner = assign(view.found.boxes, regions)
        with clock.stage("estimate"):
            calibration = self.detector.card.calibration
            evidence = self._judge(pixels, view, (containers, regions), owner)
            evidence = settled(evidence, config, calibration)
            estimator = make_estimator(config, calibration)
            counts, owner = count_containers(evidence, estimator)
            judged = gate.judge(frame, evidence, self.detector.card.reference)
            spread = self._spread * judged.unlikeness
            counts = with_bounds(counts, spread, doubtful=judged.doubtful)
        seen, hidden = sum(c.seen for c in counts), sum(c.hidden for c in counts)
        low, high = bounds(seen, hidden, spread, doubtful=judged.doubtful)
        result = PhotoResult(
            photo=photo,
            info=info,
            status=PhotoStatus.COMPLETED,
            warnings=(),
            counts=counts,
            detections=view.found.take(evidence.sure),
            owner=owner[evidence.sure],
            low=low,
            high=high,
            main=main_total(counts, spread, doubtful=judged.doubtful),
            model=self.model,
            seconds=clock.total,
            measures=judged.measures,
            unlikeness=judged.unlikeness,
            phash=perceptual_hash(frame.small),
        )
        result = result.with_findings(gate.react(judged.findings, config.gate))
        with clock.stage("overlay"):
            result = _with_overlay(result, pixels, config.overlay_dir)
        return replace(result, seconds=clock.total, stages=dict(clock.stages))

    def _uncounted(self, photo: Photo, info: PhotoInfo, frame: Frame, clock: _Clock) -> PhotoResult:
        """A photo in which there is nothing to count, without asking the networks."""
        return PhotoResult(
            photo=photo,
            info=info,
            status=PhotoStatus.REFUSED,
            warnings=(),
            counts=(),
            detections=Detections.empty(),
            owner=np.empty(0, np.intp),
            low=0,
            high=0,
            main=Total(),
            model=self.model,
            seconds=clock.total,
            stages=dict(clock.stages),
            counted=False,
            phash=perceptual_hash(frame.small),
        )

    @property
    def _spread(self) -> float:
        calibration = self.detector.card.calibration
        return calibration.spread if calibration else 1.0

    def _judge(
        self,
        pixels: Pixels,
        view: View,
        where: tuple[list[Container], RegionMap],
        owner: NDArray[np.intp],
    ) -> Evidence:
        """Says which boxes count as seen, and which containers are the bed. With a calibration a box must
        also be worth half a plant or more, which boxes on bare floor are not."""
        found, calibration = view.found, self.detector.card.calibration
        sure = found.scores >= self.detector.min_score
        if calibration is not None:
            worth = calibration.worth_of(found.scores, view.apparent_sizes, owner != LOOSE)
            sure &= worth >= HALF_A_PLANT
        containers, owner = give_roles(*where, Plants(found.boxes, sure, owner))
        return gather(pixels, view, containers, sure, owner)


def _with_overlay(result: PhotoResult, pixels: Pixels, folder: Path | None) -> PhotoResult:
    """The picture is for people; when it cannot be written, the count still stands, and says so."""
    if folder is None:
        return result
    try:
        return replace(result, overlay=draw.save_overlay(pixels, result, folder))
    except StorageError as error:
        return replace(result, status=PhotoStatus.WARNING, warnings=(*result.warnings, str(error)))


@dataclass(slots=True)
class _Clock:
    """Seconds per stage of one photo."""

    started: float = field(default_factory=time.perf_counter)
    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        before = time.perf_counter()
        yield
        self.stages[name] = time.perf_counter() - before

    @property
    def total(self) -> float:
        return time.perf_counter() - self.started
