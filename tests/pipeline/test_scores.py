"""Answers against the truth, where they are more than boxes and a total: dead plants and empty pots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demeter_cli import evaluation
from pipeline.breakdown import sort_plants
from pipeline.scores import Answer, Scored, score, summarise
from pipeline.truth import TruthPhoto, load_truth
from pipeline.types import Detections, Thing

PLANT, DEAD = Thing.PLANT, Thing.DEAD_PLANT
SIDE = 10


def box(x: float, y: float) -> list[float]:
    return [x, y, x + SIDE, y + SIDE]


def said(places: Sequence[tuple[float, float]], things: Sequence[Thing]) -> Detections:
    boxes = np.array([box(*place) for place in places], np.float32).reshape(-1, 4)
    many = len(boxes)
    return Detections(
        boxes, np.full(many, 0.9, np.float32), np.array(things, np.int16), np.zeros(many, np.bool_)
    )


@pytest.fixture
def photo(tmp_path: Path) -> TruthPhoto:
    """Two living plants, two dead ones, a dead one that hardly shows; two empty pots, and one hidden."""
    (tmp_path / "a.jpg").touch()
    plants = [
        (0, 0, False, 1.0),
        (20, 0, False, 1.0),
        (40, 0, True, 1.0),
        (60, 0, True, 1.0),
        (80, 0, True, 0.1),
    ]
    pots = [(0, 50, 1.0), (20, 50, 0.5), (40, 50, 0.1)]
    at = {"image_id": 1, "bbox": None}
    content = {
        "categories": [{"id": 1, "name": "plant"}, {"id": 2, "name": "maceta_vacia"}],
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 100}],
        "annotations": [
            *(
                at
                | {"category_id": 1, "bbox": [x, y, SIDE, SIDE], "visibility": v, "attributes": {"dead": d}}
                for x, y, d, v in plants
            ),
            *(at | {"category_id": 2, "bbox": [x, y, SIDE, SIDE], "visibility": v} for x, y, v in pots),
        ],
    }
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(content))
    return load_truth(path, tmp_path)[0]


def scored(photo: TruthPhoto, answer: Answer) -> Scored:
    return score(("net", "demeter"), photo, sort_plants(photo, metres=False), answer)


def answer(photo: TruthPhoto, found: Detections, pots: Detections) -> Answer:
    dead = int(found.dead.sum())
    return Answer(
        found, np.ones(len(found), np.bool_), len(found), 1.0, dead=dead, empty_pots=len(pots), pots=pots
    )


def test_the_truth_itself_is_right_in_every_figure(photo: TruthPhoto) -> None:
    perfect = answer(
        photo,
        said([(x, 0) for x in (0, 20, 40, 60, 80)], [PLANT, PLANT, DEAD, DEAD, DEAD]),
        said([(0, 50), (20, 50), (40, 50)], [Thing.EMPTY_POT] * 3),
    )
    summary = summarise([scored(photo, perfect)])
    for thing, true in ((summary.dead, 3), (summary.empty_pots, 3)):
        assert thing is not None
        assert (thing.count.truth, thing.count.counted) == (true, true)
        assert thing.boxes is not None
        # The hidden ones are neither asked for nor wrong.
        assert (thing.boxes.hits, thing.boxes.false, thing.boxes.asked) == (2, 0, 2)


def test_a_living_plant_called_dead_and_a_plant_called_empty_pot_are_false(photo: TruthPhoto) -> None:
    wrong = answer(
        photo,
        said([(0, 0), (40, 0), (60, 0), (0, 80)], [DEAD, DEAD, PLANT, DEAD]),
        said([(20, 0), (0, 50)], [Thing.EMPTY_POT] * 2),
    )
    one = scored(photo, wrong)
    assert one.dead_score is not None
    assert (one.dead_score.hits, one.dead_score.false, one.dead_score.asked) == (1, 2, 2)
    assert one.pots_score is not None
    assert (one.pots_score.hits, one.pots_score.false, one.pots_score.asked) == (1, 1, 2)
    # For the count of plants a dead one is a plant: three hits and a box on nothing.
    assert (one.score.hits, one.score.false) == (3, 1)


def test_what_the_method_or_the_labels_do_not_know_is_not_judged(
    photo: TruthPhoto, capsys: pytest.CaptureFixture[str]
) -> None:
    found, pots = said([(0, 0)], [PLANT]), said([], [])
    knows = answer(photo, found, pots)
    unknowing = replace(knows, dead=None, empty_pots=None, pots=None)
    unlabelled = replace(photo, dead=None, is_dead=None, empty_pots=None, pots=None)
    for one in (scored(photo, unknowing), scored(unlabelled, knows)):
        assert (one.dead_score, one.pots_score) == (None, None)
        summary = summarise([one])
        assert (summary.dead, summary.empty_pots) == (None, None)
        document = evaluation.method_document(summary)
        assert (document["dead"], document["empty_pots"]) == (None, None)
        evaluation.print_tables([summary])
        assert "empty pots" not in capsys.readouterr().out


@pytest.mark.parametrize("columns", ["80", "40"])
def test_both_are_shown_in_a_table_of_their_own(
    photo: TruthPhoto, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    summary = summarise([scored(photo, answer(photo, said([(40, 0)], [DEAD]), said([(0, 50)], [PLANT])))])
    assert evaluation.method_document(summary)["dead"] == {
        "truth": 3,
        "counted": 1,
        "mae": 2.0,
        "mape": 0.6667,
        "bias": -0.6667,
        "r2": None,
        "precision": 1.0,
        "recall": 0.5,
    }
    evaluation.print_tables([summary])
    lines = capsys.readouterr().out.splitlines()
    (dead,) = (line for line in lines if line.startswith("dead plants "))
    (pots,) = (line for line in lines if line.startswith("empty pots "))
    assert dead.split()[:4] == ["dead", "plants", "3", "1"]
    assert pots.split()[:5] == ["empty", "pots", "3", "1", "-66.7%"]
    assert max(len(dead), len(pots)) <= int(columns)
