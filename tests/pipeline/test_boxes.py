from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.boxes import centres, drop_duplicates, sizes
from pipeline.config import ModelChoice, PipelineConfig
from pipeline.sweep import detect_tiled
from pipeline.tiles import crosses_edge, plan_tiles
from pipeline.types import Detections, Thing
from tests.pipeline.scenes import BlobDetector, blobs, found

MAX_IOU = MAX_CUT_OVERLAP = 0.5


def merge(detections: Detections) -> Detections:
    return drop_duplicates(detections, MAX_IOU, MAX_CUT_OVERLAP)


def rows(detections: Detections) -> list[tuple[float, ...]]:
    """Every detection as one row, in the order given."""
    return [
        (*box, score, kind, cut)
        for box, score, kind, cut in zip(
            detections.boxes.tolist(),
            detections.scores.tolist(),
            detections.classes.tolist(),
            detections.cut.tolist(),
            strict=True,
        )
    ]


@st.composite
def crowds(draw: st.DrawFn) -> Detections:
    """Few positions and scores, so that overlaps, twins and ties are the rule."""
    number = draw(st.integers(0, 25))
    place = st.integers(0, 24)
    side = st.integers(0, 12)  # 0: degenerate boxes happen
    boxes = []
    for _ in range(number):
        x, y = draw(place), draw(place)
        boxes.append([x, y, x + draw(side), y + draw(side)])
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([draw(st.sampled_from([0.3, 0.5, 0.9])) for _ in boxes], np.float32),
        np.array([draw(st.integers(0, 1)) for _ in boxes], np.int16),
        np.array([draw(st.booleans()) for _ in boxes], np.bool_),
    )


