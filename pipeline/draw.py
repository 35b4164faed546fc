"""Pictures of what was counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import centres, sizes
from pipeline.decode import save_image
from pipeline.types import Boxes, ContainerCount, ContainerKind, Photo, PhotoResult, Pixels, Polygon

# Legible on a phone and on a wall screen, and a tenth of the size of a 12-megapixel photo.
LONG_SIDE = 2000

BGR = tuple[int, int, int]
Point = tuple[int, int]
# Colours that stay apart for colour-blind people (Okabe and Ito), as blue green red.
COLOURS: dict[ContainerKind, BGR] = {
    ContainerKind.SEGMENT: (233, 180, 86),
    ContainerKind.BOX: (0, 159, 230),
    ContainerKind.PLUG_TRAY: (167, 121, 204),
    ContainerKind.SEEDLING_TRAY: (66, 228, 240),
    ContainerKind.LOOSE: (0, 94, 213),
}
NAMES = {
    ContainerKind.SEGMENT: "segment",
    ContainerKind.BOX: "box",
    ContainerKind.PLUG_TRAY: "plug tray",
    ContainerKind.SEEDLING_TRAY: "seedling tray",
    ContainerKind.LOOSE: "outside any container",
}
MARK = 0.3  # half the side of the square on an empty pot and of the cross on a dead plant, in plant sizes
HIDDEN: BGR = (255, 120, 60)  # of the bands in which plants are estimated that nobody sees
GREY: BGR = (190, 190, 190)  # what stands in neighbouring beds, which is no part of the count
DISC = 0.36  # radius in plant sizes: discs of touching plants stay apart
OPACITY = 0.45
PANEL_SHINE = 0.25  # how much of the photo shows through the panel
FONT = cv2.FONT_HERSHEY_SIMPLEX
BLACK: BGR = (0, 0, 0)
WHITE: BGR = (255, 255, 255)


def save_overlay(photo: Pixels, result: PhotoResult, folder: Path) -> Path:
    """Write the photo with its count drawn in, and return the path. Raises StorageError."""
    path = folder / overlay_name(result.photo)
    save_image(path, draw_overlay(photo, result))
    return path


def overlay_name(photo: Photo) -> str:
    """A file name that any system takes and any terminal shows: at most 255 bytes, all printable."""
    stem = "".join(char if char.isprintable() else "_" for char in photo.path.stem[:60])
    return f"{stem}-{photo.sha256[:8]}.jpg"


class Shown(StrEnum):
    """What is drawn into a photo, beside the panel of totals."""

    COUNT = "count"  # plants and containers
    DETECTIONS = "detections"
    CONTAINERS = "containers"
    HIDDEN = "hidden"
    CONFIDENCE = "confidence"
    ALL = "all"


_PLANTS = frozenset({Shown.COUNT, Shown.DETECTIONS, Shown.CONFIDENCE, Shown.ALL})
_OUTLINES = frozenset({Shown.COUNT, Shown.CONTAINERS, Shown.HIDDEN, Shown.ALL})


def draw_overlay(
    photo: Pixels, result: PhotoResult, shown: Shown = Shown.COUNT, long_side: int | None = LONG_SIDE
) -> Pixels:
    """A disc on every plant seen, with a cross if it is dead; a hollow square on every empty pot; an outline
    and a label on every container, a panel of totals. With `hidden`, the bands in which plants are estimated
    that nobody sees, the darker the more; with `confidence`, discs from red (doubtful) to green (sure).

    `long_side` None keeps every pixel of the photo.
    """
    scale = 1.0 if long_side is None else min(1.0, long_side / max(photo.shape[:2]))
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    canvas = cv2.resize(photo, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    pen = _Pen(canvas, scale, max(1.0, max(size) / 950))
    estimated = pen.bands(result) if shown in (Shown.HIDDEN, Shown.ALL) else []
    if shown in _PLANTS:
        pen.plants(result, by_score=shown is Shown.CONFIDENCE)
        pen.each(pen.cross, result.detections.boxes[result.detections.dead])
        pen.each(pen.square, result.pots.boxes)
    outlined = [count for count in result.counts if count.container.kind is not ContainerKind.LOOSE]
    outlined.sort(key=lambda count: count.is_main)  # the bed is drawn over its neighbours
    if shown in _OUTLINES:
        for count in outlined:
            pen.outline(count)
        for count in outlined:
            pen.label(count)
    for text, middle in estimated:
        pen.number(text, middle)
    pen.panel(result)
    return canvas


@dataclass(frozen=True, slots=True)
class _Pen:
    canvas: Pixels
    scale: float  # canvas pixels per photo pixel
    weight: float  # line and letter size, 1 for a small picture

    def bands(self, result: PhotoResult) -> list[tuple[str, Point]]:
        """Shade where plants are estimated, all bands on one layer that is blended once. Returns their
        numbers and where these belong. Outside every container there is no area to shade."""
        layer, texts = self.canvas.copy(), []
        for count in result.counts:
            most = max((row.plants for row in count.estimates), default=0.0)
            if most < 0.5 or count.container.kind is ContainerKind.LOOSE:
                continue
            polygon = np.round(count.container.polygon * self.scale).astype(np.int32)
            for row in count.estimates:
                inside = np.zeros(self.canvas.shape[:2], np.uint8)
                cv2.fillPoly(inside, [polygon], 1)
                top, bottom = round(row.y_start * self.scale), round(row.y_end * self.scale)
                inside[: max(0, top)] = 0
                inside[max(0, bottom) :] = 0
                if row.plants < 0.5 or not inside.any():
                    continue
                share = 0.35 + 0.65 * row.plants / most
                layer[inside > 0] = [round(part * share) for part in HIDDEN]
                columns = np.flatnonzero(inside.any(axis=0))
                texts.append((f"+{row.plants:.0f}", (int(columns.mean()), (top + bottom) // 2)))
        cv2.addWeighted(layer, OPACITY, self.canvas, 1 - OPACITY, 0, dst=self.canvas)
        return texts

    def number(self, text: str, at: Point) -> None:
        """White with a dark rim, its middle at a point."""
        (x, y), (width, height) = at, self._extent(text, 0.6)
        corner = (x - width // 2, y + height // 2)
        for colour, thick in ((BLACK, round(4 * self.weight)), (WHITE, round(1.5 * self.weight))):
            cv2.putText(
                self.canvas, text, corner, FONT, 0.6 * self.weight, colour, max(1, thick), cv2.LINE_AA
            )

    def plants(self, result: PhotoResult, *, by_score: bool = False) -> None:
        """All discs go on one layer that is blended once: the photo under them does not fade. A ring
        around each keeps plants that overlap apart."""
        layer = self.canvas.copy()
        middles = np.round(centres(result.detections.boxes) * self.scale).astype(int).tolist()
        radii = np.round(sizes(result.detections.boxes) * self.scale * DISC).astype(int).clip(2).tolist()
        colours = [_colour(result.counts[owner]) for owner in result.owner.tolist()]
        if by_score:
            colours = [_of_score(score) for score in result.detections.scores.tolist()]
        for middle, radius, colour in zip(middles, radii, colours, strict=True):
            cv2.circle(layer, middle, radius, colour, -1, cv2.LINE_AA)
        cv2.addWeighted(layer, OPACITY, self.canvas, 1 - OPACITY, 0, dst=self.canvas)
        for middle, radius, colour in zip(middles, radii, colours, strict=True):
            if radius > 2 * self.weight:
                cv2.circle(self.canvas, middle, radius, colour, round(self.weight), cv2.LINE_AA)

    def each(self, mark: Callable[[Point, int], None], boxes: Boxes) -> None:
        """The mark in the middle of every box, in keeping with its size."""
        middles = np.round(centres(boxes) * self.scale).astype(int).tolist()
        reaches = np.round(sizes(boxes) * self.scale * MARK).astype(int).clip(2).tolist()
        for (x, y), reach in zip(middles, reaches, strict=True):
            mark((x, y), reach)

    def cross(self, at: Point, reach: int) -> None:
        """A dead plant."""
        (x, y), r = at, reach
        for colour, width in self._edged():
            cv2.line(self.canvas, (x - r, y - r), (x + r, y + r), colour, width, cv2.LINE_AA)
            cv2.line(self.canvas, (x - r, y + r), (x + r, y - r), colour, width, cv2.LINE_AA)

    def square(self, at: Point, reach: int) -> None:
        """An empty pot."""
        (x, y), r = at, reach
        for colour, width in self._edged():
            cv2.rectangle(self.canvas, (x - r, y - r), (x + r, y + r), colour, width)

    def patch(self, at: Point, reach: int, *, colour: BGR) -> None:
        """The colour of a kind of container."""
        (x, y), r = at, reach
        cv2.rectangle(self.canvas, (x - r, y - r), (x + r, y + r), colour, -1)

    def _edged(self) -> tuple[tuple[BGR, int], tuple[BGR, int]]:
        """A bright line over a wider dark one: it shows on any ground."""
        return (BLACK, round(3.5 * self.weight)), (WHITE, round(1.5 * self.weight))

    def outline(self, count: ContainerCount) -> None:
        """Thin around what stands in a neighbouring bed."""
        points = np.round(count.container.polygon * self.scale).astype(np.int32)
        if count.is_main:
            cv2.polylines(self.canvas, [points], True, BLACK, round(3.5 * self.weight), cv2.LINE_AA)
        width = round((2 if count.is_main else 1) * self.weight)
        cv2.polylines(self.canvas, [points], True, _colour(count), width, cv2.LINE_AA)

    def label(self, count: ContainerCount) -> None:
        """The count on a badge in the colour of the container, in its middle."""
        text = f"{count.seen} + {count.hidden}" if count.hidden else f"{count.seen}"
        text = "empty" if count.empty else text
        width, height = self._extent(text, 0.5)
        x, y = (_middle(count.container.polygon) * self.scale).round().astype(int).tolist()
        left, bottom = x - width // 2, y + height // 2
        corners = (
            (left - height // 2, bottom - height * 3 // 2),
            (left + width + height // 2, bottom + height // 2),
        )
        cv2.rectangle(self.canvas, *corners, _colour(count), -1)
        cv2.rectangle(self.canvas, *corners, BLACK, round(self.weight))
        self._text(text, (left, bottom), 0.5, BLACK)

    def panel(self, result: PhotoResult) -> None:
        """The totals, which are also the key to the colours and marks."""
        rows: list[tuple[str, Callable[[Point, int], None] | None]] = [
            (text, None if colour is None else partial(self.patch, colour=colour))
            for text, colour in totals(result)
        ]
        if result.dead:
            rows.append((f"dead plants, counted as plants: {result.dead}", self.cross))
        if len(result.pots):
            rows.append((f"empty pots, not counted: {len(result.pots)}", self.square))
        step = round(26 * self.weight)
        widest = max(self._extent(text, 0.6)[0] for text, _ in rows)
        corner = self.canvas[: step * (2 * len(rows) + 1) // 2, : widest + 5 * step // 2]
        corner[:] = (corner * PANEL_SHINE).astype(np.uint8)
        for number, (text, mark) in enumerate(rows, start=1):
            left, bottom = step // 2, number * step
            if mark is not None:
                mark((left + step // 4, bottom - step // 4), step // 4)
                left += step
            self._text(text, (left, bottom), 0.6, WHITE)

    def _extent(self, text: str, size: float) -> tuple[int, int]:
        """Width and height in canvas pixels."""
        (width, height), _ = cv2.getTextSize(text, FONT, size * self.weight, self._stroke)
        return width, height

    def _text(self, text: str, at: tuple[int, int], size: float, colour: BGR) -> None:
        """`at` is where the first letter stands."""
        cv2.putText(self.canvas, text, at, FONT, size * self.weight, colour, self._stroke, cv2.LINE_AA)

    @property
    def _stroke(self) -> int:
        return max(1, round(1.4 * self.weight))


def _of_score(score: float) -> BGR:
    """Red at a half and below, by yellow to green at one."""
    sure = min(1.0, max(0.0, 2 * score - 1))
    return (40, round(255 * min(1.0, 2 * sure)), round(255 * min(1.0, 2 - 2 * sure)))


def _colour(count: ContainerCount) -> BGR:
    return COLOURS[count.container.kind] if count.is_main else GREY


def totals(result: PhotoResult) -> list[tuple[str, BGR | None]]:
    """The bed's count, its parts by kind, and what stands in neighbouring beds."""
    main = result.main
    rows: list[tuple[str, BGR | None]] = [
        (f"{main.total} plants ({main.low} to {main.high})", None),
        (f"{main.seen} seen + {main.hidden} hidden", None),
    ]
    own = [count for count in result.counts if count.is_main]
    kinds = {count.container.kind for count in own}
    for kind in (kind for kind in ContainerKind if kind in kinds):
        total = sum(count.total for count in own if count.container.kind is kind)
        rows.append((f"{NAMES[kind]}: {total}", COLOURS[kind]))
    if len(own) < len(result.counts):
        rows.append((f"neighbouring beds, not counted: {result.total - main.total}", GREY))
    return rows


def _middle(polygon: Polygon) -> NDArray[np.float64]:
    """(2,): the centre of the area; of the corners, where there is no area."""
    moments = cv2.moments(polygon)
    if not moments["m00"]:
        corners: NDArray[np.float64] = polygon.mean(axis=0, dtype=np.float64)
        return corners
    return np.array([moments["m10"], moments["m01"]]) / moments["m00"]
