"""Crates and trays hold so many pots: a check of their count, and their empty cells. Pure.

How many cells a container has is known from the place, not from the photo, so this comes after the counting.
Containers of the background are another place's. A container that the frame cuts shows a part of its cells:
more plants than cells are still too many, but its empty cells cannot be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.types import ContainerCount, ContainerKind, PhotoResult, PhotoStatus

NAMES = {
    ContainerKind.BOX: ("crate", "places"),
    ContainerKind.PLUG_TRAY: ("tray", "cells"),
    ContainerKind.SEEDLING_TRAY: ("tray", "cells"),
}
# A container that comes nearer to the frame than this share of the photo's side may go on behind it.
NEAR_FRAME = 0.01


def in_known_grids(result: PhotoResult, cells: Mapping[ContainerKind, int]) -> PhotoResult:
    """The result with the cells of each main container of a kind whose cells are known, and a warning where
    one holds more plants than it has cells."""
    size = result.info.width, result.info.height
    counts = tuple(_with_cells(count, cells, size) for count in result.counts)
    warnings = tuple(_warnings(counts))
    doubted = bool(warnings) and result.status is PhotoStatus.COMPLETED
    return replace(
        result,
        counts=counts,
        warnings=(*result.warnings, *warnings),
        status=PhotoStatus.WARNING if doubted else result.status,
    )


def _with_cells(
    count: ContainerCount, cells: Mapping[ContainerKind, int], size: tuple[int, int]
) -> ContainerCount:
    known = cells.get(count.container.kind)
    if known is None or not count.is_main or count.container.kind not in NAMES:
        return count
    whole = lies_within(count, size)
    return replace(count, cells=known, empty_cells=max(0, known - count.total) if whole else None)


def lies_within(count: ContainerCount, size: tuple[int, int]) -> bool:
    """Whether the whole container is in the photo, whose width and height are given."""
    low, high = count.container.polygon.min(axis=0), count.container.polygon.max(axis=0)
    return all(
        NEAR_FRAME * side <= first and last <= (1 - NEAR_FRAME) * side
        for first, last, side in zip(low, high, size, strict=True)
    )


def _warnings(counts: tuple[ContainerCount, ...]) -> list[str]:
    """One sentence for each kind of container of which some hold too many plants."""
    sentences = []
    for kind, (name, places) in NAMES.items():
        full = [c for c in counts if c.container.kind is kind and c.cells is not None and c.total > c.cells]
        if not full:
            continue
        worst = max(count.total for count in full)
        told = f"{worst} plants in a {name} of {full[0].cells} {places}"
        if len(full) > 1:
            told += f", and {len(full) - 1} more {name}{'s' if len(full) > 2 else ''} with too many"
        sentences.append(f"{told}; look at its picture, and at the bin type of the place")
    return sentences
