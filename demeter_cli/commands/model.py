"""demeter model: how good the models are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from demeter_cli.formats import Format

if TYPE_CHECKING:
    from pipeline.evaluate import Scored, Summary

app = typer.Typer(no_args_is_help=True, help="Measure the models.")


@app.callback()
def model() -> None:
    """Measure the models."""


@app.command("evaluate")
def evaluate(
    ctx: typer.Context,
    truth: Annotated[Path, typer.Argument(help="Labelled photos: a COCO file.")],
    images: Annotated[Path, typer.Option(help="Folder of the photos that the file names.")],
    split: Annotated[
        str | None, typer.Option(help="Only the photos of this split: train, val or test.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", help="Compare only these methods; give it several times.")
    ] = None,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
) -> None:
    """Count labelled photos and say how far off the counts are, beside other ways to use the same weights.

    Example: demeter model evaluate coco.json --images images --split test
    """
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from pipeline.evaluate import METHODS, summarise
    from pipeline.evaluate import evaluate as evaluate_photos
    from pipeline.photo import Counter
    from pipeline.truth import load_truth

    methods = list(dict.fromkeys(method or METHODS))
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(METHODS)}", param_hint="--method")
    photos = load_truth(truth, images, split)
    counter = Counter.load(load_settings(ctx.obj).pipeline(workers=1))
    scored: list[Scored] = []
    with output.photo_progress(len(photos)) as advance:
        for one in evaluate_photos(photos, counter, methods):
            scored.append(one)
            if one.method == methods[-1]:
                advance(one.photo.total)
    summaries = [summarise([one for one in scored if one.method == name]) for name in methods]
    _print(scored, summaries, output_format)


COLUMNS = {
    "method": "method",
    "precision": "precision",
    "recall": "recall",
    "mape": "MAPE",
    "bias": "bias",
    "r2": "R²",
    "coverage": "covers",
    "width": "width",
    "seconds": "sec",
}


def _print(scored: list[Scored], summaries: list[Summary], output_format: Format) -> None:
    from demeter_cli import output

    rows = [_summary_row(summary) for summary in summaries]
    match output_format:
        case Format.JSON:
            output.print_json({"methods": rows, "photos": [_photo_row(one) for one in scored]})
        case Format.CSV:
            output.print_csv(rows, tuple(rows[0]))
        case Format.TABLE:
            photos = summaries[0].count
            output.print_table(
                [_shown(row) for row in rows],
                COLUMNS,
                title=f"{photos.photos} photos, {photos.truth} plants in the frames, hidden ones included",
                droppable=("seconds", "r2", "width"),
            )


def _summary_row(summary: Summary) -> dict[str, Any]:
    count = summary.count
    return {
        "method": summary.method,
        "photos": count.photos,
        "truth": count.truth,
        "counted": count.counted,
        "precision": round(summary.precision, 4),
        "recall": round(summary.recall, 4),
        "mae": round(count.mae, 2),
        "mape": round(count.mape, 4),
        "bias": round(count.bias, 4),
        "r2": round(count.r2, 4),
        "coverage": None if count.coverage is None else round(count.coverage, 4),
        "width": None if count.width is None else round(count.width, 4),
        "seconds": round(summary.seconds, 3),
    }


def _shown(row: dict[str, Any]) -> dict[str, str]:
    def share(name: str, sign: str = "") -> str:
        return "" if row[name] is None else f"{row[name]:{sign}.1%}"

    return {
        "method": row["method"],
        **{name: share(name) for name in ("precision", "recall", "mape", "coverage", "width")},
        "bias": share("bias", "+"),
        "r2": f"{row['r2']:.3f}",
        "seconds": f"{row['seconds']:.1f}",
    }


def _photo_row(one: Scored) -> dict[str, Any]:
    low, high = one.answer.bounds or (None, None)
    return {
        "photo": one.photo.file.name,
        "method": one.method,
        "truth": one.photo.total,
        "counted": one.answer.total,
        "low": low,
        "high": high,
        "visible": int(one.photo.visible.sum()),
        "hits": int(one.matches.hit.sum()),
        "false": int(one.matches.false.sum()),
        "seconds": round(one.answer.seconds, 3),
    }
