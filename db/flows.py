"""What moved, by what happened to it. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, fields

from db.models.vocabulary import MovementType


@dataclass(frozen=True, slots=True)
class Span:
    """The movements of a batch after one moment (None: from the first one) until another, included."""

    batch: int
    after: dt.datetime | None
    until: dt.datetime


@dataclass(frozen=True, slots=True)
class Flows:
    """Plants that moved, signed, by what happened to them. Counts (`foto`) are no flow."""

    initial: int = 0
    sown: int = 0
    planted: int = 0
    received: int = 0
    sent: int = 0
    died: int = 0
    sold: int = 0
    adjusted: int = 0

    @property
    def net(self) -> int:
        return sum(getattr(self, one.name) for one in fields(self))

    def __add__(self, other: Flows) -> Flows:
        return Flows(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def __sub__(self, other: Flows) -> Flows:
        return Flows(*(getattr(self, one.name) - getattr(other, one.name) for one in fields(self)))


_FLOW_OF_TYPE = {
    MovementType.MANUAL_INIT: "initial",
    MovementType.SEMBRAR: "sown",
    MovementType.PLANTAR: "planted",
    MovementType.MUERTE: "died",
    MovementType.VENTAS: "sold",
    MovementType.AJUSTE: "adjusted",
}


def flow(movement_type: str, quantity: int, *, arrives: bool | None = None) -> Flows:
    """One movement, or the sum of several of a type. A reversal takes away where its original was added;
    of a transfer, `arrives` says which leg it is (default: by its sign)."""
    kind = MovementType(movement_type)
    if kind is MovementType.FOTO:
        return Flows()
    if kind is MovementType.TRANSPLANTE:
        inward = quantity > 0 if arrives is None else arrives
        return Flows(received=quantity) if inward else Flows(sent=quantity)
    return Flows(**{_FLOW_OF_TYPE[kind]: quantity})
