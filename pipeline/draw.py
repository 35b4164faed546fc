"""Pictures of what was counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.boxes import centres, sizes
from pipeline.decode import save_image
from pipeline.types import ContainerCount, ContainerKind, Photo, PhotoResult, Pixels

# Legible on a phone and on a wall screen, and a tenth of the size of a 12-megapixel photo.
LONG_SIDE = 2000

BGR = tuple[int, int, int]
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
DISC = 0.36  # radius in plant sizes: discs of touching plants stay apart
OPACITY = 0.45
FONT = cv2.FONT_HERSHEY_SIMPLEX


def save_overlay(photo: Pixels, result: PhotoResult, folder: Path) -> Path:
    """Write the photo with its count drawn in, and return the path. Raises StorageError."""
    path = folder / overlay_name(result.photo)
    save_image(path, draw_overlay(photo, result))
    return path


def overlay_name(photo: Photo) -> str:
    """A file name that any system takes and any terminal shows: at most 255 bytes, all printable."""
    stem = "".join(char if char.isprintable() else "_" for char in photo.path.stem[:60])
    return f"{stem}-{photo.sha256[:8]}.jpg"


def draw_overlay(photo: Pixels, result: PhotoResult) -> Pixels:
    """A disc on every plant seen, an outline and a label on every container, a panel of totals."""
    scale = min(1.0, LONG_SIDE / max(photo.shape[:2]))
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    canvas = cv2.resize(photo, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    pen = _Pen(canvas, scale, max(1.0, max(size) / 1400))
    pen.plants(result)
    for count in result.counts:
        if count.container.kind is not ContainerKind.LOOSE:
            pen.outline(count)
    for count in result.counts:
        if count.container.kind is not ContainerKind.LOOSE:
            pen.label(count)
    pen.panel(result)
    return canvas


@dataclass(frozen=True, slots=True)
class _Pen:
    canvas: Pixels
    scale: float  # canvas pixels per photo pixel
    weight: float  # line and letter size, 1 for a small picture

    def plants(self, result: PhotoResult) -> None:
        """All discs go on one layer that is blended once: the photo under them does not fade."""
        layer = self.canvas.copy()
        middles = centres(result.detections.boxes) * self.scale
        radii = sizes(result.detections.boxes) * self.scale * DISC
        for (x, y), radius, owner in zip(middles, radii, result.owner, strict=True):
            colour = COLOURS[result.counts[int(owner)].container.kind]
            cv2.circle(
                layer,
                (round(float(x)), round(float(y))),
                max(2, round(float(radius))),
                colour,
                -1,
                cv2.LINE_AA,
            )
        cv2.addWeighted(layer, OPACITY, self.canvas, 1 - OPACITY, 0, dst=self.canvas)

    def outline(self, count: ContainerCount) -> None:
        points = np.round(count.container.polygon * self.scale).astype(np.int32)
        colour = COLOURS[count.container.kind]
        cv2.polylines(self.canvas, [points], True, (0, 0, 0), round(4 * self.weight), cv2.LINE_AA)
        cv2.polylines(self.canvas, [points], True, colour, round(2 * self.weight), cv2.LINE_AA)

    def label(self, count: ContainerCount) -> None:
        x, y = (count.container.polygon.mean(axis=0) * self.scale).tolist()
        text = f"{count.total}" if not count.hidden else f"{count.seen} + {count.hidden}"
        self._text(text, (round(x), round(y)), 0.55, COLOURS[count.container.kind], centred=True)

    def panel(self, result: PhotoResult) -> None:
        interval = f"{result.low} to {result.high}"
        lines = [f"{result.total} plants ({interval})", f"{result.seen} seen + {result.hidden} hidden"]
        kinds = {count.container.kind for count in result.counts}
        rows: list[tuple[str, BGR]] = [(line, (255, 255, 255)) for line in lines]
        for kind in (kind for kind in ContainerKind if kind in kinds):
            total = sum(count.total for count in result.counts if count.container.kind is kind)
            rows.append((f"{NAMES[kind]}: {total}", COLOURS[kind]))
        step = round(26 * self.weight)
        widest = max(self._width(text, 0.6) for text, _ in rows)
        cv2.rectangle(self.canvas, (0, 0), (widest + 2 * step, step * (len(rows) + 1)), (0, 0, 0), -1)
        for number, (text, colour) in enumerate(rows, start=1):
            self._text(text, (step // 2, number * step), 0.6, colour)

    def _width(self, text: str, size: float) -> int:
        return int(cv2.getTextSize(text, FONT, size * self.weight, max(1, round(1.5 * self.weight)))[0][0])

    def _text(
        self, text: str, at: tuple[int, int], size: float, colour: BGR, *, centred: bool = False
    ) -> None:
        font, thick = size * self.weight, max(1, round(1.5 * self.weight))
        x, y = at
        if centred:
            (width, height), _ = cv2.getTextSize(text, FONT, font, thick)
            x, y = x - width // 2, y + height // 2
        cv2.putText(self.canvas, text, (x, y), FONT, font, (0, 0, 0), thick * 3, cv2.LINE_AA)
        cv2.putText(self.canvas, text, (x, y), FONT, font, colour, thick, cv2.LINE_AA)
