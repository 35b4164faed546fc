"""Crates and trays hold so many pots: a check of their count, and their empty cells. Pure.

How many cells a container has is known from the place, not from the photo, so this comes after the counting.
Containers of the background are another place's. A container that the frame cuts shows a part of its cells:
more plants than cells are still too many, but its empty cells cannot be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.types import ContainerCount, ContainerKind, PhotoResult, PhotoStatus
from pipeline.words import Sentence

NAMES = {
    ContainerKind.BOX: (Sentence("crate"), Sentence("places")),
    ContainerKind.PLUG_TRAY: (Sentence("tray"), Sentence("cells")),
    ContainerKind.SEEDLING_TRAY: (Sentence("tray"), Sentence("cells")),
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
    sentences: list[str] = []
    for kind, (name, places) in NAMES.items():
        full = [c for c in counts if c.container.kind is kind and c.cells is not None and c.total > c.cells]
        if not full:
            continue
        worst = max(count.total for count in full)
        told = {"plants": worst, "name": name, "cells": full[0].cells, "places": places}
        if len(full) == 1:
            sentences.append(
                Sentence(
                    "{plants} plants in a {name} of {cells} {places};"
                    " look at its picture, and at the bin type of the place",
                    **told,
                )
            )
            continue
        sentences.append(
            Sentence.counted(
                "{plants} plants in a {name} of {cells} {places}, and {n} more {name} with too many;"
                " look at its picture, and at the bin type of the place",
                "{plants} plants in a {name} of {cells} {places}, and {n} more {name}s with too many;"
                " look at its picture, and at the bin type of the place",
                len(full) - 1,
                **told,
            )
        )
    return sentences
