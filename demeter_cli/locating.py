"""What says where photos were taken: --place, codes in them, `places.csv` beside them, their names."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from demeter_cli.language import _
from pipeline.find import printable

if TYPE_CHECKING:
    from db.locating import Located
    from db.places import Place, PlaceIndex

SIDECAR = "places.csv"
_MOST_BYTES = 4 << 20
_PARTS = ("bay", "bed", "place")


@dataclass(slots=True)
class Locator:
    """Hears every source for one run. `assigned` are the places that people gave to photos stored earlier, by
    sha256."""

    places: PlaceIndex
    given: Place | None
    patterns: Sequence[re.Pattern[str]] = ()
    assigned: dict[str, tuple[str, Place]] = field(default_factory=dict)
    _sidecars: dict[Path, dict[str, Place]] = field(default_factory=dict)

    def locate(self, path: Path, sha256: str, codes: Sequence[str] = ()) -> Located:
        """From all that is known so far; `codes` are what labels in the photo say."""
        from db.locating import locate
        from db.models.vocabulary import LocatedBy

        said: dict[LocatedBy, list[Place]] = {
            LocatedBy.GIVEN: [self.given] if self.given else [],
            LocatedBy.CODE: [place for code in codes if (place := self.places.on_label(code))],
            LocatedBy.SIDECAR: self._in_sidecar(path),
            LocatedBy.NAME: self._named(path),
        }
        if sha256 in self.assigned:
            by, place = self.assigned[sha256]
            said[LocatedBy(by)] = [place]
        return locate(said)

    def _named(self, path: Path) -> list[Place]:
        """By the patterns of the settings, the first that matches; without one, by the words of the path."""
        for pattern in self.patterns:
            if match := pattern.search(path.as_posix()):
                parts = [match[name] for name in _PARTS if match.groupdict().get(name)]
                place = self.places.on_label("-".join(parts))
                return [place] if place else []
        place = self.places.of_path(path)
        return [place] if place else []

    def _in_sidecar(self, path: Path) -> list[Place]:
        folder = path.parent
        if folder not in self._sidecars:
            self._sidecars[folder] = self._read(folder / SIDECAR)
        place = self._sidecars[folder].get(path.name)
        return [place] if place else []

    def _read(self, file: Path) -> dict[str, Place]:
        """Name of the file → place. What cannot be used is told, and left out."""
        from demeter_cli import output

        found: dict[str, Place] = {}
        try:
            if not file.is_file():
                return found
            text = file.read_bytes()[:_MOST_BYTES].decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            told = _("{file} cannot be read ({error}); photos are located without it.")
            output.tell(told.format(file=printable(file), error=error))
            return found
        separator = ";" if text.partition("\n")[0].count(";") else ","
        for number, row in enumerate(csv.reader(text.splitlines(), delimiter=separator), 1):
            cells = [cell.strip() for cell in row]
            if not any(cells) or (number == 1 and cells[:1] == ["file"]):
                continue
            place = self.places.on_label(cells[1]) if len(cells) > 1 else None
            if place is None:
                named = printable(" ".join(cells[1:2]))
                told = _("{file}, line {number}: there is no place {place!r}.")
                output.tell(told.format(file=printable(file), number=number, place=named))
                continue
            found[cells[0]] = place
        return found


def compiled(patterns: Sequence[str]) -> list[re.Pattern[str]]:
    """Raises SettingsError for one that cannot be used."""
    from demeter_cli.errors import SettingsError

    made = []
    for pattern in patterns:
        try:
            one = re.compile(pattern, re.IGNORECASE)
        except re.error as error:
            raise SettingsError(f"place_patterns: {pattern!r} is no regular expression: {error}") from error
        if "place" not in one.groupindex or set(one.groupindex) - set(_PARTS):
            raise SettingsError(
                f"place_patterns: {pattern!r} needs a group (?P<place>…),"
                " and may have (?P<bay>…) and (?P<bed>…) before it"
            )
        made.append(one)
    return made
