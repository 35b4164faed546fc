"""A photo is cut into frames that a person can count, and nothing is lost or counted twice."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit.frames import MOST_PLANTS, MOST_SIZES, cut_frames
from pipeline.audit.records import Band, CountedPhoto, Frame, Season, season_of
from pipeline.types import Container, ContainerKind, Role

WIDTH, HEIGHT = 1600, 1200


def rectangle(x1: float, y1: float, x2: float, y2: float, role: Role = Role.MAIN) -> Container:
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    return Container(ContainerKind.SEGMENT, corners, 0.9, role)


WHOLE = rectangle(0, 0, WIDTH, HEIGHT)
LOOSE = Container(ContainerKind.LOOSE, WHOLE.polygon, 0.0)


def a_bed(
    middles: np.ndarray,
    size: float | np.ndarray = 30.0,
    containers: tuple[Container, ...] = (WHOLE,),
    bands: tuple[Band, ...] = (),
    owner: np.ndarray | None = None,
    shape: tuple[int, int] = (WIDTH, HEIGHT),
) -> CountedPhoto:
    points = np.asarray(middles, np.float32).reshape(-1, 2)
    return CountedPhoto(
        session_id=7,
        width=shape[0],
        height=shape[1],
        containers=containers,
        bands=bands,
        middles=points,
        sizes=np.broadcast_to(np.float32(size), len(points)).astype(np.float32),
        owner=np.zeros(len(points), np.intp) if owner is None else owner,
    )


def grid(step: float) -> np.ndarray:
    x, y = np.meshgrid(np.arange(step / 2, WIDTH, step), np.arange(step / 2, HEIGHT, step))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def overlap(a: Frame, b: Frame) -> bool:
    return a.x1 < b.x2 and b.x1 < a.x2 and a.y1 < b.y2 and b.y1 < a.y2


points = st.lists(
    st.tuples(st.floats(0, 399, width=32), st.floats(0, 299, width=32)), min_size=1, max_size=150
)


@given(points, st.floats(2, 60, width=32), st.lists(st.floats(0, 60), min_size=4, max_size=4))
def test_frames_cover_the_bed_once_and_hold_all_that_was_counted(
    middles: list[tuple[float, float]], size: float, hidden: list[float]
) -> None:
    edges = np.linspace(0, 300, 5)
    bands = tuple(
        Band(0, top, bottom, plants) for (top, bottom), plants in zip(pairwise(edges), hidden, strict=True)
    )
    frames = cut_frames(a_bed(np.array(middles), size, bands=bands, shape=(400, 300)))

    assert sum((f.x2 - f.x1) * (f.y2 - f.y1) for f in frames) == 400 * 300
    assert not any(overlap(a, b) for i, a in enumerate(frames) for b in frames[i + 1 :])
    assert sum(frame.seen for frame in frames) == len(middles)
    assert sum(frame.hidden for frame in frames) == pytest.approx(sum(hidden), abs=1e-6)


def test_what_was_seen_in_a_frame_are_the_plants_whose_middles_lie_inside() -> None:
    middles = np.random.default_rng(3).uniform(0, [WIDTH, HEIGHT], (700, 2)).astype(np.float32)
    for frame in cut_frames(a_bed(middles)):
        x, y = middles.T
        inside = (frame.x1 <= x) & (x < frame.x2) & (frame.y1 <= y) & (y < frame.y2)
        assert frame.seen == inside.sum()


@pytest.mark.parametrize("step", [16.0, 40.0, 110.0])
def test_a_frame_holds_no_more_than_a_person_can_count(step: float) -> None:
    frames = cut_frames(a_bed(grid(step), size=step))

    assert max(frame.seen for frame in frames) <= MOST_PLANTS
    assert np.median([frame.seen for frame in frames]) >= 8
    for frame in frames:
        sides = sorted((frame.x2 - frame.x1, frame.y2 - frame.y1))
        assert sides[1] <= MOST_SIZES * step + 1
        assert sides[1] <= 2 * sides[0] + 2


def test_frames_are_small_where_plants_are_small() -> None:
    near = np.array([[x, y] for x in range(50, WIDTH, 100) for y in range(650, HEIGHT, 100)])
    far = np.array([[x, y] for x in range(10, WIDTH, 20) for y in range(10, 600, 20)])
    sizes = np.array([80.0] * len(near) + [18.0] * len(far))
    frames = cut_frames(a_bed(np.concatenate([near, far]), sizes))
    widths = {far: [f.x2 - f.x1 for f in frames if (f.y2 <= 600) == far] for far in (True, False)}

    assert max(widths[True]) < min(widths[False])
    assert {frame.plant_px for frame in frames if frame.y2 <= 600} == {18.0}
    assert {frame.plant_px for frame in frames if frame.y1 >= 600} == {80.0}


def test_far_is_what_lies_above_half_of_the_plants() -> None:
    frames = cut_frames(a_bed(grid(40)))
    far = sum(frame.expected for frame in frames if frame.far)

    assert 0.35 < far / sum(frame.expected for frame in frames) <= 0.5
    assert max(f.y1 for f in frames if f.far) <= min(f.y2 for f in frames if not f.far)


def test_crowded_plants_that_overlap_are_not_cut_into_crumbs() -> None:
    heap = np.random.default_rng(1).uniform([800, 600], [860, 660], (300, 2))
    frames = cut_frames(a_bed(heap, size=60.0))

    assert all(min(f.x2 - f.x1, f.y2 - f.y1) >= 50 for f in frames)
    assert sum(frame.seen for frame in frames) == 300


def test_hidden_plants_lie_in_the_rows_of_their_band_within_their_container() -> None:
    left, right = rectangle(0, 0, 800, HEIGHT), rectangle(800, 0, WIDTH, HEIGHT)
    bands = (Band(0, 0, 600, 30.0), Band(1, 600, 1200, 50.0))
    middles = grid(80)
    owner = (middles[:, 0] >= 800).astype(np.intp)
    frames = cut_frames(a_bed(middles, 60.0, (left, right), bands, owner))

    def hidden(right: bool, below: bool) -> float:
        return sum(f.hidden for f in frames if (f.x1 >= 800) == right and (f.y1 >= 600) == below)

    assert hidden(right=False, below=False) == pytest.approx(30)
    assert hidden(right=True, below=True) == pytest.approx(50)
    assert hidden(right=False, below=True) == hidden(right=True, below=False) == pytest.approx(0)


def test_hidden_plants_outside_every_container_lie_where_plants_were_seen() -> None:
    middles = np.array([[100.0, 100.0], [110, 130], [1500, 1100]])
    frames = cut_frames(a_bed(middles, 40.0, (LOOSE,), (Band(0, 0, 600, 4.0), Band(0, 600, 1200, 1.0))))

    assert sum(f.hidden for f in frames if f.x1 < 800) == pytest.approx(4)
    assert sum(f.hidden for f in frames if f.x1 >= 800) == pytest.approx(1)


def test_frames_with_plants_of_the_background_and_bare_floor_are_left_out() -> None:
    bed, neighbour = rectangle(0, 600, WIDTH, HEIGHT), rectangle(0, 0, 700, 300, Role.BACKGROUND)
    middles = np.concatenate([grid(50)[grid(50)[:, 1] > 600], [[100, 100], [300, 200]]])
    owner = (middles[:, 1] < 600).astype(np.intp)
    frames = cut_frames(a_bed(middles, 40.0, (bed, neighbour), owner=owner))

    assert sum(frame.seen for frame in frames) == (owner == 0).sum()
    assert min(frame.y1 for frame in frames) >= 450


def test_a_part_of_the_bed_in_which_nothing_was_seen_is_cut_too() -> None:
    middles = grid(50)[grid(50)[:, 0] < 800]
    frames = cut_frames(a_bed(middles, 40.0))

    assert sum(frame.seen == 0 for frame in frames) >= 6
    assert max(frame.x2 for frame in frames) == WIDTH


def test_a_photo_without_plants_has_no_frames() -> None:
    assert cut_frames(a_bed(np.empty((0, 2)))) == []


@given(st.datetimes())
def test_every_month_has_its_season(taken: dt.datetime) -> None:
    assert f"{taken:%B}"[0] in season_of(taken).value


@pytest.mark.parametrize(
    ("month", "season"),
    [(12, Season.DJF), (1, Season.DJF), (3, Season.MAM), (8, Season.JJA), (11, Season.SON)],
)
def test_seasons_go_by_whole_months(month: int, season: Season) -> None:
    assert season_of(dt.datetime(2026, month, 1)) is season
