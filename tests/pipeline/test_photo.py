from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from demeter_cli.settings import shipped
from pipeline.boxes import centres
from pipeline.config import GateConfig, ModelChoice, PipelineConfig
from pipeline.decode import decode
from pipeline.errors import ModelError, PhotoError
from pipeline.photo import Counter
from pipeline.sweep import detect_tiled
from pipeline.types import UNHASHED, ContainerKind, Photo, PhotoResult, PhotoStatus, Pixels, Thing
from tests.pipeline.networks import CELL, DRAWN, SIDE, save_sorter, tiny_config
from tests.pipeline.scenes import BlobDetector, pots, sorted_pots


@pytest.fixture
def config(tmp_path: Path) -> PipelineConfig:
    return tiny_config(tmp_path)


def save(folder: Path, pixels: Pixels, name: str = "bed.png") -> Photo:
    path = folder / name
    cv2.imwrite(str(path), pixels)
    content = path.read_bytes()
    return Photo(path, hashlib.sha256(content).hexdigest(), len(content))


def count(config: PipelineConfig, photo: Photo) -> PhotoResult:
    return Counter.load(config).count(photo)


@pytest.mark.parametrize("plants", [1, 2, 40, 120])
def test_a_drawn_bed_is_counted_exactly(tmp_path: Path, config: PipelineConfig, plants: int) -> None:
    pixels = pots(12, 10, plants)
    result = count(config, save(tmp_path, pixels))
    assert (result.seen, result.hidden, result.total) == (plants, 0, plants)
    assert (result.status, result.warnings) == (PhotoStatus.COMPLETED, ())
    (bed,) = result.counts
    assert (bed.container.kind, bed.seen, bed.empty) == (ContainerKind.SEGMENT, plants, False)
    assert bed.mean_score == pytest.approx(0.57, abs=0.02)
    assert result.low <= plants <= result.high
    assert result.owner.tolist() == [0] * plants
    assert result.model == "cells-1+lit-1"
    # Each box lies in the middle of its disc, in photo pixels.
    middles = (result.detections.boxes[:, :2] + result.detections.boxes[:, 2:]) / 2
    assert (pixels[middles[:, 1].astype(int), middles[:, 0].astype(int)] == 250).all()
    assert len(np.unique(middles, axis=0)) == plants


PLANT, POT, DEAD = Thing.PLANT, Thing.EMPTY_POT, Thing.DEAD_PLANT


