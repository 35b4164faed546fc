"""From a segmenter's finds to the outlines of containers. Pure.

A find is a box, a score and a coarse mask. The best find of each container is kept, its mask is enlarged and
cleaned, and where two finds of like containers claim the same ground the better-scored takes it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.regions import working_scale
from pipeline.types import Container, ContainerKind, Detections, Polygon
from pipeline.weights import ModelCard
from pipeline.yolo import Letterbox

# Boxes that overlap more than this (intersection over union) are finds of one container.
SAME_BOX = 0.5
# A mask smaller than this share of the photo is noise, not a container.
SMALLEST_SHARE = 0.002
# A find that has less than this share of its mask to itself is a part of what better finds have.
OWN_SHARE = 0.5
# Working pixels: what is narrower, gap or thread, is not the shape of a container.
GRAIN = 9
# Pieces of a mask that have at least this share of its largest belong to it: a post stands before it.
PIECE = 0.1
# A container has no dents: posts stand before it, or a gap lies at its rim. Its outline is the hull of its
# pieces unless that adds more than this share: then it may be two in one, or something that it is not.
DENTS = 0.15
# Working pixels that an outline may be off after corners are dropped.
TOLERANCE = 1.5

# Models of other nurseries name the classes in their own way; an unknown name must not vanish.
KIND_OF_NAME = {
    "segment": ContainerKind.SEGMENT,
    "segmento": ContainerKind.SEGMENT,
    "claro": ContainerKind.SEGMENT,
    "claro-cajon": ContainerKind.SEGMENT,
    "box": ContainerKind.BOX,
    "cajon": ContainerKind.BOX,
    "plug_tray": ContainerKind.PLUG_TRAY,
    "plug": ContainerKind.PLUG_TRAY,
    "seedling_tray": ContainerKind.SEEDLING_TRAY,
    "almacigo": ContainerKind.SEEDLING_TRAY,
}

Mask = NDArray[np.uint8]  # (height, width) at working scale: 0 or 1


def kind_of(name: str) -> ContainerKind:
    """Raises ValueError for a class name that means no container we know."""
    try:
        return KIND_OF_NAME[name.lower()]
    except KeyError:
        raise ValueError(
            f"the segmenter's class {name!r} is none of {', '.join(sorted(KIND_OF_NAME))}"
        ) from None


def best_finds(found: Detections) -> NDArray[np.intp]:
    """(k,): which finds to keep, best first: of those whose boxes say the same container, whatever their
    kinds, the best-scored. The order of the finds never matters."""
    ranked = np.lexsort((*found.boxes.T[::-1], found.classes, -found.scores))
    boxes = found.boxes[ranked].astype(np.float64)
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    areas = sides.prod(axis=1)
    alive = np.ones(len(boxes), np.bool_)
    for i in range(len(boxes)):
        if alive[i]:
            corner = np.maximum(boxes[i, :2], boxes[i + 1 :, :2])
            far = np.minimum(boxes[i, 2:], boxes[i + 1 :, 2:])
            shared = np.clip(far - corner, 0, None).prod(axis=1)
            alive[i + 1 :] &= shared <= SAME_BOX * (areas[i] + areas[i + 1 :] - shared)
    return ranked[alive]


def containers_from_masks(
    found: Detections, logits: NDArray[np.float32], fit: Letterbox, card: ModelCard
) -> list[Container]:
    """Containers in photo pixels from a segmenter's finds, best first, with boxes in input pixels, and their
    mask logits (n, h, w).

    Boxes and trays stand on segments, but no two segments and no two boxes share ground: the better-scored
    keeps it, and of the other remains what is left, unless that is too little to be a find of its own.
    """
    scale = working_scale(fit.width, fit.height)
    size = max(1, round(fit.width * scale)), max(1, round(fit.height * scale))
    on_ground, standing = np.zeros(size[::-1], np.uint8), np.zeros(size[::-1], np.uint8)
    containers = []
    for index, box in enumerate(found.boxes):
        kind = kind_of(card.classes[int(found.classes[index])])
        mask = _enlarged(logits[index], fit, card, size)
        frame = np.zeros_like(mask)
        x1, y1, x2, y2 = (box / fit.scale * scale).round().astype(int).clip(0).tolist()
        frame[y1:y2, x1:x2] = mask[y1:y2, x1:x2]
        taken = on_ground if kind is ContainerKind.SEGMENT else standing
        outline = _outline(frame & (1 - taken), OWN_SHARE * float(frame.sum()))
        if outline is not None:
            cv2.fillPoly(taken, [outline], 1)
            polygon: Polygon = (outline.reshape(-1, 2).astype(np.float32) + np.float32(0.5)) / np.float32(
                scale
            )
            containers.append(Container(kind, polygon, float(found.scores[index])))
    return containers


def _enlarged(logits: NDArray[np.float32], fit: Letterbox, card: ModelCard, size: tuple[int, int]) -> Mask:
    """A mask at working scale, from logits (h, w) of the whole input. They are enlarged and not the mask:
    its border stays smooth."""
    inner_width, inner_height = fit.inner
    shrink = logits.shape[1] / card.width
    inner = logits[: max(1, round(inner_height * shrink)), : max(1, round(inner_width * shrink))]
    mask: Mask = (cv2.resize(inner, size, interpolation=cv2.INTER_LINEAR) > 0).astype(np.uint8)
    return mask


def _outline(mask: Mask, least: float) -> NDArray[np.int32] | None:
    """(k, 1, 2): the outline of a mask in working pixels, without holes; None when it covers less than
    `least` pixels or is only noise."""
    grain = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (GRAIN, GRAIN))
    # A frame of nothing around it: the border of the photo is no reason to close or to cut.
    padded = cv2.copyMakeBorder(mask, GRAIN, GRAIN, GRAIN, GRAIN, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, grain)
    cleaned = cv2.morphologyEx(closed, cv2.MORPH_OPEN, grain)[GRAIN:-GRAIN, GRAIN:-GRAIN]
    pieces, _ = cv2.findContours(np.ascontiguousarray(cleaned), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    areas = [cv2.contourArea(piece) for piece in pieces]
    if not areas or max(areas) < max(least, SMALLEST_SHARE * mask.size):
        return None
    largest = pieces[areas.index(max(areas))]
    joined = np.concatenate([p for p, a in zip(pieces, areas, strict=True) if a >= PIECE * max(areas)])
    for points, area in ((joined, sum(areas)), (largest, max(areas))):
        hull = cv2.convexHull(points)
        if cv2.contourArea(hull) <= (1 + DENTS) * area:
            return np.asarray(hull, np.int32)
    return np.asarray(cv2.approxPolyDP(largest, epsilon=TOLERANCE, closed=True), np.int32)
