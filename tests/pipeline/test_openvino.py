from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as op
from PIL import Image

from demeter_cli.settings import shipped
from pipeline.boxes import centres, drop_duplicates
from pipeline.config import ModelChoice, PipelineConfig
from pipeline.detect import load_detector, load_segmenter
from pipeline.errors import ModelError
from pipeline.sweep import detect_tiled
from pipeline.types import ContainerKind, Thing
from pipeline.weights import sha256_of
from tests.pipeline.networks import CELL, PLANT, SIDE, save, save_detector, save_segmenter, tiny_config
from tests.pipeline.scenes import draw_bed


def with_detector(config: PipelineConfig, card: Path) -> PipelineConfig:
    return replace(config, detector=ModelChoice(card))


def test_raw_output_becomes_boxes_in_tile_pixels(tmp_path: Path) -> None:
    detector = load_detector(tiny_config(tmp_path))
    tile = np.zeros((SIDE, SIDE, 3), np.uint8)
    tile[CELL : 2 * CELL, 2 * CELL : 3 * CELL] = 204
    dark, lit = detector([np.zeros_like(tile), tile])
    assert len(dark) == 0
    middle, half = (2.5 * CELL, 1.5 * CELL), PLANT / 2
    assert lit.boxes.tolist() == [[middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half]]
    assert lit.scores.tolist() == pytest.approx([0.8], abs=0.01)


