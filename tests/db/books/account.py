"""The books kept in one's head: what was counted and what moved at each place, not how it is posted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Moved:
    """Plants that came to a place or left it; `booking` is shared by what is undone together."""

    place: int
    at: dt.datetime
    plants: int
    booking: int


@dataclass(frozen=True)
class Counted:
    """Of two counts at one moment, the one recorded later (`number`) holds."""

    place: int
    at: dt.datetime
    number: int
    plants: int


@dataclass(frozen=True)
class Account:
    moved: tuple[Moved, ...] = ()
    counted: tuple[Counted, ...] = ()
    open_from: dt.datetime | None = None
    places: tuple[int, ...] = field(default=(0, 1))

    def with_moved(self, moved: Iterable[Moved]) -> Account:
        return replace(self, moved=(*self.moved, *moved))

    def with_counted(self, counted: Counted) -> Account:
        return replace(self, counted=(*self.counted, counted))

    def without_booking(self, booking: int) -> Account:
        return replace(self, moved=tuple(one for one in self.moved if one.booking != booking))

    def without_count(self, number: int) -> Account:
        return replace(self, counted=tuple(one for one in self.counted if one.number != number))

    def held(self, place: int, at: dt.datetime | None = None) -> int:
        """The last count up to then, and what moved after it."""
        counts = [one for one in self.counted if one.place == place and (at is None or one.at <= at)]
        last = max(counts, key=lambda one: (one.at, one.number), default=None)
        return (last.plants if last else 0) + sum(
            one.plants
            for one in self.moved
            if one.place == place and (last is None or one.at > last.at) and (at is None or one.at <= at)
        )

    def lacks(self) -> bool:
        """Whether a place ever holds less than nothing since the books are open."""
        moments = {one.at for one in (*self.moved, *self.counted)}
        if self.open_from is not None:
            moments = {moment for moment in moments if moment > self.open_from} | {self.open_from}
        return any(self.held(place, moment) < 0 for place in self.places for moment in moments)

    def is_closed(self, at: dt.datetime) -> bool:
        return self.open_from is not None and at < self.open_from
