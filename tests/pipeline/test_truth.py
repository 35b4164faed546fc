"""Labelled photos: the conventions, and one sentence for every way a file can be wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import TruthError
from pipeline.truth import load_truth

PHOTO = {"width": 100, "height": 80}
PLANT = {"category_id": 1, "image_id": 7}
COCO: dict[str, Any] = {
    "categories": [{"id": 1, "name": "plant"}, {"id": 3, "name": "segment"}],
    "images": [
        {"id": 7, "file_name": "a.jpg", "split": "val", "totals": {"plants_in_frame": 5}, **PHOTO},
        {"id": 8, "file_name": "b.jpg", "split": "test", **PHOTO},
    ],
    "annotations": [
        {"bbox": [10, 10, 20, 20], "bbox_foliage": [12, 10, 16, 10], "visibility": 0.9, **PLANT},
        {"bbox": [50, 10, 20, 20], "bbox_foliage": None, "visibility": 0.1, **PLANT},
        {"bbox": [70, 10, 20, 20], "visibility": 1.0, "ignore": 1, **PLANT},
        {"bbox": [0, 0, 100, 80], "image_id": 7, "category_id": 3},
        {"bbox": [1, 1, 9, 9], "image_id": 8, "category_id": 1},
    ],
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()

    def write(content: Any) -> Path:
        path = tmp_path / "coco.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_the_conventions_of_the_truth(write: Callable[[Any], Path], tmp_path: Path) -> None:
    a, b = load_truth(write(COCO), tmp_path)

    assert a.boxes.tolist() == [[12, 10, 28, 20], [50, 10, 70, 30], [70, 10, 90, 30]]
    assert a.visible.tolist() == [True, False, False]
    assert (a.total, a.split) == (5, "val")
    assert (b.total, len(b.boxes)) == (1, 1)


def test_a_dead_plant_is_a_plant_and_an_empty_pot_is_none(
    write: Callable[[Any], Path], tmp_path: Path
) -> None:
    content = copy.deepcopy(COCO)
    del content["images"][0]["totals"]
    content["categories"] += [{"id": 2, "name": "empty_container"}, {"id": 4, "name": "Planta_muerta"}]
    content["annotations"][0]["attributes"] = {"dead": True}
    content["annotations"] += [
        {"image_id": 7, "category_id": 2, "bbox": [30, 30, 9, 9], "visibility": 0.1},
        {"image_id": 7, "category_id": 2, "bbox": [40, 30, 9, 9], "in_frame": False},
        {"image_id": 7, "category_id": 4, "bbox": [60, 60, 9, 9]},
    ]
    a, b = load_truth(write(content), tmp_path)
    assert a.is_dead is not None
    assert (a.total, a.is_dead.tolist(), a.dead) == (4, [True, False, False, True], 2)
    assert a.pots is not None
    assert (a.pots.boxes.tolist(), a.pots.visible.tolist()) == (
        [[30, 30, 39, 39], [40, 30, 49, 39]],
        [False, True],
    )
    assert a.empty_pots == 1
    assert (b.dead, b.empty_pots) == (0, 0)


def test_labels_that_know_neither_dead_plants_nor_empty_pots_say_so(
    write: Callable[[Any], Path], tmp_path: Path
) -> None:
    a, _ = load_truth(write(COCO), tmp_path)
    assert (a.dead, a.is_dead, a.empty_pots, a.pots) == (None, None, None, None)


def test_a_split_is_taken_alone(write: Callable[[Any], Path], tmp_path: Path) -> None:
    assert [photo.file.name for photo in load_truth(write(COCO), tmp_path, "test")] == ["b.jpg"]


def broken(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    content = copy.deepcopy(COCO)
    change(content)
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("not json", "not JSON"),
        ("[]", "not a COCO file"),
        (broken(lambda c: c.pop("images")), "images"),
        (broken(lambda c: c["images"][0].pop("width")), "width"),
        (broken(lambda c: c["images"][1].update(id=7)), "image id 7 twice"),
        (broken(lambda c: c["images"][0].update(file_name="gone.jpg")), "gone.jpg is missing"),
        (broken(lambda c: c["annotations"][4].update(bbox=[95, 1, 9, 9])), "outside the photo"),
        (broken(lambda c: c["annotations"][4].update(bbox=[1, 1, -9, 9])), "outside the photo"),
        (broken(lambda c: c["annotations"][4].update(bbox="none")), "not 4 numbers"),
        (broken(lambda c: c["categories"][0].update(name="tree")), "no category named"),
    ],
)
def test_a_file_that_cannot_be_meant_gets_a_sentence(
    write: Callable[[Any], Path], tmp_path: Path, content: Any, words: str
) -> None:
    with pytest.raises(TruthError, match=words):
        load_truth(write(content), tmp_path)


def test_a_missing_file_and_an_unknown_split_get_a_sentence(
    write: Callable[[Any], Path], tmp_path: Path
) -> None:
    with pytest.raises(TruthError, match="cannot be read"):
        load_truth(tmp_path / "nowhere.json", tmp_path)
    with pytest.raises(TruthError, match="no photo of split 'march'"):
        load_truth(write(COCO), tmp_path, "march")
