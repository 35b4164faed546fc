"""One photo, from file to result. Runs inside a worker process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline import draw, gate, quality
from pipeline.codes import read_codes
from pipeline.config import PipelineConfig
from pipeline.decode import decode
from pipeline.detect import Detector, Segmenter, load_detector, load_segmenter
from pipeline.errors import StorageError
from pipeline.evidence import Evidence, gather
from pipeline.exif import read_info
from pipeline.kept import Kept, pack
from pipeline.look import View, look
from pipeline.phash import perceptual_hash
from pipeline.quality import Frame
from pipeline.reckon import decide, reckon
from pipeline.regions import LOOSE, RegionMap, map_regions
from pipeline.thumbnail import make_thumbnail
from pipeline.types import (
    UNHASHED,
    Container,
    Detections,
    Photo,
    PhotoInfo,
    PhotoResult,
    PhotoStatus,
    Pixels,
    Total,
)


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
            pixels = decode(
                photo.path,
                max_pixels=int(config.max_megapixels * 1e6),
                min_side=config.min_side,
                sha256=None if photo.sha256 == UNHASHED else photo.sha256,
            )
        info = replace(info, width=pixels.shape[1], height=pixels.shape[0])
        with ThreadPoolExecutor(1) as aside:
            # The containers are found while the photo is measured and its middle looked at.
            finding = aside.submit(self._containers, pixels, clock)
            with clock.stage("gate"):
                frame = quality.frame(pixels)
                findings = gate.react(gate.hopeless(frame), config.gate)
            if gate.refuses(findings):
                refused = self._uncounted(photo, info, frame, clock).with_findings(findings)
                return _with_extras(refused, pixels, config)
            with clock.stage("detect"):
                view = look(pixels, self.detector, config, lambda: finding.result()[1])
        with clock.stage("estimate"):
            evidence = self._evidence(pixels, view, finding.result(), photo)
            bed = gate.quality_of_bed(frame, evidence)
            reckoned = reckon(evidence, bed, self.detector.card, config)
            phash = perceptual_hash(frame.small)
            result = replace(reckoned.result(photo, info, self.model), phash=phash)
            if config.keep_evidence:
                kept = Kept(evidence, bed, self.detector.card.network, phash)
                result = replace(result, evidence=pack(kept))
        result = result.with_findings(gate.react(reckoned.judged.findings, config.gate))
        with clock.stage("overlay"):
            result = _with_extras(_with_overlay(result, pixels, config.overlay_dir), pixels, config)
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

    def _containers(self, pixels: Pixels, clock: _Clock) -> tuple[list[Container], RegionMap]:
        with clock.stage("containers"):
            found = self.segmenter(pixels)
            return found, map_regions(found, pixels.shape[1], pixels.shape[0])

    def _evidence(
        self, pixels: Pixels, view: View, where: tuple[list[Container], RegionMap], photo: Photo
    ) -> Evidence:
        """What was seen, with the plants told from doubtful boxes and the bed from those behind it."""
        nobody = np.full(len(view.found), LOOSE, np.intp)
        gathered = gather(pixels, view, where[0], np.ones(len(view.found), np.bool_), nobody)
        decided = decide(replace(gathered, painted=where[1]), self.detector.card, self.detector.min_score)
        return replace(decided, spacings=photo.spacings)


def _with_extras(result: PhotoResult, pixels: Pixels, config: PipelineConfig) -> PhotoResult:
    """What only a photo that is kept needs: a thumbnail, and what the labels in it say."""
    if not config.keep_evidence:
        return result
    return replace(result, thumbnail=make_thumbnail(pixels), codes=read_codes(pixels))


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
