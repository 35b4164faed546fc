"""Merges by name: SAHI's are what SAHI does, ours is the default, and none needs torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sahi.postprocess.combine import GreedyNMMPostprocess, NMSPostprocess
from sahi.prediction import ObjectPrediction

from pipeline.boxes import drop_duplicates
from pipeline.config import ModelChoice, PipelineConfig
from pipeline.merge import MERGES, merge
from pipeline.types import Detections
from tests.pipeline.scenes import found
from tests.pipeline.test_boxes import crowds, rows

CONFIG = PipelineConfig(ModelChoice(Path("none")), ModelChoice(Path("none")))
SAHI = {
    "nms": NMSPostprocess(match_threshold=0.5, match_metric="IOU"),
    "greedynmm": GreedyNMMPostprocess(match_threshold=0.5, match_metric="IOS"),
}


def merged(by: str, crowd: Detections, sure_from: float = 0.0) -> Detections:
    return merge(crowd, replace(CONFIG, merge=by), sure_from)


def solid(crowd: Detections) -> Detections:
    """Without boxes that have no area: no tile yields them, and SAHI takes none."""
    return crowd.take((crowd.boxes[:, 2:] > crowd.boxes[:, :2]).all(axis=1))


def test_the_default_is_cut_aware() -> None:
    halves = [found([[0, 0, 30, 60]], 0.99, cut=True), found([[28, 0, 60, 60]], 0.98, cut=True)]
    crowd = Detections.concat([*halves, found([[0, 0, 60, 60]], 0.3)])
    assert CONFIG.merge == "cut-aware"
    assert rows(merge(crowd, CONFIG, 0.0)) == rows(drop_duplicates(crowd, 0.5, 0.5))
    assert {name: len(merged(name, crowd)) for name in MERGES} == {"cut-aware": 1, "nms": 2, "greedynmm": 2}


def test_greedynmm_joins_boxes_and_nms_keeps_the_better() -> None:
    crowd = Detections.concat([found([[0, 0, 40, 40]], 0.9), found([[5, 0, 50, 40]], 0.8)])
    assert merged("nms", crowd).boxes.tolist() == [[0, 0, 40, 40]]
    assert merged("greedynmm", crowd).boxes.tolist() == [[0, 0, 50, 40]]


@pytest.mark.parametrize("by", SAHI)
@given(crowd=crowds().map(solid))
@settings(max_examples=40, deadline=None)
def test_sure_boxes_come_out_as_sahi_itself_merges_them(by: str, crowd: Detections) -> None:
    # In a fixed order: among equal scores SAHI's own answer depends on it.
    ordered = crowd.take(np.lexsort((*crowd.boxes.T[::-1], crowd.classes, -crowd.scores)))
    predictions = [
        ObjectPrediction(bbox=box, score=score, category_id=kind, category_name=str(kind))
        for box, score, kind in zip(
            ordered.boxes.tolist(), ordered.scores.tolist(), ordered.classes.tolist(), strict=True
        )
    ]
    theirs = SAHI[by](predictions) if predictions else []
    assert merged(by, crowd).boxes.tolist() == [item.bbox.to_xyxy() for item in theirs]


@pytest.mark.parametrize("by", MERGES)
@given(crowd=crowds().map(solid), random=st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_detections_never_matters(by: str, crowd: Detections, random: object) -> None:
    order = np.arange(len(crowd))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert rows(merged(by, crowd.take(order))) == rows(merged(by, crowd))


@pytest.mark.parametrize("by", MERGES)
@given(crowd=crowds().map(solid), sure_from=st.sampled_from([0.4, 0.6, 1.0]))
@settings(max_examples=40, deadline=None)
def test_doubtful_boxes_change_nothing_about_the_sure_ones(
    by: str, crowd: Detections, sure_from: float
) -> None:
    every = merged(by, crowd, sure_from)
    alone = merged(by, crowd.take(crowd.scores >= np.float32(sure_from)))
    assert rows(every.take(every.scores >= np.float32(sure_from))) == rows(alone)


def test_no_merge_needs_torch_and_sahi_is_loaded_only_for_its_own() -> None:
    code = """
import sys
sys.modules["torch"] = sys.modules["torchvision"] = None  # as if not installed
from tests.pipeline.test_boxes import found
from pipeline.config import ModelChoice, PipelineConfig
from pipeline import merge
from dataclasses import replace
from pathlib import Path
config = PipelineConfig(ModelChoice(Path("none")), ModelChoice(Path("none")))
twins = found([[0, 0, 40, 40], [1, 0, 41, 40], [90, 0, 120, 40]])
print(len(merge.merge(twins, config, 0.0)), "sahi" in sys.modules)
for by in ("nms", "greedynmm"):
    print(len(merge.merge(twins, replace(config, merge=by), 0.0)), "sahi" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["2 False", "2 True", "2 True"]
