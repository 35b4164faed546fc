"""The values that flow through the pipeline. All are immutable and picklable.

Every coordinate is in pixels of the upright photo (EXIF orientation applied), x to the right, y down.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# So that they can be had from here. They live where no numpy is loaded, for commands that only ask the books.
from pipeline.words import Check as Check
from pipeline.words import ContainerKind as ContainerKind
from pipeline.words import PhotoStatus as PhotoStatus
from pipeline.words import Role as Role
from pipeline.words import Severity as Severity
from pipeline.words import Thing as Thing

Boxes = NDArray[np.float32]  # (n, 4): x1 y1 x2 y2
Polygon = NDArray[np.float32]  # (k, 2): x y, closed implicitly
Pixels = NDArray[np.uint8]  # (height, width, 3): blue green red


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the gate holds against a photo. `value` is the measure that gave it away."""

    check: Check
    severity: Severity
    sentence: str
    value: float

    @property
    def is_refusal(self) -> bool:
        return self.severity is Severity.REFUSAL


@dataclass(frozen=True, slots=True)
class Gps:
    """WGS 84 degrees; south and west are negative. Altitude and horizontal error are in metres."""

    latitude: float
    longitude: float
    altitude: float | None = None
    error: float | None = None


@dataclass(frozen=True, slots=True)
class Spacing:
    """How much room a plant takes in containers of one kind, by the density parameters of the place."""

    kind: ContainerKind
    area_cm2: float  # per plant, gaps included
    diameter_cm: float
    overlap: float = 1.0  # the share of that room which leaning into each other leaves


UNHASHED = "0" * 64  # in place of a photo's sha256 where nobody will ask which photo it was


@dataclass(frozen=True, slots=True)
class Photo:
    """A file waiting to be counted, identified by its content. `spacings` is what is known of the place."""

    path: Path
    sha256: str
    size: int  # bytes
    spacings: tuple[Spacing, ...] = ()


