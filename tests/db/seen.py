"""Results as the pipeline hands them over, made to order."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import numpy as np

from pipeline.interval import bounds
from pipeline.types import (
    Container,
    ContainerCount,
    ContainerKind,
    Detections,
    Estimate,
    Gps,
    Photo,
    PhotoInfo,
    PhotoResult,
    PhotoStatus,
    Role,
    Total,
)

SQUARE = np.array([[0, 0], [1600, 0], [1600, 1200], [0, 1200]], np.float32)
TAKEN = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def a_photo(name: str = "N01-NORTE-C01.jpg", content: str = "") -> Photo:
    return Photo(Path(name), hashlib.sha256((content or name).encode()).hexdigest(), 700_000)


def a_result(
    photo: Photo,
    seen: dict[ContainerKind, int],
    hidden: int = 0,
    taken_at: dt.datetime | None = TAKEN,
    warnings: tuple[str, ...] = (),
    behind: dict[ContainerKind, int] | None = None,
) -> PhotoResult:
    """A photo with one container per kind; the first one holds the hidden plants. What is `behind` stands in
    a neighbouring bed."""
    behind = behind or {}
    counts = tuple(
        _count(kind, number, hidden if position == 0 else 0)
        for position, (kind, number) in enumerate(seen.items())
    ) + tuple(_count(kind, number, 0, Role.BACKGROUND) for kind, number in behind.items())
    numbers = [*seen.values(), *behind.values()]
    main, total = sum(seen.values()), sum(numbers)
    rng = np.random.default_rng(total)
    corners = rng.uniform(0, 1000, (total, 2)).astype(np.float32)
    sides = rng.uniform(5, 90, (total, 2)).astype(np.float32)
    low, high = bounds(total, hidden)
    return PhotoResult(
        photo=photo,
        info=PhotoInfo(1600, 1200, "JPEG", taken_at, Gps(-33.04, -68.7, 900.0, 5.0), "Pixel 8"),
        status=PhotoStatus.WARNING if warnings else PhotoStatus.COMPLETED,
        warnings=warnings,
        counts=counts,
        detections=Detections(
            np.hstack([corners, corners + sides]),
            rng.uniform(0.3, 1, total).astype(np.float32),
            np.zeros(total, np.int16),
            np.zeros(total, np.bool_),
        ),
        owner=np.repeat(np.arange(len(numbers)), numbers).astype(np.intp),
        low=low,
        high=high,
        main=Total(main, hidden, *bounds(main, hidden)),
        model="plant-1+containers-1",
        seconds=1.5,
    )


def _count(kind: ContainerKind, seen: int, hidden: int, role: Role = Role.MAIN) -> ContainerCount:
    low, high = bounds(seen, hidden)
    estimates = tuple(
        Estimate("perspective", "1", band, 300.0 * (band - 1), 300.0 * band, 900.0, 600.0, 100.0, hidden / 4)
        for band in range(1, 5)
    )
    container = Container(kind, SQUARE, 0.9, role)
    mean = 0.7 if seen else None
    return ContainerCount(container, seen, hidden, low, high, seen + hidden == 0, mean, estimates)
