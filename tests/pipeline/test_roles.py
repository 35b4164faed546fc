"""Which containers are the photographed bed, and which are another's behind or beside it."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.regions import LOOSE, map_regions
from pipeline.roles import Plants, give_roles
from pipeline.types import Boxes, Container, ContainerKind, Role

SEGMENT, BOX, TRAY = ContainerKind.SEGMENT, ContainerKind.BOX, ContainerKind.PLUG_TRAY
MAIN, BACKGROUND = Role.MAIN, Role.BACKGROUND
WIDTH, HEIGHT = 800, 600


def container(kind: ContainerKind, x1: float, y1: float, x2: float, y2: float) -> Container:
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    return Container(kind, corners, 0.9)


def roles(*containers: Container, loose: Boxes | None = None) -> list[Role]:
    """Of the containers, and of the one that gathers loose plants of the background, if there is one."""
    boxes = np.empty((0, 4), np.float32) if loose is None else loose
    plants = Plants(boxes, np.ones(len(boxes), np.bool_), np.full(len(boxes), LOOSE, np.intp))
    given, _ = give_roles(list(containers), map_regions(list(containers), WIDTH, HEIGHT), plants)
    return [one.role for one in given]


def test_a_bed_alone_is_the_photographed_one() -> None:
    assert roles(container(SEGMENT, 0, 200, 800, 600)) == [MAIN]


def test_what_lies_beyond_a_walkway_is_another_bed() -> None:
    behind = container(SEGMENT, 100, 80, 700, 150)
    assert roles(behind, container(SEGMENT, 0, 220, 800, 600)) == [BACKGROUND, MAIN]


def test_a_bed_behind_whose_outline_runs_into_the_one_in_front_is_told() -> None:
    behind = container(SEGMENT, 100, 150, 700, 240)
    assert roles(container(SEGMENT, 0, 220, 800, 600), behind) == [MAIN, BACKGROUND]


def test_two_segments_side_by_side_are_one_bed() -> None:
    assert roles(container(SEGMENT, 0, 200, 390, 600), container(SEGMENT, 400, 190, 800, 580)) == [MAIN, MAIN]


def test_rows_of_crates_and_trays_are_one_bed() -> None:
    rows = [container(BOX, 0, y, 800, y + 0.3 * y) for y in (150, 200, 265, 350, 460)]
    assert roles(*rows) == [MAIN] * 5
    trays = [container(TRAY, x, y, x + 380, y + 90) for x in (0, 400) for y in (200, 300, 400)]
    assert roles(*trays) == [MAIN] * 6


def test_crates_before_a_segment_are_of_its_bed() -> None:
    assert roles(container(SEGMENT, 0, 100, 800, 400), container(BOX, 50, 410, 300, 560)) == [MAIN, MAIN]


def test_loose_plants_beyond_the_walkway_are_gathered_there_and_others_stay_loose() -> None:
    bed = container(SEGMENT, 0, 300, 800, 600)
    behind = container(SEGMENT, 100, 100, 700, 180)
    boxes = np.array([[40, 110, 60, 130], [60, 110, 80, 130], [20, 110, 40, 130]], np.float32)
    assert roles(bed, behind, loose=boxes) == [MAIN, BACKGROUND, BACKGROUND]


sides = st.integers(10, 400)
some = st.lists(
    st.builds(
        lambda kind, x, y, width, height: container(
            kind, x, y, min(x + width, WIDTH), min(y + height, HEIGHT)
        ),
        st.sampled_from([SEGMENT, BOX, TRAY]),
        st.integers(0, WIDTH - 20),
        st.integers(0, HEIGHT - 20),
        sides,
        sides,
    ),
    min_size=1,
    max_size=6,
)


@given(some, st.randoms(use_true_random=False))
def test_there_is_always_a_bed_and_the_order_of_the_containers_never_matters(
    containers: list[Container], random: Random
) -> None:
    told = roles(*containers)
    assert MAIN in told
    mixed = list(enumerate(containers))
    random.shuffle(mixed)
    again = roles(*(one for _, one in mixed))
    assert [again[place] for place in np.argsort([number for number, _ in mixed])] == told
