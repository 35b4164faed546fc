"""demeter model benchmark: how to count fastest on this machine."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from demeter_cli.formats import Format

if TYPE_CHECKING:
    from pipeline.config import PipelineConfig
    from pipeline.types import Photo


class Precision(StrEnum):
    AUTO = "auto"
    F32 = "f32"
    BF16 = "bf16"
    INT8 = "int8"


COLUMNS = {
    "best": "",
    "precision": "precision",
    "workers": "workers",
    "threads": "threads",
    "photos_per_minute": "photos/min",
    "memory_mb": "MB",
}


def benchmark(
    ctx: typer.Context,
    photos: Annotated[list[str], typer.Argument(help="A few photos as they come every day.")],
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long to count with each split.")] = 15,
    precision: Annotated[
        list[Precision] | None,
        typer.Option(
            help="Try this one (default: the one set); give it several times. int8 counts a little otherwise."
        ),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the fastest into the settings file.")] = False,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
) -> None:
    """Find out how many workers with how many threads count fastest on this machine.

    Nothing is stored. The best counts the most photos a minute; of those within 3 % of it, it takes the least
    memory.

    Example: demeter model benchmark examples --precision auto --precision int8
    """
    from demeter_cli import output
    from demeter_cli.settings import load_settings

    settings = load_settings(ctx.obj)
    config = settings.pipeline(workers=1)
    found = _readable(photos)
    chosen = [one.value for one in dict.fromkeys(precision or [Precision(config.precision)])]
    rows = [
        _row(found, replace(config, precision=name, workers=workers, threads=threads), seconds)
        for name in chosen
        for workers, threads in _splits()
    ]
    best = _best(rows)
    best["best"] = "*"
    match output_format:
        case Format.JSON:
            output.print_json([row | {"best": row is best} for row in rows])
        case Format.CSV:
            output.print_csv(rows, tuple(COLUMNS))
        case Format.TABLE:
            output.print_table(rows, COLUMNS)
    if write:
        _write(ctx.obj, best, with_precision=bool(precision))


def _splits() -> list[tuple[int, int]]:
    from pipeline.machine import cores
    from pipeline.splits import splits

    return splits(cores())


def _readable(photos: list[str]) -> list[Photo]:
    """Raises PhotoError for what cannot even be read."""
    from pipeline.errors import PhotoError
    from pipeline.find import find_photos
    from pipeline.types import PhotoFailure

    found = []
    for photo in find_photos(photos):
        if isinstance(photo, PhotoFailure):
            raise PhotoError(photo.reason)
        found.append(photo)
    if not found:
        raise typer.BadParameter("there is no photo", param_hint="PHOTOS")
    return found


def _row(photos: list[Photo], config: PipelineConfig, seconds: float) -> dict[str, Any]:
    from demeter_cli import output
    from pipeline.splits import measure

    split = f"{config.workers} worker(s) with {config.threads} thread(s) each"
    output.tell(f"{config.precision}: {split}, {seconds:g} seconds …")
    speed = measure(photos, config, seconds)
    return {
        "best": "",
        "precision": config.precision,
        "workers": config.workers,
        "threads": config.threads,
        "photos_per_minute": round(speed.per_minute, 1),
        "memory_mb": round(speed.megabytes),
    }


def _best(rows: list[dict[str, Any]]) -> dict[str, Any]:
    fastest = max(row["photos_per_minute"] for row in rows)
    near = [row for row in rows if row["photos_per_minute"] >= 0.97 * fastest]
    return min(near, key=lambda row: row["memory_mb"])


def _write(config: Path | None, best: dict[str, Any], *, with_precision: bool) -> None:
    from demeter_cli import output
    from demeter_cli.settings import FILE_NAME, find_config
    from demeter_cli.settings_file import write_settings

    path = find_config(config) or Path.cwd() / FILE_NAME
    values = {"workers": best["workers"], "threads": best["threads"]}
    write_settings(path, values | ({"precision": best["precision"]} if with_precision else {}))
    output.tell(f"Written into {path}.")
