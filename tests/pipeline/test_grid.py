"""Crates and trays against the number of pots that they hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.grid import in_known_grids
from pipeline.types import (
    Container,
    ContainerCount,
    ContainerKind,
    PhotoInfo,
    PhotoResult,
    PhotoStatus,
    Role,
)
from tests.pipeline.test_draw import result_of

BOX, TRAY, SEGMENT = ContainerKind.BOX, ContainerKind.PLUG_TRAY, ContainerKind.SEGMENT
INSIDE = (100.0, 100.0, 400.0, 300.0)


def counted(
    kind: ContainerKind,
    seen: int,
    hidden: int = 0,
    at: tuple[float, float, float, float] = INSIDE,
    role: Role = Role.MAIN,
) -> ContainerCount:
    x1, y1, x2, y2 = at
    polygon = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    return ContainerCount(Container(kind, polygon, 0.9, role), seen, hidden, 0, 1, not seen, 0.9)


def photo(*counts: ContainerCount, status: PhotoStatus = PhotoStatus.COMPLETED) -> PhotoResult:
    return replace(result_of(counts), info=PhotoInfo(1000, 800, "JPEG"), status=status)


@pytest.mark.parametrize(("seen", "hidden", "empty"), [(0, 0, 40), (30, 0, 10), (30, 5, 5), (40, 0, 0)])
def test_empty_cells_are_those_without_a_plant_seen_or_hidden(seen: int, hidden: int, empty: int) -> None:
    result = in_known_grids(photo(counted(TRAY, seen, hidden)), {TRAY: 40})
    assert (result.counts[0].cells, result.counts[0].empty_cells) == (40, empty)
    assert (result.status, result.warnings) == (PhotoStatus.COMPLETED, ())
    assert result.total == seen + hidden  # A check changes no count.


def test_more_plants_than_cells_are_a_warning_and_no_cell_is_less_than_empty() -> None:
    result = in_known_grids(photo(counted(TRAY, 38, 3)), {TRAY: 40})
    assert (result.counts[0].total, result.counts[0].empty_cells) == (41, 0)
    assert result.status is PhotoStatus.WARNING
    assert result.warnings == (
        "41 plants in a tray of 40 cells; look at its picture, and at the bin type of the place",
    )


def test_several_full_containers_make_one_sentence_per_kind() -> None:
    boxes = (counted(BOX, 29), counted(BOX, 33), counted(BOX, 28), counted(BOX, 30))
    result = in_known_grids(photo(*boxes, counted(TRAY, 60), counted(TRAY, 55)), {BOX: 28, TRAY: 50})
    crates, trays = result.warnings
    assert crates.startswith("33 plants in a crate of 28 places, and 2 more crates with too many; look at")
    assert trays.startswith("60 plants in a tray of 50 cells, and 1 more tray with too many; look at")


def test_a_container_cut_by_the_frame_has_too_many_plants_or_says_nothing() -> None:
    for at in ((0.0, 100.0, 300.0, 300.0), (700.0, 100.0, 999.0, 300.0), (100.0, 600.0, 300.0, 795.0)):
        few, many = counted(TRAY, 12, at=at), counted(TRAY, 60, at=at)
        result = in_known_grids(photo(few, many), {TRAY: 50})
        assert [count.empty_cells for count in result.counts] == [None, None]
        assert len(result.warnings) == 1


def test_what_is_not_known_is_not_checked() -> None:
    counts = (
        counted(SEGMENT, 500),
        counted(BOX, 90),
        counted(TRAY, 90, role=Role.BACKGROUND),
        counted(ContainerKind.LOOSE, 90),
    )
    cells = {TRAY: 40, SEGMENT: 10, ContainerKind.LOOSE: 10}
    result = in_known_grids(photo(*counts), cells)
    assert result.counts == counts
    assert result.warnings == ()


def test_a_refused_photo_stays_refused_and_keeps_its_warnings() -> None:
    refused = replace(photo(counted(TRAY, 60), status=PhotoStatus.REFUSED), warnings=("too dark",))
    result = in_known_grids(refused, {TRAY: 50})
    assert result.status is PhotoStatus.REFUSED
    assert result.warnings[0] == "too dark"
    assert len(result.warnings) == 2
