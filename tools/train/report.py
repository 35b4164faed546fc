"""Measure the exported networks and write their cards."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from tools.calibrate import calibrate
from tools.photo_reference import measure_photos
from tools.train import containers, plants
from tools.train.cards import Card, Figures, write_card
from tools.train.evaluate import (
    ContainerFigures,
    PlantFigures,
    choose_min_score,
    container_figures,
    plant_figures,
    search,
)
from tools.train.finding import ContainerFinder, pipeline_config
from tools.train.stages import Options, review_containers
from tools.train.truth import CONTAINER_CLASSES, PLANT_CLASSES, Split, cached_pixels

TEMPLATES = Path(__file__).parent
MAX_OVERLAP = pipeline_config(Path()).max_iou
PLANT_HEADER = (
    "| model | photos | precision | recall | AP50 | count MAPE | count bias | found/plants |\n"
    + "|---" * 8
    + "|\n"
)
CONTAINER_HEADER = (
    "| photos | kind | truths | found | precision | recall | mask IoU | area IoU |\n" + "|---" * 8 + "|\n"
)


@dataclass(frozen=True)
class Measured:
    """One network on one split."""

    min_score: float
    figures: PlantFigures
    counts: dict[str, tuple[int, int]]  # photo: found, plants at least 25 % visible


def write_cards(options: Options) -> None:
    write_plant_card(options)
    write_container_card(options)


def calibrate_counts(options: Options) -> None:
    """What boxes and cells are worth in plants, and what the photos learnt from were like; last, since both
    belong to the card's threshold."""
    data, models = options.data, options.models
    for measure in (calibrate, measure_photos):
        measure(models / "plant.json", data / "coco.json", data / "images", models / "containers.json")


def write_plant_card(options: Options) -> Path:
    path = options.models / "plant.xml"
    measured = _measure(path, options)
    rows = [_plant_row("this model", split, one) for split, one in measured.items()]
    if options.baseline is not None:
        rows += [
            _plant_row("baseline", split, one) for split, one in _measure(options.baseline, options).items()
        ]
    val = measured[Split.VAL]
    text = (TEMPLATES / "plant_card.md").read_text()
    (options.models / "plant.md").write_text(
        text.format(
            side=plants.SIDE,
            tiles=plants.TILES,
            learnt_side=plants.LEARNT_SIDE,
            low=plants.SCALES[0],
            middle=plants.SCALE,
            high=plants.SCALES[1],
            min_score=val.min_score,
            max_overlap=MAX_OVERLAP,
            data=_describe_data(options),
            tested=", test was looked at once" if options.test else "",
            command=_command(options),
            start=_describe_start(options),
            effort=_effort(options.plant_checkpoint, plants.TILES, "tiles"),
            table=PLANT_HEADER + "\n".join(rows),
            per_photo=", ".join(
                f"{name} {found}/{true}"
                for one in measured.values()
                for name, (found, true) in one.counts.items()
            ),
        )
    )
    return _write_machine_card(
        "plant", val.min_score, _rounded({"split": "val", **asdict(val.figures)}), options
    )


def write_container_card(options: Options) -> Path:
    path = options.models / "containers.xml"
    score, val_rows = review_containers(path, options)
    rows = [
        _container_row(split, row)
        for split in options.splits
        for row in _measure_containers(path, split, score, options)
    ]
    text = (TEMPLATES / "container_card.md").read_text()
    (options.models / "containers.md").write_text(
        text.format(
            side=containers.SIDE,
            proto=containers.SIDE // containers.MASK_STEP,
            min_score=score,
            max_overlap=MAX_OVERLAP,
            data=_describe_data(options),
            tested=", test was looked at once" if options.test else "",
            photos=len(options.photos(Split.TRAIN)),
            command=_command(options),
            start=_describe_start(options),
            effort=_effort(options.container_checkpoint, containers.VIEWS, "views"),
            table=CONTAINER_HEADER + "\n".join(rows),
        )
    )
    metrics: Figures = {"split": "val", "photos": len(options.photos(Split.VAL))}
    for row in val_rows:
        metrics[f"{row.kind}_precision"] = row.precision
        metrics[f"{row.kind}_recall"] = row.recall
        metrics[f"{row.kind}_mask_iou"] = row.mask_iou
    return _write_machine_card("containers", score, _rounded(metrics), options)