@dataclass(frozen=True, slots=True)
class PhotoInfo:
    """What the file says of itself. `taken_at` has a zone only if the camera wrote one."""

    width: int
    height: int
    format: str  # "JPEG", "PNG", "WEBP", "TIFF", "HEIF"
    taken_at: dt.datetime | None = None
    gps: Gps | None = None
    camera: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Boxes found in one photo or tile, as parallel arrays.

    `density` is what a network with such an output says of the tile: (rows, columns) plants per cell,
    hidden ones included (pipeline/density.py). It belongs to the tile, not to boxes: whatever picks boxes
    drops it.
    """

    boxes: Boxes
    scores: NDArray[np.float32]  # 0–1
    classes: NDArray[np.int16]  # what it is, a `Thing`; of a segmenter, index into its card's classes
    cut: NDArray[np.bool_]  # True where an inner tile edge crosses the box
    density: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def dead(self) -> NDArray[np.bool_]:
        """(n,): which are dead plants, still in their pots."""
        dead: NDArray[np.bool_] = self.classes == Thing.DEAD_PLANT
        return dead

    def take(self, index: NDArray[np.bool_] | NDArray[np.intp]) -> Detections:
        return Detections(self.boxes[index], self.scores[index], self.classes[index], self.cut[index])

    def shift(self, dx: float, dy: float) -> Detections:
        offset = np.array([dx, dy, dx, dy], dtype=np.float32)
        return Detections(self.boxes + offset, self.scores, self.classes, self.cut)

    @staticmethod
    def concat(parts: list[Detections]) -> Detections:
        parts = parts or [Detections.empty()]
        return Detections(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.classes for part in parts]),
            np.concatenate([part.cut for part in parts]),
        )

    @staticmethod
    def empty() -> Detections:
        return Detections(
            np.empty((0, 4), np.float32),
            np.empty(0, np.float32),
            np.empty(0, np.int16),
            np.empty(0, np.bool_),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Container:
    """A segment, box or tray seen in the photo."""

    kind: ContainerKind
    polygon: Polygon
    score: float
    role: Role = Role.MAIN


@dataclass(frozen=True, slots=True)
class Estimate:
    """Plants that no detector can see, in one horizontal band of one container.

    Kept row by row, with its inputs, so that every hidden plant can be explained.
    """

    method: str
    version: str
    band: int  # 1 is the farthest from the camera
    y_start: float
    y_end: float
    residual_px: float  # container area that no detection covers
    suppressed_px: float  # of that, what does not look like plants
    cell_px: float  # area that one plant occupies here
    plants: float  # not rounded: fractions are summed first
    size_px: float = 0.0  # side of a plant in the middle of the band; 0 where none was measured
    slope: float = 0.0  # by how many pixels that grows with each row of the photo
    occluded: float = 0.0  # of the plants, those that others stand before


@dataclass(frozen=True, slots=True)
class Total:
    """Plants of one area, with bounds. `low` and `high` bound the total."""

    seen: int = 0
    hidden: int = 0
    low: int = 0
    high: int = 0

    @property
    def total(self) -> int:
        return self.seen + self.hidden


@dataclass(frozen=True, slots=True, eq=False)
class ContainerCount:
    """One container with its share of the count. `low` and `high` bound the total.

    `cells` are those of its known grid, `empty_cells` the ones of them without a plant; None when no grid
    is known, `empty_cells` also where the frame cuts the container. `dead` are the dead plants among the
    seen ones; `empty_pots` hold no plant and are in no other figure.
    """

    container: Container
    seen: int
    hidden: int
    low: int
    high: int
    empty: bool
    mean_score: float | None
    estimates: tuple[Estimate, ...] = ()
    cells: int | None = None
    empty_cells: int | None = None
    dead: int = 0
    empty_pots: int = 0

    @property
    def total(self) -> int:
        return self.seen + self.hidden

    @property
    def is_main(self) -> bool:
        return self.container.role is Role.MAIN


@dataclass(frozen=True, slots=True)
class Measures:
    """What a photo is compared by with those that the models were trained on; see pipeline/quality.py and
    pipeline/sight.py for each."""

    sharpness: float
    motion: float
    light: float
    contrast: float
    burnt: float
    grain: float
    green: float
    blue: float
    colour: float
    apparent: float
    score: float
    doubtful: float


@dataclass(frozen=True, slots=True, eq=False)
class PhotoResult:
    """A counted photo. `owner[i]` is the index in `counts` of the container that detection i stands in.
    `detections` are the plants seen, dead ones included; `pots` are the empty pots.

    `seen`, `hidden`, `total`, `low` and `high` are those of the whole photo; `main` is the photographed bed
    alone, without the neighbours in the background, and is what the stock books.
    """

    photo: Photo
    info: PhotoInfo
    status: PhotoStatus
    warnings: tuple[str, ...]
    counts: tuple[ContainerCount, ...]
    detections: Detections
    owner: NDArray[np.intp]
    low: int
    high: int
    main: Total
    model: str
    seconds: float
    stages: dict[str, float] = field(default_factory=dict)  # seconds per stage
    overlay: Path | None = None
    findings: tuple[Finding, ...] = ()
    counted: bool = (
        True  # False where the gate saw at once that counting is useless: the figures mean nothing
    )
    measures: Measures | None = None
    unlikeness: float = 1.0  # how many times wider than for a photo like the trained ones the intervals are
    phash: int | None = None  # pipeline/phash.py
    evidence: bytes | None = None  # pipeline/kept.py: to estimate from again; None if it was not asked for
    pots: Detections = field(default_factory=Detections.empty)
    codes: tuple[str, ...] = ()  # what QR and Data Matrix codes in the photo say
    thumbnail: bytes | None = None  # pipeline/thumbnail.py; made where evidence is kept
    tries: int = 1  # more than one where a worker died over it

    @property
    def seen(self) -> int:
        return sum(count.seen for count in self.counts)

    @property
    def hidden(self) -> int:
        return sum(count.hidden for count in self.counts)

    @property
    def total(self) -> int:
        return self.seen + self.hidden

    @property
    def empty_containers(self) -> int:
        return sum(count.empty for count in self.counts)

    @property
    def dead(self) -> int:
        return sum(count.dead for count in self.counts)

    @property
    def empty_pots(self) -> int:
        return sum(count.empty_pots for count in self.counts)

    def with_findings(self, findings: tuple[Finding, ...]) -> PhotoResult:
        """The result with these findings as well: their sentences are told, and the worst of them decides."""
        told = tuple(found.sentence for found in findings if found.severity is not Severity.NOTE)
        status = PhotoStatus.WARNING if told and self.status is PhotoStatus.COMPLETED else self.status
        return replace(
            self,
            status=PhotoStatus.REFUSED if any(found.is_refusal for found in findings) else status,
            warnings=(*self.warnings, *told),
            findings=(*self.findings, *findings),
        )


@dataclass(frozen=True, slots=True)
class PhotoFailure:
    """A photo that could not be counted, and the sentence that says why."""

    photo: Photo
    reason: str
    crashed: bool = False  # it took the worker process down with it
    tries: int = 1


PhotoOutcome = PhotoResult | PhotoFailure
