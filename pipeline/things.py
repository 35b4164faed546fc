"""What the classes of a detector mean. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError
from pipeline.types import Detections, Thing
from pipeline.weights import ModelCard

# Models of other nurseries name the classes in their own way; an unknown name must not vanish.
THING_OF_NAME = {
    "plant": Thing.PLANT,
    "planta": Thing.PLANT,
    "item": Thing.PLANT,
    "empty_container": Thing.EMPTY_POT,
    "empty_pot": Thing.EMPTY_POT,
    "maceta_vacia": Thing.EMPTY_POT,
    "dead_plant": Thing.DEAD_PLANT,
    "planta_muerta": Thing.DEAD_PLANT,
}


def thing_of(name: str) -> Thing:
    """Raises ValueError for a class name that means nothing we know."""
    try:
        return THING_OF_NAME[name.lower()]
    except KeyError:
        raise ValueError(
            f"the detector's class {name!r} is none of {', '.join(sorted(THING_OF_NAME))}"
        ) from None


def things_of(card: ModelCard) -> NDArray[np.int16]:
    """(classes,): what each class of the card means, a `Thing`. Raises ModelError."""
    try:
        return np.array([thing_of(name) for name in card.classes], np.int16)
    except ValueError as error:
        raise ModelError(
            f"{card.weights} cannot be used: {error}; correct the classes in its card"
        ) from error


def plants_and_pots(found: Detections, sure_from: float) -> tuple[Detections, Detections]:
    """The plants, alive and dead, sure and doubtful; and the empty pots that score at least `sure_from`."""
    pots = found.classes == Thing.EMPTY_POT
    return found.take(~pots), found.take(pots & (found.scores >= sure_from))
