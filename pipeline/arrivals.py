"""Files that arrive in a folder, and which of them are there whole.

By looking again and again: network shares (SMB, NFS) tell nobody of what another machine writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.decode import is_whole_file
from pipeline.errors import StorageError
from pipeline.find import photo_paths
from pipeline.printable import printable
from pipeline.words import Sentence

Mark = tuple[int, int]  # size in bytes, time of the last change in ns


@dataclass(slots=True)
class _Seen:
    """A file as it was at the last look. `since` is when it was first seen so, `handed` whether it was
    taken."""

    mark: Mark
    since: float
    handed: bool = False
    incomplete: bool = False


@dataclass(slots=True)
class Arrivals:
    """A folder that is looked at now and again. Memory grows with the files that lie in it, a line each.

    A file is ready when size and time of change have been the same for `settle` seconds and it goes on to
    its end. What is cut off or no photo at all is ready after `patience` seconds without a change, so that
    somebody is told of it. A file that changes after it was taken is ready once more.
    """

    folder: Path
    settle: float
    patience: float
    _seen: dict[Path, _Seen] = field(default_factory=dict)

    def ready(self, now: float, most: int) -> list[Path]:
        """At most so many files to count now, in natural order. `now` is a clock that never steps back.

        Raises StorageError if the folder is not there or may not be listed.
        """
        found: list[Path] = []
        present: set[Path] = set()
        for path in self._listed():
            present.add(path)
            seen = self._look(path, now)
            if seen is None or seen.handed or len(found) >= most:
                continue
            still = now - seen.since
            if still >= self.patience or (still >= self.settle and self._is_whole(path, seen)):
                found.append(path)
        for gone in self._seen.keys() - present:
            del self._seen[gone]
        return found

    def taken(self, paths: list[Path]) -> None:
        """They were counted, or refused for what they are: only a change makes them ready again."""
        for path in paths:
            if path in self._seen:
                self._seen[path].handed = True

    @property
    def waiting(self) -> list[Path]:
        """Those that were not taken yet."""
        return sorted(path for path, seen in self._seen.items() if not seen.handed)

    def stuck(self, now: float) -> list[Path]:
        """Those that do not change and are not whole."""
        return [
            path
            for path, seen in self._seen.items()
            if seen.incomplete and not seen.handed and now - seen.since >= self.settle
        ]

    def _listed(self) -> list[Path]:
        if not self.folder.is_dir():
            raise StorageError(
                Sentence(
                    "the folder {folder} is not there: plug the disk in or mount the share again",
                    folder=printable(self.folder),
                )
            )
        return list(photo_paths(self.folder))

    def _look(self, path: Path, now: float) -> _Seen | None:
        try:
            stat = path.stat()
        except OSError:
            return None  # it went away, or is a link to what did
        mark = (stat.st_size, stat.st_mtime_ns)
        seen = self._seen.get(path)
        if seen is None or seen.mark != mark:
            seen = self._seen[path] = _Seen(mark, now)
        return seen

    def _is_whole(self, path: Path, seen: _Seen) -> bool:
        """Read once for each state that a file is in."""
        if not seen.incomplete:
            seen.incomplete = not is_whole_file(path)
        return not seen.incomplete
