"""What the classes of a detector mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.things import plants_and_pots, thing_of, things_of
from pipeline.types import Detections, Thing
from pipeline.weights import ModelCard


def card(*classes: str) -> ModelCard:
    return ModelCard("net", "1", "detect", Path("net.xml"), "0", classes, 160, 160, 114, 0.5)


@pytest.mark.parametrize(
    ("name", "thing"),
    [
        *((name, Thing.PLANT) for name in ("plant", "planta", "Item")),
        *((name, Thing.EMPTY_POT) for name in ("empty_container", "empty_pot", "MACETA_VACIA")),
        *((name, Thing.DEAD_PLANT) for name in ("dead_plant", "planta_muerta")),
    ],
)
def test_classes_map_by_name_in_any_case(name: str, thing: Thing) -> None:
    assert thing_of(name) is thing


def test_the_order_of_a_cards_classes_does_not_matter() -> None:
    assert things_of(card("dead_plant", "plant", "empty_pot")).tolist() == [2, 0, 1]
    assert things_of(card("item")).tolist() == [0]


def test_a_class_that_means_nothing_gets_a_sentence() -> None:
    with pytest.raises(ModelError, match=r"net\.xml cannot be used: .*'weed' is none of dead_plant, "):
        things_of(card("plant", "weed"))


def test_doubtful_pots_are_dropped_and_doubtful_plants_are_kept() -> None:
    found = Detections(
        np.arange(24, dtype=np.float32).reshape(6, 4),
        np.array([0.2, 0.9, 0.5, 0.49, 0.9, 0.1], np.float32),
        np.array([0, 0, 1, 1, 2, 2], np.int16),
        np.zeros(6, np.bool_),
    )
    plants, pots = plants_and_pots(found, 0.5)
    assert plants.scores.tolist() == pytest.approx([0.2, 0.9, 0.9, 0.1])
    assert plants.dead.tolist() == [False, False, True, True]
    assert pots.scores.tolist() == [0.5]