@pytest.mark.parametrize(
    "things",
    [[PLANT] * 7 + [POT] * 5 + [DEAD] * 3, [POT, DEAD, PLANT] * 20, [DEAD] * 4, [PLANT] + [POT] * 30],
)
def test_dead_plants_are_plants_and_empty_pots_count_as_nothing(tmp_path: Path, things: list[Thing]) -> None:
    config = replace(tiny_config(tmp_path), detector=ModelChoice(save_sorter(tmp_path / "models")))
    result = count(config, save(tmp_path, sorted_pots(12, 10, things)))
    dead, pots = things.count(DEAD), things.count(POT)
    assert result.seen == result.total == result.main.total == len(things) - pots
    assert (result.dead, result.empty_pots) == (dead, pots)
    (bed,) = result.counts
    assert (bed.seen, bed.dead, bed.empty_pots) == (len(things) - pots, dead, pots)
    assert len(result.detections) == len(result.owner) == result.seen
    assert result.detections.dead.sum() == dead
    # Where they are said to be, they are.
    for found, thing in ((result.detections.take(result.detections.dead), DEAD), (result.pots, POT)):
        at = (centres(found.boxes) // CELL - 1).astype(int)
        assert sorted(12 * at[:, 1] + at[:, 0]) == [n for n, it in enumerate(things) if it is thing]


def test_a_bed_of_empty_pots_alone_is_not_booked(tmp_path: Path) -> None:
    config = replace(tiny_config(tmp_path), detector=ModelChoice(save_sorter(tmp_path / "models")))
    result = count(config, save(tmp_path, sorted_pots(12, 10, [POT] * 40)))
    assert (result.total, result.empty_pots, result.status) == (0, 40, PhotoStatus.REFUSED)


def test_empty_pots_outside_every_container_are_told_and_are_no_empty_container(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    config = replace(config, detector=ModelChoice(save_sorter(tmp_path / "models")), skip_below=0.0)
    pixels = np.zeros((40 * CELL, 40 * CELL, 3), np.uint8)
    pixels[: 20 * CELL] = 60
    pixels[2 * CELL : 3 * CELL, : 30 * CELL, 1] = 250
    for column in (4, 12, 20):
        pixels[35 * CELL : 36 * CELL, column * CELL : (column + 1) * CELL, 0] = 250
    result = count(config, save(tmp_path, pixels))
    assert [(kept.container.kind, kept.seen, kept.empty_pots) for kept in result.counts] == [
        (ContainerKind.SEGMENT, 30, 0),
        (ContainerKind.LOOSE, 0, 3),
    ]
    assert (result.empty_pots, result.empty_containers) == (3, 0)


def test_the_answer_says_how_large_the_photo_is_and_where_the_time_went(
    tmp_path: Path, config: PipelineConfig
) -> None:
    result = count(config, save(tmp_path, pots(12, 10, 5)))
    assert (result.info.width, result.info.height, result.info.format) == (14 * CELL, 12 * CELL, "PNG")
    one_after_another = dict(result.stages)
    assert one_after_another.pop("containers") > 0  # found while others go on
    assert list(one_after_another) == ["decode", "gate", "detect", "estimate", "overlay"]
    assert 0 < sum(one_after_another.values()) <= result.seconds
    assert result.overlay is None


def test_a_result_survives_the_way_between_processes(tmp_path: Path, config: PipelineConfig) -> None:
    result = count(config, save(tmp_path, pots(12, 10, 5)))
    copy = pickle.loads(pickle.dumps(result))
    assert (copy.photo, copy.info, copy.seen, copy.stages) == (
        result.photo, result.info, result.seen, result.stages
    )  # fmt: skip
    assert np.array_equal(copy.detections.boxes, result.detections.boxes)


def test_a_bed_without_plants_is_an_empty_container_and_not_booked(
    tmp_path: Path, config: PipelineConfig
) -> None:
    result = count(config, save(tmp_path, pots(12, 10, 0)))
    assert (result.total, result.empty_containers) == (0, 1)
    assert result.status is PhotoStatus.REFUSED
    assert result.warnings == (
        "containers were found but no plant in them; check the photo, or that they are empty",
    )


def test_a_photo_of_nothing_is_no_count_of_zero(tmp_path: Path, config: PipelineConfig) -> None:
    result = count(config, save(tmp_path, np.zeros((300, 400, 3), np.uint8)))
    assert (result.total, result.counts) == (0, ())
    assert result.status is PhotoStatus.REFUSED
    assert result.warnings == ("no container and no plant was found; check that the photo shows a bed",)


BLACK, WHITE, GREY, GREEN = (0, 0, 0), (255, 255, 255), (60, 60, 60), (40, 120, 50)


@pytest.mark.parametrize(
    ("colour", "gate"),
    [
        *((colour, GateConfig()) for colour in (BLACK, WHITE, GREY, GREEN)),
        # With the gate open too; but not white, which the tiny detector takes for plants everywhere.
        *((colour, DRAWN) for colour in (BLACK, GREY, GREEN)),
    ],
)
def test_one_solid_colour_is_refused_with_a_sentence_and_is_no_count(
    tmp_path: Path, config: PipelineConfig, colour: tuple[int, int, int], gate: GateConfig
) -> None:
    solid = np.full((300, 400, 3), colour, np.uint8)
    result = count(replace(config, gate=gate), save(tmp_path, solid))
    assert result.status is PhotoStatus.REFUSED
    assert result.total == 0
    assert len(result.warnings) >= 1
    assert not len(result.pots)


def test_five_thousand_plants_are_counted_to_the_last(tmp_path: Path, config: PipelineConfig) -> None:
    result = count(config, save(tmp_path, pots(100, 52, 5000)))
    assert result.seen == 5000
    assert result.hidden <= 5  # an estimate, by area: a plant in a thousand is its noise
    assert len(result.detections) == len(result.owner) == 5000


def test_the_shipped_models_see_nothing_in_one_colour(tmp_path: Path) -> None:
    models = shipped("configs/models")
    config = PipelineConfig(
        ModelChoice(models / "plant.json"), ModelChoice(models / "containers.json"), gate=DRAWN, threads=1
    )
    result = count(config, save(tmp_path, np.full((700, 900, 3), (40, 120, 50), np.uint8)))
    assert (result.total, result.counts) == (0, ())
    assert result.status is PhotoStatus.REFUSED


def test_plants_far_from_any_container_are_counted_and_said(tmp_path: Path, config: PipelineConfig) -> None:
    # The upper half is a bed; below it on the black floor stand plants that no bed holds. To the
    # segmenter they are specks, since its masks are coarse.
    pixels = np.zeros((40 * CELL, 40 * CELL, 3), np.uint8)
    pixels[: 20 * CELL] = 60
    pixels[2 * CELL : 3 * CELL, : 30 * CELL] = 250
    for column in (4, 12, 20, 28, 36):
        pixels[35 * CELL : 36 * CELL, column * CELL : (column + 1) * CELL] = 250
    result = count(replace(config, skip_below=0.0), save(tmp_path, pixels))
    bed, loose = result.counts
    assert (bed.seen, loose.seen, loose.container.kind) == (30, 5, ContainerKind.LOOSE)
    assert result.seen == 35
    assert sorted(result.owner.tolist()) == [0] * 30 + [1] * 5
    assert result.warnings == ("5 of 35 plants stand outside every container; look at its picture",)
    # Doubt widens.
    assert loose.high - loose.low > 2


def test_an_overlay_is_written_where_asked(tmp_path: Path, config: PipelineConfig) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    result = count(replace(config, overlay_dir=folder), save(tmp_path, pots(12, 10, 5)))
    assert result.overlay is not None
    assert [result.overlay] == list(folder.iterdir())
    assert decode(result.overlay, max_pixels=10**6, min_side=1).shape == (12 * CELL, 14 * CELL, 3)


def test_a_count_stands_when_its_overlay_cannot_be_written(tmp_path: Path, config: PipelineConfig) -> None:
    full = tmp_path / "full"
    full.write_text("a file where the folder should be")
    result = count(replace(config, overlay_dir=full), save(tmp_path, pots(12, 10, 5)))
    assert (result.seen, result.overlay, result.status) == (5, None, PhotoStatus.WARNING)
    (warning,) = result.warnings
    assert "full" in warning
    assert "cannot be written" in warning


def test_a_photo_that_cannot_be_read_is_an_error_of_that_photo(
    tmp_path: Path, config: PipelineConfig
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_text("not a photo")
    counter = Counter.load(config)
    with pytest.raises(PhotoError, match=r"broken\.jpg"):
        counter.count(Photo(broken, UNHASHED, 11))
    with pytest.raises(PhotoError, match="changed since it was found"):
        counter.count(replace(save(tmp_path, pots(12, 10, 5)), sha256="1" * 64))
    with pytest.raises(PhotoError, match="too large"):
        huge = replace(counter, config=replace(config, max_megapixels=0.01))
        huge.count(save(tmp_path, pots(12, 10, 5)))
    # And the counter is as good as new.
    assert counter.count(save(tmp_path, pots(12, 10, 5))).seen == 5


def test_a_counter_without_models_is_refused(config: PipelineConfig) -> None:
    with pytest.raises(ModelError):
        Counter.load(replace(config, segmenter=ModelChoice(Path("nowhere.json"))))


def test_boxes_stay_inside_their_tile_and_those_at_its_inner_edges_are_cut(config: PipelineConfig) -> None:
    photo = np.zeros((SIDE, 2 * SIDE, 3), np.uint8)
    cv2.rectangle(photo, (40, 20), (70, 50), (255, 255, 255), -1)  # ends in the first tile's right edge
    cv2.rectangle(photo, (0, 0), (10, 10), (255, 255, 255), -1)  # touches the photo's own edge only
    found, _ = detect_tiled(photo, BlobDetector(), replace(config, overlap=0.25))
    rows = sorted(zip(found.boxes.tolist(), found.cut.tolist(), strict=True))
    assert rows == [
        ([0, 0, 11, 11], False),
        ([40, 20, 64, 51], True),
        ([40, 20, 71, 51], False),  # from a tile of its own, since it is larger than the overlap
        ([48, 20, 71, 51], True),
        ([64, 20, 71, 51], True),
    ]


def test_the_shipped_models_count_a_shipped_photo() -> None:
    models = shipped("configs/models")
    config = PipelineConfig(ModelChoice(models / "plant.json"), ModelChoice(models / "containers.json"))
    photo = shipped("configs").parent / "examples" / "N01-NORTE-C01.jpg"
    result = count(config, Photo(photo, hashlib.sha256(photo.read_bytes()).hexdigest(), photo.stat().st_size))
    assert result.seen > 100
    assert {kept.container.kind for kept in result.counts} >= {ContainerKind.SEGMENT}
    assert result.low <= result.total <= result.high
