"""Find the place that a photo shows, from what people write on folders and files."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, select

from db.errors import NotFound
from db.models.places import StorageLocation
from pipeline.words import Sentence

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A place that photos can show: a `storage_locations` row."""

    id: int
    code: str


@dataclass(frozen=True, slots=True)
class PlaceIndex:
    """All active places by the words of their codes: `N01-NORTE-C07` is `("N01", "NORTE", "C07")`."""

    by_words: Mapping[Words, Place]
    by_label: Mapping[str, Place] = field(default_factory=dict)  # what labels say that do not bear the code

    @staticmethod
    def load(connection: Connection) -> PlaceIndex:
        table = StorageLocation
        rows = connection.execute(select(table.id, table.code, table.qr_code).where(table.active)).all()
        index = PlaceIndex.of(Place(row.id, row.code) for row in rows)
        labels = {row.qr_code.upper(): Place(row.id, row.code) for row in rows if row.qr_code}
        return PlaceIndex(index.by_words, labels)

    def on_label(self, text: str) -> Place | None:
        """The place whose label bears this text, None where it is no label of ours."""
        text = text.strip().upper()
        return self.by_label.get(text) or self.by_words.get(_words(text))

    @staticmethod
    def of(places: Iterable[Place]) -> PlaceIndex:
        return PlaceIndex({_words(place.code): place for place in places})

    def named(self, code: str) -> Place:
        """The place with this code, in any case. Raises NotFound that names the nearest codes."""
        place = self.by_words.get(_words(code))
        if place is not None:
            return place
        codes = sorted(place.code for place in self.by_words.values())
        near = difflib.get_close_matches(code.upper(), codes, n=3)
        hint = (
            Sentence("did you mean {names}?", names=", ".join(near))
            if near
            else Sentence.counted("the database knows {n} place", "the database knows {n} places", len(codes))
        )
        raise NotFound(Sentence("there is no place {code!r}; {hint}", code=code, hint=hint))

    def of_path(self, path: Path) -> Place | None:
        """The place that a file name or its folders spell: `N01-NORTE-C07.jpg`, `N01/NORTE/C07/x.jpg`.

        The file's own name outranks its folders, inner folders outrank outer ones. None when nothing
        fits, or when one name spells two places: a guess would book plants where they are not.
        """
        parts = [_words(part) for part in path.parts]
        for first in range(len(parts) - 1, -1, -1):
            words = tuple(word for part in parts[first:] for word in part)
            found = set(self._spelt_by(words))
            if found:
                return found.pop() if len(found) == 1 else None
        return None

    def _spelt_by(self, words: Words) -> Iterator[Place]:
        """Every place whose code stands in `words`; a longer code hides the shorter one inside it."""
        longest = max((len(key) for key in self.by_words), default=0)
        start = 0
        while start < len(words):
            for length in range(longest, 0, -1):
                place = self.by_words.get(words[start : start + length])
                if place is not None and start + length <= len(words):
                    yield place
                    start += length - 1
                    break
            start += 1


def between(connection: Connection, first: Place, last: Place) -> list[Place]:
    """The active places of one bed from `first` to `last`, both included, in the order of a walk along it.

    Raises NotFound where they stand in different beds: a walk does not cross from one to another by itself.
    """
    table = StorageLocation
    beds = set(connection.scalars(select(table.storage_area_id).where(table.id.in_([first.id, last.id]))))
    if len(beds) > 1:
        raise NotFound(
            Sentence("{first} and {last} stand in different beds", first=first.code, last=last.code)
        )
    rows = connection.execute(
        select(table.id, table.code).where(table.storage_area_id.in_(beds), table.active)
    )
    along = sorted((Place(row.id, row.code) for row in rows), key=lambda place: _natural(place.code))
    start, end = along.index(first), along.index(last)
    return along[start : end + 1] if start <= end else along[end : start + 1][::-1]


def _natural(code: str) -> list[tuple[int, str]]:
    """C2 before C10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.findall(r"\d+|\D+", code)]


def _words(text: str) -> Words:
    return tuple(re.findall(r"[A-Z0-9]+", text.upper()))