def are_twins(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """The rule itself, for two rows of `rows`, said once more and plainly."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    area_a, area_b = ((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    if shared > MAX_IOU * (area_a + area_b - shared):
        return True
    return bool((a[6] or b[6]) and shared > MAX_CUT_OVERLAP * min(area_a, area_b))


@settings(max_examples=40, deadline=None)
@given(crowds(), st.randoms(use_true_random=False))
def test_the_order_of_the_detections_never_matters(crowd: Detections, random: object) -> None:
    order = np.arange(len(crowd))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert rows(merge(crowd.take(order))) == rows(merge(crowd))


@settings(max_examples=40, deadline=None)
@given(crowds())
def test_merging_twice_changes_nothing(crowd: Detections) -> None:
    once = merge(crowd)
    assert rows(merge(once)) == rows(once)


@settings(max_examples=40, deadline=None)
@given(crowds())
def test_what_stays_are_strangers_and_what_goes_had_a_twin_that_stays(crowd: Detections) -> None:
    kept = rows(merge(crowd))
    gone = rows(crowd)
    for row in kept:
        gone.remove(row)
    for i, a in enumerate(kept):
        assert not any(are_twins(a, b) for b in kept[i + 1 :])
    for row in gone:
        better = [a for a in kept if (a[6], -a[4]) <= (row[6], -row[4])]
        assert any(are_twins(a, row) for a in better)


@settings(max_examples=40, deadline=None)
@given(crowds(), st.sampled_from([0.0, 0.4, 0.6, 1.0]))
def test_doubtful_boxes_change_nothing_about_the_sure_ones(crowd: Detections, sure_from: float) -> None:
    everything = drop_duplicates(crowd, MAX_IOU, MAX_CUT_OVERLAP, sure_from)
    alone = merge(crowd.take(crowd.scores >= np.float32(sure_from)))
    assert rows(everything.take(everything.scores >= np.float32(sure_from))) == rows(alone)


def test_two_halves_never_outvote_the_whole() -> None:
    halves = Detections.concat(
        [found([[0, 0, 30, 60]], 0.99, cut=True), found([[28, 0, 60, 60]], 0.98, cut=True)]
    )
    whole = found([[0, 0, 60, 60]], 0.3)
    assert rows(merge(Detections.concat([halves, whole]))) == rows(whole)


def test_a_sliver_goes_with_its_plant_and_spares_the_neighbour() -> None:
    plants = found([[0, 0, 40, 40], [41, 0, 80, 40]])
    sliver = found([[36, 2, 40, 38]], 0.95, cut=True)
    assert rows(merge(Detections.concat([sliver, plants]))) == rows(plants)


def test_a_cut_plant_that_no_tile_saw_whole_still_counts() -> None:
    assert len(merge(found([[0, 0, 30, 60]], cut=True))) == 1


def test_a_small_plant_under_a_big_one_is_a_plant() -> None:
    nested = found([[0, 0, 100, 100], [30, 30, 60, 60]])
    assert len(merge(nested)) == 2


def test_one_pot_holds_one_thing_the_best_ranked() -> None:
    plant, pot, dead = (found([[0, 0, 50, 50]], score) for score in (0.6, 0.8, 0.7))
    pot = replace(pot, classes=np.array([Thing.EMPTY_POT], np.int16))
    dead = replace(dead, classes=np.array([Thing.DEAD_PLANT], np.int16))
    assert rows(merge(Detections.concat([plant, pot, dead]))) == rows(pot)
    assert rows(merge(Detections.concat([dead, plant]))) == rows(dead)
    # A doubtful pot silences no sure plant, and a cut one no whole plant.
    assert rows(drop_duplicates(Detections.concat([plant, pot]), MAX_IOU, MAX_CUT_OVERLAP, 0.55)) == rows(pot)
    doubtful = replace(pot, scores=np.array([0.5], np.float32))
    assert rows(merge(Detections.concat([plant, doubtful]))) == rows(plant)
    cut = replace(pot, cut=np.array([True]))
    assert rows(merge(Detections.concat([plant, cut]))) == rows(plant)


def test_nothing_stays_nothing() -> None:
    assert len(merge(Detections.empty())) == 0


def test_ten_thousand_twins_are_one_plant() -> None:
    assert len(merge(found(np.tile(np.array([[5, 5, 25, 25]], np.float32), (10_000, 1))))) == 1


def test_degenerate_boxes_silence_nobody() -> None:
    odd = found([[5, 5, 5, 30], [30, 5, 5, 30], [5, 5, 5, 5]], 0.99)
    plant = found([[0, 0, 40, 40]], 0.4)
    assert (0, 0, 40, 40) in {row[:4] for row in rows(merge(Detections.concat([odd, plant])))}


def test_twenty_thousand_crowded_plants_are_all_counted() -> None:
    side, pitch = 26.0, 20.0  # each overlaps its neighbours: IoU 0.13 and 0.02
    x, y = (grid.ravel() * pitch for grid in np.meshgrid(np.arange(200.0), np.arange(100.0)))
    plants = np.stack([x, y, x + side, y + side], axis=1).astype(np.float32)
    seen_twice = Detections.concat([found(plants), found(plants + np.float32(1.5), 0.8)])
    assert len(merge(seen_twice)) == 20_000


@given(
    tile=st.integers(96, 400),
    jitter=st.integers(0, 50),
    random=st.randoms(use_true_random=False),
)
@settings(max_examples=12, deadline=None)
def test_drawn_plants_are_counted_exactly_whatever_the_tiles(tile: int, jitter: int, random: object) -> None:
    photo, plants = blobs(640, 480, pitch=40, radius=17, seed=jitter)
    overlap = (2 * 17 + 8) / tile  # the largest plant, and the margin of an edge on both sides
    config = config_with(tile, overlap)
    detections, _ = detect_tiled(photo, BlobDetector(), config)
    order = np.arange(len(detections))
    random.shuffle(order)  # type: ignore[attr-defined]
    merged = merge(detections.take(order))
    assert len(merged) == plants
    assert not merged.cut.any()


@given(
    tile=st.integers(160, 320),
    share=st.floats(0.3, 0.7),
    seed=st.integers(0, 50),
    random=st.randoms(use_true_random=False),
)
@settings(max_examples=15, deadline=None)
def test_plants_larger_than_the_overlap_are_neither_counted_twice_nor_lost(
    tile: int, share: float, seed: int, random: object
) -> None:
    radius = round(tile * share / 2)
    photo, plants = blobs(700, 500, pitch=2 * radius + 12, radius=radius, seed=seed)
    config = config_with(tile, 0.1)
    detections, _ = detect_tiled(photo, BlobDetector(), config)
    order = np.arange(len(detections))
    random.shuffle(order)  # type: ignore[attr-defined]
    merged = merge(detections.take(order))
    assert len(merged) == plants


def test_the_plan_alone_would_count_halves_of_large_plants() -> None:
    photo, plants = blobs(900, 700, pitch=130, radius=58)
    tiles = plan_tiles(900, 700, 256, 0.1)
    parts = BlobDetector()([photo[t.y : t.y + t.height, t.x : t.x + t.width] for t in tiles])
    alone = [
        replace(part, cut=crosses_edge(part.boxes, t, 900, 700)).shift(t.x, t.y)
        for t, part in zip(tiles, parts, strict=True)
    ]
    assert len(merge(Detections.concat(alone))) > 1.1 * plants
    assert len(merge(detect_tiled(photo, BlobDetector(), config_with(256, 0.1))[0])) == plants


def test_a_tile_may_hold_more_than_300_plants() -> None:
    photo, plants = blobs(500, 500, pitch=18, radius=6)
    assert plants > 700
    config = config_with(512, 0.25)
    assert len(plan_tiles(500, 500, config.tile, config.overlap)) == 1
    assert len(merge(detect_tiled(photo, BlobDetector(), config)[0])) == plants


def config_with(tile: int, overlap: float) -> PipelineConfig:
    none = ModelChoice(Path("none"))
    return PipelineConfig(none, none, tile=tile, overlap=overlap)


def test_centres_and_sizes() -> None:
    boxes = np.array([[0, 0, 10, 40], [10, 10, 10, 20], [8, 8, 4, 4]], np.float32)
    assert centres(boxes).tolist() == [[5, 20], [10, 15], [6, 6]]
    assert sizes(boxes).tolist() == [20, 0, 0]


@pytest.mark.parametrize("dtype", [np.int64, np.bool_])
def test_detections_can_be_taken_by_mask_and_by_index(dtype: type) -> None:
    three = found([[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]])
    index: NDArray[np.intp] = np.array([True, False, True] if dtype is np.bool_ else [0, 2])
    assert three.take(index).boxes[:, 0].tolist() == [0, 4]
