"""demeter model: how good the models are."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from demeter_cli.commands import audit, speed
from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format

if TYPE_CHECKING:
    from demeter_cli.settings import Settings
    from pipeline.evaluate import Entrant
    from pipeline.scores import Scored, Summary
    from pipeline.truth import TruthPhoto

log = logging.getLogger("demeter")

app = typer.Typer(no_args_is_help=True)
app.add_typer(audit.app, name="audit")
app.command("benchmark")(speed.benchmark)


@app.callback()
def model() -> None:
    """Measure the models.

    Example: demeter model benchmark photos
    """


@app.command("evaluate")
def evaluate(
    ctx: typer.Context,
    truth: Annotated[Path, typer.Argument(help="Labelled photos: a COCO file.")],
    images: Annotated[Path, typer.Option(help="Folder of the photos that the file names.")],
    split: Annotated[
        str | None, typer.Option(help="Only the photos of this split: train, val or test.")
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option("--model", help="Compare these detectors, not the one set; give it several times."),
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", help="Compare only these methods; give it several times.")
    ] = None,
    gallery: Annotated[
        Path | None,
        typer.Option(help="Write a page of pictures into this folder: the first method, worst photos first."),
    ] = None,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.TABLE,
) -> None:
    """Count labelled photos and say how far off the counts are, beside other ways to use the same weights.

    docs/how-well.md explains every figure.

    Example: demeter model evaluate coco.json --images images --split test --gallery worst
    """
    from demeter_cli import output
    from demeter_cli.settings import load_settings
    from pipeline.evaluate import METHODS, default_methods
    from pipeline.gallery import open_gallery, write_gallery
    from pipeline.scores import summarise
    from pipeline.truth import load_truth, require_sizes

    settings = load_settings(ctx.obj)
    methods = list(dict.fromkeys(method or default_methods(settings.estimator)))
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(METHODS)}", param_hint="--method")
    photos = load_truth(truth, images, split)
    require_sizes(photos)
    if gallery is not None:
        open_gallery(gallery, images)
    entrants = _entrants(settings, model or [])
    scored, unread = _score(photos, entrants, methods)
    ways = [(entrant.name, name) for entrant in entrants for name in methods] if scored else []
    summaries = [summarise([one for one in scored if (one.model, one.method) == way]) for way in ways]
    if summaries:
        _print(summaries, scored, output_format)
        if gallery is not None:
            shown = [one for one in scored if (one.model, one.method) == ways[0]]
            page = write_gallery(gallery, shown, int(settings.max_megapixels * 1e6))
            output.tell(f"The worst photos first: {page}")
    if unread:
        output.tell(f"{unread} of {len(photos)} labelled photos could not be read and take no part.")
        raise typer.Exit(ExitCode.PARTIAL)


def _entrants(settings: Settings, paths: list[Path]) -> list[Entrant]:
    """The detectors to compare: those given, at the thresholds of their cards, else the one set."""
    from pipeline.config import ModelChoice
    from pipeline.detect import load_detector, load_segmenter
    from pipeline.evaluate import Entrant
    from pipeline.photo import Counter

    config = settings.pipeline(workers=1)
    chosen = [ModelChoice(path, settings.runtime) for path in paths] or [config.detector]
    segmenter = load_segmenter(config)
    configs = [replace(config, detector=choice) for choice in dict.fromkeys(chosen)]
    counters = [Counter(load_detector(config), segmenter, config) for config in configs]
    labels = [counter.detector.card.label for counter in counters]
    # Two trainings may have kept the name: then the file tells them apart.
    names = [
        label if labels.count(label) == 1 else str(counter.config.detector.path)
        for label, counter in zip(labels, counters, strict=True)
    ]
    return [Entrant(name, counter) for name, counter in zip(names, counters, strict=True)]


def _score(photos: list[TruthPhoto], entrants: list[Entrant], methods: list[str]) -> tuple[list[Scored], int]:
    """What each said of each photo, and how many photos could not be read."""
    from demeter_cli import output
    from pipeline.errors import PhotoError
    from pipeline.evaluate import knows_metres, score_photo

    scored: list[Scored] = []
    unread, metres = 0, knows_metres(photos)
    with output.photo_progress(len(photos)) as advance:
        for photo in photos:
            try:
                scored += score_photo(photo, entrants, methods, metres=metres)
            except PhotoError as error:
                log.error("%s", error)
                unread += 1
            advance(photo.total)
    return scored, unread


def _print(summaries: list[Summary], scored: list[Scored], output_format: Format) -> None:
    from demeter_cli import evaluation, output

    match output_format:
        case Format.JSON:
            methods = [evaluation.method_document(summary) for summary in summaries]
            output.print_json({"methods": methods, "photos": [evaluation.photo_row(one) for one in scored]})
        case Format.CSV:
            rows = [evaluation.method_row(summary) for summary in summaries]
            output.print_csv(rows, tuple(rows[0]))
        case Format.TABLE:
            evaluation.print_tables(summaries)