def test_answers_come_in_the_order_of_the_tiles(tmp_path: Path) -> None:
    detector = load_detector(tiny_config(tmp_path, threads=2))
    tiles = []
    for number in range(40):
        tile = np.zeros((SIDE, SIDE, 3), np.uint8)
        cell = number % 16
        y, x = cell // 4 * CELL, cell % 4 * CELL
        tile[y : y + CELL, x : x + CELL] = 250
        tiles.append(tile)
    for number, found in enumerate(detector(tiles)):
        assert centres(found.boxes).tolist() == [[(number % 4 + 0.5) * CELL, (number % 16 // 4 + 0.5) * CELL]]


def test_a_tile_smaller_than_the_input_is_padded_not_stretched(tmp_path: Path) -> None:
    detector = load_detector(tiny_config(tmp_path))
    tile = np.full((CELL, 2 * CELL, 3), 250, np.uint8)
    (found,) = detector([tile])
    assert centres(found.boxes).tolist() == [[CELL / 2, CELL / 2], [1.5 * CELL, CELL / 2]]


def test_colours_reach_the_network_as_red_green_blue(tmp_path: Path) -> None:
    image = op.parameter([1, 3, SIDE, SIDE], np.float32)
    means = op.reduce_mean(image, np.array([2, 3]), keep_dims=False)  # (1, 3)
    scores = op.reshape(means, np.array([1, 3, 1]), special_zero=False)
    output = op.concat([np.full((1, 4, 1), 8, np.float32), scores], axis=1)
    classes = {"name": "colours", "classes": ["planta_muerta", "Plant", "maceta_vacia"], "min_score": 0.3}
    config = with_detector(tiny_config(tmp_path), save(tmp_path, ov.Model([output], [image]), classes))
    detector = load_detector(config)
    blue, green, red = (np.zeros((SIDE, SIDE, 3), np.uint8) for _ in range(3))
    blue[..., 0] = green[..., 1] = red[..., 2] = 255  # OpenCV's order
    things = [found.classes.tolist() for found in detector([red, green, blue])]
    assert things == [[Thing.DEAD_PLANT], [Thing.PLANT], [Thing.EMPTY_POT]]


def test_a_setting_overrides_the_threshold_of_the_card(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    tile = np.full((SIDE, SIDE, 3), 100, np.uint8)  # score 0.39
    assert len(load_detector(config)([tile])[0]) == 0
    eager = replace(config, detector=replace(config.detector, min_score=0.3))
    assert len(load_detector(eager)([tile])[0]) == 16


def test_containers_come_in_photo_pixels(tmp_path: Path) -> None:
    photo = np.zeros((600, 800, 3), np.uint8)
    photo[100:500, 200:600] = 128
    (container,) = load_segmenter(tiny_config(tmp_path))(photo)
    assert container.kind is ContainerKind.SEGMENT
    assert container.score == pytest.approx(0.9)
    left, top = container.polygon.min(axis=0)
    right, bottom = container.polygon.max(axis=0)
    # One pixel of the masks is 50 pixels of the photo.
    assert [left, top, right, bottom] == pytest.approx([200, 100, 600, 500], abs=40)


def test_a_photo_without_container_gives_none(tmp_path: Path) -> None:
    assert load_segmenter(tiny_config(tmp_path))(np.zeros((300, 400, 3), np.uint8)) == []


@pytest.mark.parametrize("classes", [("plant", "dead_plant"), ("plant",) * 3])
def test_a_card_with_the_wrong_number_of_classes_is_refused(tmp_path: Path, classes: tuple[str, ...]) -> None:
    two = save_detector(tmp_path / "two", classes=("plant", "dead_plant"))
    config = tiny_config(tmp_path)
    assert load_detector(with_detector(config, two))
    one = save_detector(tmp_path / "one")
    one.write_text(one.read_text().replace('["plant"]', str(list(classes)).replace("'", '"')))
    with pytest.raises(ModelError, match=r"cells\.xml gives an output of shape .* class"):
        load_detector(with_detector(config, one))


def test_a_class_that_means_nothing_is_never_passed_over(tmp_path: Path) -> None:
    card = save_detector(tmp_path / "weeds", classes=("plant", "weed"))
    with pytest.raises(
        ModelError, match=r"'weed' is none of dead_plant, .*; correct the classes in its card"
    ):
        load_detector(with_detector(tiny_config(tmp_path), card))


def test_a_network_with_suppression_inside_is_refused(tmp_path: Path) -> None:
    image = op.parameter([1, 3, SIDE, SIDE], np.float32)
    kept = op.add(op.reduce_mean(image, np.array([0, 1, 2, 3])), np.zeros((1, 300, 6), np.float32))
    card = save(tmp_path, ov.Model([kept], [image]), {"name": "nms"})
    with pytest.raises(
        ModelError, match=r"nms\.xml gives an output of shape .*300,6.* export it without NMS"
    ):
        load_detector(with_detector(tiny_config(tmp_path), card))


def test_a_network_whose_output_has_no_fixed_size_is_refused(tmp_path: Path) -> None:
    image = op.parameter([1, 3, SIDE, SIDE], np.float32)
    kept = op.non_zero(image)  # as many columns as there are pixels
    card = save(tmp_path, ov.Model([kept], [image]), {"name": "loose"})
    with pytest.raises(ModelError, match=r"loose\.xml gives an output of shape"):
        load_detector(with_detector(tiny_config(tmp_path), card))


def test_a_network_that_takes_no_picture_is_refused(tmp_path: Path) -> None:
    image = op.parameter([1, 8], np.float32)
    weights = np.ones((8, 5), np.float32)
    model = ov.Model([op.matmul(image, weights, False, False)], [image])
    card = save(tmp_path, model, {"name": "vector"})
    with pytest.raises(ModelError, match=r"OpenVINO cannot use .*vector\.xml on CPU: \S"):
        load_detector(with_detector(tiny_config(tmp_path), card))


def test_a_network_for_four_channels_is_refused(tmp_path: Path) -> None:
    image = op.parameter([1, 4, SIDE, SIDE], np.float32)
    weights = np.ones((5, 4, 1, 1), np.float32)
    same = np.zeros(2, np.int64)
    boxes = op.convolution(image, weights, [1, 1], same, same, [1, 1])
    card = save(
        tmp_path, ov.Model([op.reshape(boxes, np.array([1, 5, -1]), False)], [image]), {"name": "four"}
    )
    with pytest.raises(ModelError, match=r"OpenVINO cannot use .*four\.xml on CPU: \S"):
        load_detector(with_detector(tiny_config(tmp_path), card))


COUNT_BLOBS = """
import sys
from pathlib import Path
import numpy as np
from pipeline.config import ModelChoice, PipelineConfig
from pipeline.detect import load_detector
from tests.pipeline.networks import CELL, SIDE
card = ModelChoice(Path(sys.argv[1]))
detector = load_detector(PipelineConfig(card, card, tile=SIDE, threads=1, precision="f32"))
tile = np.zeros((SIDE, SIDE, 3), np.uint8)
tile[CELL : 2 * CELL, 2 * CELL : 3 * CELL] = 255
print(len(detector([tile])[0]))
"""


def test_a_processor_without_avx512_counts_too(tmp_path: Path) -> None:
    card = save_detector(tmp_path / "models")
    done = subprocess.run(
        [sys.executable, "-c", COUNT_BLOBS, card],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"


def test_what_another_version_left_in_the_cache_is_not_taken(tmp_path: Path) -> None:
    config = replace(tiny_config(tmp_path), cache_dir=tmp_path / "cache")
    tile = np.full((SIDE, SIDE, 3), 255, np.uint8)
    expected = load_detector(config)([tile])[0]
    (blob,) = (tmp_path / "cache").glob("*.blob")
    data = blob.read_bytes()
    version = re.search(rb"20\d\d\.\d+\.\d+", data)
    assert version is not None
    blob.write_bytes(data.replace(version[0], b"1999.9.9".ljust(len(version[0]), b"0")))
    again = load_detector(config)([tile])[0]
    assert np.array_equal(again.boxes, expected.boxes)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    bare = tmp_path / "novel.xml"
    bare.write_text("<html>It was a dark and stormy night</html>")
    with pytest.raises(ModelError, match=r"OpenVINO cannot use .*novel\.xml"):
        load_detector(with_detector(tiny_config(tmp_path), bare))


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cells\.xml on GPU\.7: \S"):
        load_detector(tiny_config(tmp_path, device="GPU.7"))
    with pytest.raises(ModelError, match="on ABACUS"):
        load_segmenter(tiny_config(tmp_path, device="ABACUS"))


def test_tiles_larger_than_the_input_are_refused_before_the_first_photo(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError,
        match=r"tiles of 128 pixels do not fit the 64×64 input of .*cells\.xml; set tile to at most 64",
    ):
        load_detector(tiny_config(tmp_path, tile=128))


def test_a_segmenter_is_not_taken_for_a_detector_nor_the_other_way(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    with pytest.raises(ModelError, match="task 'segment', not 'detect'"):
        load_detector(replace(config, detector=config.segmenter))
    with pytest.raises(ModelError, match="task 'detect', not 'segment'"):
        load_segmenter(replace(config, segmenter=config.detector))


def test_a_segmenter_without_masks_is_refused(tmp_path: Path) -> None:
    image = op.parameter([1, 3, SIDE, SIDE], np.float32)
    boxes = op.add(op.reduce_mean(image, np.array([0, 1, 2, 3])), np.zeros((1, 37, 10), np.float32))
    for name, outputs in {"none": [boxes], "odd": [boxes, op.add(image, np.float32(0))]}.items():
        card = save(
            tmp_path, ov.Model(outputs, [image]), {"name": name, "task": "segment", "classes": ["box"]}
        )
        config = replace(tiny_config(tmp_path), segmenter=ModelChoice(card))
        with pytest.raises(ModelError, match=rf"{name}\.xml has no mask output"):
            load_segmenter(config)


def test_a_class_that_means_no_container_is_refused_before_the_first_photo(tmp_path: Path) -> None:
    card = save_segmenter(tmp_path / "other", classes=("claro", "Cajon", "bathtub"))
    config = replace(tiny_config(tmp_path), segmenter=ModelChoice(card))
    with pytest.raises(ModelError, match=r"lit\.xml.*'bathtub' is none of .*cajon"):
        load_segmenter(config)


def test_a_cache_makes_no_difference_but_in_time(tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "cache"
    tile = np.full((SIDE, SIDE, 3), 200, np.uint8)
    for _ in range(2):
        (found,) = load_detector(tiny_config(tmp_path, cache_dir=cache))([tile])
        assert len(found) == 16
    assert list(cache.iterdir())


def test_a_torn_cache_is_ignored(tmp_path: Path) -> None:
    """A worker that was stopped while it wrote must not spoil the next run."""
    config = tiny_config(tmp_path, cache_dir=tmp_path / "cache")
    load_detector(config)
    blobs = list((tmp_path / "cache").iterdir())
    assert blobs
    for blob in blobs:
        blob.write_bytes(blob.read_bytes()[: blob.stat().st_size // 2])
    (found,) = load_detector(config)([np.full((SIDE, SIDE, 3), 200, np.uint8)])
    assert len(found) == 16


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    locked = tmp_path / "locked"
    locked.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    for cache in (file, file / "cache", locked / "cache"):
        assert load_detector(tiny_config(tmp_path, cache_dir=cache))


def test_weights_of_another_runtime_say_what_to_install(tmp_path: Path) -> None:
    weights = tmp_path / "mine.pt"
    weights.write_bytes(b"not even torch")
    trusting = replace(tiny_config(tmp_path), trusted_pickles=(sha256_of(weights),))
    with pytest.raises(ModelError, match=r"mine\.pt (needs .* 'demeter\[ultralytics\]'|as )"):
        load_detector(with_detector(trusting, weights))
    assert Image.open.__module__ == "PIL.Image"  # where ultralytics is installed, it puts its own there


def test_a_runtime_that_nobody_knows_is_named(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    odd = replace(config, detector=replace(config.detector, runtime="crystal ball"))
    with pytest.raises(ModelError, match="'crystal ball' is none of auto, openvino, ultralytics"):
        load_detector(odd)


def test_the_shipped_detector_sees_drawn_plants(tmp_path: Path) -> None:
    card = tmp_path / "plant.json"
    for file in ("plant.json", "plant.xml", "plant.bin"):
        shutil.copy(shipped("configs/models") / file, tmp_path)
    config = replace(tiny_config(tmp_path), detector=ModelChoice(card), tile=512)
    detector = load_detector(config)
    bed = draw_bed()
    found = drop_duplicates(detect_tiled(bed.photo, detector, config)[0], 0.5, 0.5)
    assert len(found) > 0.5 * len(bed.boxes)
    soil = cv2.GaussianBlur(np.random.default_rng(0).integers(60, 110, (512, 512, 3), np.uint8), (5, 5), 0)
    assert len(detector([soil])[0]) < 5


def test_a_network_may_say_how_many_plants_stand_in_each_cell(tmp_path: Path) -> None:
    detector = load_detector(
        with_detector(tiny_config(tmp_path), save_detector(tmp_path / "dense", density=8))
    )
    tile = np.zeros((SIDE, SIDE, 3), np.uint8)
    tile[8:16, 24:32] = 255
    (found,) = detector([tile])
    assert found.density is not None
    assert found.density.shape == (8, 8)
    assert np.argwhere(found.density > 0.5).tolist() == [[1, 3]]


def test_an_output_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="plants per cell"):
        load_detector(with_detector(tiny_config(tmp_path), save_detector(tmp_path / "dense", density=4)))


LOAD_WHEN_TOLD = """
import sys
from pathlib import Path
from pipeline.config import ModelChoice, PipelineConfig
from pipeline.detect import load_detector
from tests.pipeline.networks import SIDE

card = ModelChoice(Path(sys.argv[1]))
config = PipelineConfig(card, card, tile=SIDE, threads=1, cache_dir=Path(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
load_detector(config)
"""


@pytest.mark.parametrize("attempt", range(3))
def test_processes_that_compile_at_once_do_not_spoil_the_cache_for_each_other(
    tmp_path: Path, attempt: int
) -> None:
    card, cache = save_detector(tmp_path / "models"), tmp_path / "cache"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", LOAD_WHEN_TOLD, card, cache],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 6, errors


LOAD = """
import sys
from pathlib import Path
from pipeline.config import ModelChoice, PipelineConfig
from pipeline.detect import load_detector, load_segmenter

config = PipelineConfig(ModelChoice(Path(sys.argv[1])), ModelChoice(Path(sys.argv[2])), tile=64)
load_detector(config), load_segmenter(config)
print("openvino" in sys.modules, sys.modules["openvino_telemetry"])
"""


def test_openvino_tells_nobody_that_it_is_used(tmp_path: Path) -> None:
    """It writes an identifier into the home folder and sends it to Google Analytics, unless kept from it."""
    cards = save_detector(tmp_path / "models"), save_segmenter(tmp_path / "models")
    home, code = tmp_path / "home", Path(__file__).parents[2]
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, *cards],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(code)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (loaded.stdout, loaded.stderr) == ("True None\n", "")
    assert not home.exists()
