"""The closed lists of words that the pipeline and the tables share, and sentences that can be translated.

A leaf that loads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from functools import reduce
from typing import Any


class Sentence(str):
    """A text in English that still knows its pattern and values, so that whoever shows it may translate it.

    Everywhere else it is an ordinary `str`: in logs, JSON and the database. `Sentence("{n} photos", n=3)` is
    "3 photos". A value may be a Sentence itself.
    """

    __slots__ = ("one", "pattern", "values")
    pattern: str
    one: str | None
    values: dict[str, Any]

    def __new__(cls, pattern: str, **values: Any) -> Sentence:
        return cls._made(None, pattern, values)

    @classmethod
    def counted(cls, one: str, many: str, n: int, **values: Any) -> Sentence:
        """`one` where `n` is 1, else `many`; other languages may count otherwise."""
        return cls._made(one, many, {"n": n, **values})

    @classmethod
    def _made(cls, one: str | None, pattern: str, values: dict[str, Any]) -> Sentence:
        values = {name: _plain(value) for name, value in values.items()}
        chosen = one if one is not None and values["n"] == 1 else pattern
        self = super().__new__(cls, chosen.format(**values))
        self.pattern, self.one, self.values = pattern, one, values
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Sentence._made, (self.one, self.pattern, self.values)


def joined(sentences: Iterable[str]) -> str:
    """One after the other, with semicolons; each can still be translated."""
    told = list(sentences)
    return reduce(lambda one, other: Sentence("{one}; {other}", one=one, other=other), told) if told else ""


def marked(pattern: str) -> str:
    """The pattern of a Sentence where it is not made at once: it is gathered with the others."""
    return pattern


def _plain(value: Any) -> Any:
    """Of an error, its sentence: errors do not always come whole through a pipe."""
    if isinstance(value, BaseException):
        return value.args[0] if value.args and isinstance(value.args[0], str) else str(value)
    return value


class ContainerKind(StrEnum):
    """What plants stand in. `LOOSE` gathers the plants that stand in no container we recognised."""

    SEGMENT = "segment"
    BOX = "box"
    PLUG_TRAY = "plug_tray"
    SEEDLING_TRAY = "seedling_tray"
    LOOSE = "loose"


class Role(StrEnum):
    """Whether a container belongs to the bed that was photographed, or is a neighbour's in the background."""

    MAIN = "main"
    BACKGROUND = "background"


class Thing(IntEnum):
    """What stands in a place for a plant, as `Detections.classes` holds it."""

    PLANT = 0
    EMPTY_POT = 1
    DEAD_PLANT = 2


class PhotoStatus(StrEnum):
    """`WARNING` is a count to be looked at; it is not a failure. `REFUSED` must not be booked: a better photo
    is wanted."""

    COMPLETED = "completed"
    WARNING = "warning"
    REFUSED = "refused"
    FAILED = "failed"


class Check(StrEnum):
    """What the photo gate looks at (pipeline/gate.py). Each has a setting of its own, `gate_` before its
    name."""

    UNREADABLE = "unreadable"
    DARK = "dark"
    BRIGHT = "bright"
    HAZE = "haze"
    MOTION = "motion"
    BLUR = "blur"
    SMALL = "small"
    ANGLE = "angle"
    TURNED = "turned"
    FLOOR = "floor"
    EMPTY = "empty"
    LOOSE = "loose"
    STRANGE = "strange"
    REPEAT = "repeat"


class Severity(StrEnum):
    """What becomes of a photo about which something was found: only told to machines, looked at, not
    booked."""

    NOTE = "note"
    WARNING = "warning"
    REFUSAL = "refusal"


class Season(StrEnum):
    """Climatology's quarters, named by the initials of their months: they mean the same on both sides of
    the equator (DJF is summer in Mendoza and winter in Madrid)."""

    DJF = "DJF"
    MAM = "MAM"
    JJA = "JJA"
    SON = "SON"

    @property
    def months(self) -> str:
        return {"DJF": "Dec–Feb", "MAM": "Mar–May", "JJA": "Jun–Aug", "SON": "Sep–Nov"}[self.value]
