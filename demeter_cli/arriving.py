"""Which files of a folder have arrived whole, told from names, sizes and times alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

Mark = tuple[int, int]  # size in bytes, time of change in nanoseconds


@dataclass(slots=True)
class Arrivals:
    """What was seen in a folder. Memory grows with the files that are there, and with nothing else.

    A file that changes after it was taken is another one, and is taken again.
    """

    folder: Path
    stable: float  # seconds without a change after which a file is whole
    told: bool = False  # whether somebody was told that the work cannot be done now
    waiting: int = 0  # files that are still arriving
    _seen: dict[Path, tuple[Mark, float]] = field(default_factory=dict)
    _taken: dict[Path, Mark] = field(default_factory=dict)

    def look(self, now: float) -> list[Path]:
        """The files that are whole and were not taken yet; `now` is in seconds of any clock that only
        grows."""
        ready, there = [], self._marks()
        self.waiting = 0
        for path, mark in there.items():
            if self._taken.get(path) == mark:
                continue
            known, since = self._seen.get(path, (None, now))
            if known != mark:
                self._seen[path] = (mark, now)
                since = now
            if now - since >= self.stable and mark[0] > 0:
                ready.append(path)
            else:
                self.waiting += 1
        # A share that is away shows an empty folder: what was taken is forgotten only when the folder is
        # there.
        if there or self.folder.is_dir():
            for gone in self._seen.keys() - there.keys():
                del self._seen[gone]
            if there:
                self._taken = {path: mark for path, mark in self._taken.items() if path in there}
        return ready

    def done(self, paths: list[Path]) -> None:
        """These were dealt with as they were when they were seen last."""
        for path in paths:
            if path in self._seen:
                self._taken[path] = self._seen.pop(path)[0]

    def _marks(self) -> dict[Path, Mark]:
        from pipeline.find import photo_paths

        marks = {}
        for path in photo_paths(self.folder):
            try:
                found = path.stat()
            except OSError:  # it went away between the two looks
                continue
            marks[path] = (found.st_size, found.st_mtime_ns)
        return marks
