"""From boxes and containers to counts: every plant in one container, and sums that are sums."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.calibration import Calibration
from pipeline.config import ModelChoice, PipelineConfig
from pipeline.estimators.registry import make_estimator
from pipeline.evidence import Evidence
from pipeline.regions import assign, map_regions
from pipeline.roles import Plants, give_roles
from pipeline.tally import count_containers, main_total
from pipeline.types import Container, ContainerCount, ContainerKind, Detections, Thing
from tests.pipeline.test_regions import containers, rectangle

WIDTH, HEIGHT = 400, 300
BLACK = cv2.imencode(".jpg", np.zeros((HEIGHT, WIDTH, 3), np.uint8))[1].tobytes()
CALIBRATION = Calibration(
    "1",
    np.array([0.1, 0.5, 0.9]),
    np.array([8.0, 40.0]),
    np.array([[0.1, 0.2], [0.7, 0.9], [1.1, 1.0]]),
    np.array([0.0, 0.4, 0.9]),
    1.0,
)


@dataclass(frozen=True)
class Scene:
    """Things found in a photo: plants, dead or alive, sure or not, and empty pots."""

    found: Detections
    beds: list[Container]

    def evidence(self) -> Evidence:
        """As `pipeline.photo` makes it, of a black photo."""
        pots = self.found.classes == Thing.EMPTY_POT
        order = np.concatenate([np.flatnonzero(~pots), np.flatnonzero(pots & (self.found.scores >= 0.5))])
        things, many = self.found.take(order), int((~pots).sum())
        sure = (things.scores >= 0.5) & (np.arange(len(things)) < many)
        regions = map_regions(self.beds, WIDTH, HEIGHT)
        given_roles, owner = give_roles(
            self.beds, regions, Plants(things.boxes, sure, assign(things.boxes, regions))
        )
        return Evidence(
            WIDTH, HEIGHT, tuple(given_roles), things.take(np.arange(many)), sure[:many], owner[:many], 1.0,
            BLACK, pots=things.take(np.arange(many, len(things))),
            pots_owner=owner[many:],
        )  # fmt: skip


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    many = draw(st.integers(0, 30))
    boxes = []
    for _ in range(many):
        x, y, side = draw(st.integers(0, WIDTH)), draw(st.integers(0, HEIGHT)), draw(st.integers(4, 50))
        boxes.append([x - side / 2, y - side / 2, x + side / 2, y + side / 2])
    found = Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([draw(st.sampled_from([0.2, 0.5, 0.8])) for _ in boxes], np.float32),
        np.array([draw(st.sampled_from(list(Thing))) for _ in boxes], np.int16),
        np.zeros(many, np.bool_),
    )
    return Scene(found, draw(containers))


def counted(scene: Scene, method: str = "expected") -> tuple[ContainerCount, ...]:
    config = PipelineConfig(ModelChoice(Path("none")), ModelChoice(Path("none")), estimator=method)
    return count_containers(scene.evidence(), make_estimator(config, CALIBRATION))[0]


@pytest.mark.parametrize("method", ["expected", "perspective"])
@given(scene=scenes())
@settings(max_examples=40, deadline=None)
def test_totals_are_the_sums_of_the_containers_and_every_plant_is_in_exactly_one(
    method: str, scene: Scene
) -> None:
    config = PipelineConfig(ModelChoice(Path("none")), ModelChoice(Path("none")), estimator=method)
    evidence = scene.evidence()
    counts, owner = count_containers(evidence, make_estimator(config, CALIBRATION))
    sure = scene.found.scores >= 0.5
    pots, dead = scene.found.classes == Thing.EMPTY_POT, scene.found.classes == Thing.DEAD_PLANT
    assert sum(count.seen for count in counts) == (sure & ~pots).sum()
    assert sum(count.dead for count in counts) == (sure & dead).sum()
    assert sum(count.empty_pots for count in counts) == (sure & pots).sum()
    # Each sure plant points at one count, and each count holds as many as point at it.
    assert [count.seen for count in counts] == np.bincount(
        owner[evidence.sure], minlength=len(counts)
    ).tolist()
    # The bed is the sum of the containers in front; what is behind is not in it.
    bed = main_total(counts, 1.0, doubtful=False)
    assert bed.total == sum(count.total for count in counts if count.is_main)
    assert bed.low <= bed.total <= bed.high
    assert all(count.hidden >= 0 and not (count.empty and count.total) for count in counts)


@given(scene=scenes(), random=st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_detections_and_of_containers_changes_nothing(scene: Scene, random: object) -> None:
    order, beds = np.arange(len(scene.found)), list(scene.beds)
    random.shuffle(order)  # type: ignore[attr-defined]
    random.shuffle(beds)  # type: ignore[attr-defined]
    assert sorted(figures(counted(scene))) == sorted(figures(counted(Scene(scene.found.take(order), beds))))


def figures(counts: tuple[ContainerCount, ...]) -> list[tuple[object, ...]]:
    return [
        (
            count.container.kind.value, count.container.role.value, count.seen, count.hidden, count.dead,
            count.empty_pots, tuple(np.sort(count.container.polygon.ravel()).tolist()),
        )
        for count in counts
    ]  # fmt: skip


def test_a_crate_on_a_bed_takes_its_plants_and_its_ground_from_the_bed() -> None:
    bed, crate = (
        rectangle(ContainerKind.SEGMENT, 0, 0, 400, 300),
        rectangle(ContainerKind.BOX, 100, 100, 200, 200),
    )
    middles = [(x, y) for x in range(10, 400, 20) for y in range(10, 300, 20)]
    boxes = np.array([[x - 8, y - 8, x + 8, y + 8] for x, y in middles], np.float32)
    many = len(boxes)
    found = Detections(
        boxes, np.full(many, 0.8, np.float32), np.zeros(many, np.int16), np.zeros(many, np.bool_)
    )
    in_crate = sum(100 < x < 200 and 100 < y < 200 for x, y in middles)
    scene = Scene(found, [bed, crate])
    assert [count.seen for count in counted(scene)] == [many - in_crate, in_crate]
    areas = [int(scene.evidence().regions.mask(index).sum()) for index in range(2)]
    assert areas[1] == pytest.approx(100 * 100, rel=0.03)
    assert sum(areas) == 400 * 300
