"""demeter count: count the plants in photos, without a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format

if TYPE_CHECKING:
    from pipeline.types import ContainerCount, Photo, PhotoFailure, PhotoResult


def count(
    ctx: typer.Context,
    photos: Annotated[list[str], typer.Argument(help="Photos, folders of photos, or patterns in quotes.")],
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
    boxes: Annotated[bool, typer.Option("--boxes", help="List every plant's box in the JSON.")] = False,
    draw: Annotated[
        Path | None, typer.Option(help="Write pictures of what was counted into this folder.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Worker processes; 0 counts in this one (default: up to 2).")
    ] = None,
) -> None:
    """Count the plants in PHOTOS. Nothing is stored, no database is needed.

    Example: demeter count examples --draw overlays
    """
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from pipeline.find import count_photos, find_photos, own_folder
    from pipeline.run import run
    from pipeline.types import Photo, PhotoFailure

    settings = load_settings(ctx.obj)
    total = count_photos(photos)
    # One photo is counted here: a worker process would take longer to start than to count it.
    config = settings.pipeline(
        0 if total == 1 and workers is None else settings.workers_for(total, workers), draw
    )
    if draw is not None:
        own_folder(draw)
    order: list[Path] = []
    rows: dict[Path, dict[str, Any]] = {}
    crashed = False

    def fail(failure: PhotoFailure) -> None:
        rows[failure.photo.path] = describe_failure(failure)
        output.report_failure(failure)

    def readable() -> Iterator[Photo]:
        for found in find_photos(photos):
            order.append(found.path if isinstance(found, Photo) else found.photo.path)
            if isinstance(found, Photo):
                yield found
            else:
                fail(found)

    with output.photo_progress(total) as advance:
        for outcome in run(readable(), config):
            if isinstance(outcome, PhotoFailure):
                crashed = crashed or outcome.crashed
                fail(outcome)
                advance(0)
            else:
                rows[outcome.photo.path] = describe(outcome, boxes)
                advance(outcome.main.total)
    _print([rows[path] for path in order], output_format)
    if any(row["status"] == "failed" for row in rows.values()):
        raise typer.Exit(ExitCode.CRASH if crashed else ExitCode.PARTIAL)


CSV_COLUMNS = (
    *("photo", "sha256", "width", "height", "taken_at", "status", "seen", "hidden", "total", "low", "high"),
    *("empty_containers", "model", "seconds"),
)


def _print(rows: list[dict[str, Any]], output_format: Format) -> None:
    from demeter_cli import counted, output

    match output_format:
        case Format.JSON:
            output.print_json(rows)
        case Format.CSV:
            output.print_csv(map(counted.flat, rows), (*CSV_COLUMNS, *counted.CSV_COLUMNS))
        case Format.TABLE:
            droppable = ("seconds", "neighbours", "hidden", "seen")
            counted.print_counts(rows, {"photo": "photo"}, droppable)


FIGURES = ("seen", "hidden", "total", "low", "high", "empty_containers")


def describe(result: PhotoResult, boxes: bool = False) -> dict[str, Any]:
    """The stable JSON form of a counted photo; see docs/json.md."""
    from demeter_cli.counted import bed, describe_findings
    from pipeline.find import printable

    gps = result.info.gps
    row: dict[str, Any] = {
        "photo": printable(result.photo.path),
        "sha256": result.photo.sha256,
        "width": result.info.width,
        "height": result.info.height,
        "taken_at": result.info.taken_at,
        "gps": gps and {"latitude": gps.latitude, "longitude": gps.longitude},
        "status": result.status.value,
        "warnings": list(result.warnings),
        "error": None,
        **_figures(result, FIGURES),
        "model": result.model,
        "seconds": round(result.seconds, 3),
        "stages": {name: round(seconds, 3) for name, seconds in result.stages.items()},
        "overlay": result.overlay and str(result.overlay),
        "containers": [_describe_container(count) for count in result.counts],
        "main": bed(result.main) if result.counted else None,
        **_figures(result, ("dead", "empty_pots")),
        "findings": describe_findings(result.findings),
        "unlikeness": round(result.unlikeness, 3) if result.counted else None,
    }
    if boxes:
        row["detections"] = [
            {
                **dict(zip(("x1", "y1", "x2", "y2"), map(_round, box), strict=True)),
                "score": round(score, 4),
                "kind": result.counts[owner].container.kind.value,
            }
            for box, score, owner in zip(
                result.detections.boxes.tolist(),
                result.detections.scores.tolist(),
                result.owner.tolist(),
                strict=True,
            )
        ]
    return row


def _figures(result: PhotoResult, names: Iterable[str]) -> dict[str, Any]:
    """None where the gate saw at a glance that counting is useless."""
    return {name: getattr(result, name) if result.counted else None for name in names}


def _describe_container(count: ContainerCount) -> dict[str, Any]:
    return {
        "kind": count.container.kind.value,
        "polygon": [[_round(x), _round(y)] for x, y in count.container.polygon.tolist()],
        "seen": count.seen,
        "hidden": count.hidden,
        "total": count.total,
        "low": count.low,
        "high": count.high,
        "role": count.container.role.value,
        "dead": count.dead,
        "empty_pots": count.empty_pots,
        "cells": count.cells,
        "empty_cells": count.empty_cells,
    }


def _round(pixels: float) -> float:
    return round(pixels, 1)


def describe_failure(failure: PhotoFailure) -> dict[str, Any]:
    """A photo that could not be counted has the same keys; its figures are None, not zeros."""
    from pipeline.find import printable

    return {
        "photo": printable(failure.photo.path),
        "sha256": failure.photo.sha256 or None,
        **dict.fromkeys(("width", "height", "taken_at", "gps")),
        "status": "failed",
        "warnings": [],
        "error": failure.reason,
        **dict.fromkeys((*FIGURES, "model", "seconds")),
        "stages": {},
        "overlay": None,
        "containers": [],
        **dict.fromkeys(("main", "dead", "empty_pots")),
        "findings": [],
        "unlikeness": None,
    }