def _measure(path: Path, options: Options) -> dict[Split, Measured]:
    """Figures per split, at the score that suits the validation photos."""
    searches = {
        split: search(path, plants.SIDE, options.photos(split), options.cache) for split in options.splits
    }
    score = choose_min_score(searches[Split.VAL])
    return {
        split: Measured(
            score,
            plant_figures(some, score),
            {one.photo.path.stem: (len(one.kept(score)), one.plants) for one in some},
        )
        for split, some in searches.items()
    }


def _measure_containers(path: Path, split: Split, score: float, options: Options) -> list[ContainerFigures]:
    finder, photos = ContainerFinder(path, containers.SIDE, score), options.photos(split)
    found = [finder(cached_pixels(photo, options.cache)) for photo in photos]
    return container_figures(photos, found, options.cache)


def _plant_row(name: str, split: Split, measured: Measured) -> str:
    row = measured.figures
    name = f"{name}, score ≥ {measured.min_score}"
    return (
        f"| {name} | {split} ({row.photos}) | {row.precision:.3f} | {row.recall:.3f} | {row.ap50:.3f} "
        f"| {row.count_mape:.1%} | {row.count_bias:+.1%} | {row.found} / {row.plants} |"
    )


def _container_row(split: Split, row: ContainerFigures) -> str:
    return (
        f"| {split} | {row.kind} | {row.truths} | {row.found} | {row.precision:.2f} | {row.recall:.2f} "
        f"| {row.mask_iou:.2f} | {row.area_iou:.2f} |"
    )


def _write_machine_card(name: str, min_score: float, metrics: Figures, options: Options) -> Path:
    plant = name == "plant"
    card = Card(
        name=name,
        version=f"{datetime.now(UTC):%Y.%m.%d}",
        task="detect" if plant else "segment",
        classes=PLANT_CLASSES if plant else CONTAINER_CLASSES,
        side=plants.SIDE if plant else containers.SIDE,
        min_score=min_score,
        max_overlap=MAX_OVERLAP,
        metrics=metrics,
    )
    return write_card(card, options.models)


def _rounded(metrics: Figures) -> Figures:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in metrics.items()}


def _describe_data(options: Options) -> str:
    photos = {split: options.photos(split) for split in Split}
    plants_of = {split: sum(len(photo.plants.boxes) for photo in some) for split, some in photos.items()}
    counts = "; ".join(f"{split} {len(photos[split])} photos, {plants_of[split]:,} plants" for split in Split)
    total = sum(len(some) for some in photos.values())
    trained = [container.kind for photo in photos[Split.TRAIN] for container in photo.containers]
    kinds = ", ".join(f"{trained.count(kind)} {name}" for kind, name in enumerate(CONTAINER_CLASSES))
    return f"{total} rendered photos: {counts}. Containers in the train photos: {kinds}."


def _command(options: Options) -> str:
    start = " --start WEIGHTS" if options.start else ""
    minutes = f"--plant-minutes {options.plant_minutes:g} --container-minutes {options.container_minutes:g}"
    return f"`python -m tools.train all --data DIR --out DIR{start} {minutes}`"


def _describe_start(options: Options) -> str:
    if options.start is None:
        return "random weights"
    if options.start.suffix == ".xml":
        return "the network that was shipped before, whose card the history of this file tells"
    return f"`{options.start.name}` (its README tells its history)"


def _effort(checkpoint: Path, batch: int, pictures: str) -> str:
    content = torch.load(checkpoint, weights_only=True)
    minutes, steps = content["seconds"] / 60, content["steps"]
    seen = steps * batch
    return f"{steps} steps, {seen:,} {pictures}, {minutes:.0f} minutes on two cores that others used too."
