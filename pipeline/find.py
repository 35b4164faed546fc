"""Paths, folders and patterns in; photos out, one at a time.

Everything is lazy: a folder of 20,000 photos is listed folder by folder and hashed file by file, so memory
stays flat and the first photo comes at once. Only mistakes in the paths themselves are looked for up front.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from pipeline.errors import NoPhotos, StorageError
from pipeline.printable import printable as printable
from pipeline.types import Photo, PhotoFailure
from pipeline.words import Sentence

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".heic", ".heif"})
# Thumbnails that storage boxes (Synology) and Windows leave among photos.
JUNK = frozenset({"@eaDir", "Thumbs.db"})
# A folder that holds this file holds pictures that we made: counting them would count plants twice.
OWN_MARK = ".demeter-output"

_MAGIC = re.compile(r"[*?\[]")
_DIGITS = re.compile(rb"(\d+)")

Entry = Path | PhotoFailure  # a failure is a folder that may not be listed


def find_photos(paths: Sequence[Path | str]) -> Iterator[Photo | PhotoFailure]:
    """The photos under `paths` (files, folders, patterns such as `beds/*.jpg`), each with its sha256.

    Folders are searched recursively, in natural order (IMG_2 before IMG_10), files before sub-folders; a file
    that is reached twice comes once. What cannot be read comes as a PhotoFailure.

    Raises NoPhotos at the call, before anything is read, if one of the paths leads to no photo at all.
    """
    return (_read(entry) if isinstance(entry, Path) else entry for entry in _once(_sources(paths)))


def count_photos(paths: Sequence[Path | str]) -> int:
    """How many outcomes `find_photos` will yield. Lists folders, reads no file. Raises NoPhotos."""
    return sum(1 for _ in _once(_sources(paths)))


def photo_paths(folder: Path) -> Iterator[Path]:
    """The files below a folder that look like photos, unread; none if it is not there."""
    return (entry for entry in _walk(folder, (os.path.realpath(folder),)) if isinstance(entry, Path))


def own_folder(folder: Path) -> None:
    """Make a folder for pictures that we draw, so that no later search takes them for photos.

    Raises StorageError if it cannot be made, or already holds photos: the mark would hide them.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The photos first, then the mark: a second process that draws here marks before it draws.
        photos = any(isinstance(entry, Path) for entry in _walk(folder, (os.path.realpath(folder),)))
        mark = folder / OWN_MARK
        if photos and not mark.exists():
            raise StorageError(
                Sentence(
                    "{folder} holds photos, and pictures drawn beside them would be counted as"
                    " photos the next time: name a folder of its own.",
                    folder=folder,
                )
            )
        mark.touch()
    except OSError as error:
        raise StorageError(
            Sentence(
                "{folder} cannot be used for pictures: {strerror}. Choose another folder.",
                folder=folder,
                strerror=error.strerror,
            )
        ) from error


def _sources(paths: Sequence[Path | str]) -> list[Iterator[Entry]]:
    """One lazy source per path. Raises NoPhotos with a sentence for each path that leads nowhere."""
    sources, mistakes = [], []
    roots = tuple(os.path.realpath(_fixed(Path(path))) for path in paths)
    for path in paths:
        try:
            sources.append(_source(Path(path), roots))
        except NoPhotos as error:
            mistakes.append(str(error))
    if not paths:
        mistakes.append("No photo was named: give files, folders, or patterns such as 'beds/*.jpg'.")
    if mistakes:
        raise NoPhotos(" ".join(mistakes))
    return sources


def _fixed(path: Path) -> Path:
    """A pattern's folder, down to its first `*`; any other path as it is."""
    if os.path.exists(path):  # noqa: PTH110  unlike Path's, it takes a name that is too long for one that is not there
        return path
    parts = path.parts
    return Path(*parts[: next((i for i, part in enumerate(parts) if _MAGIC.search(part)), len(parts))])


def _leads_out(path: Path, roots: Sequence[str]) -> bool:
    """Whether it is a link, or lies behind one, out of all that was named.

    Who may put a link into a folder of photos may not read by it what only the batch may.
    """
    real = os.path.realpath(path)
    return not any(os.path.commonpath((real, root)) == root for root in roots)


def _led_out(path: Path) -> PhotoFailure:
    why = "is a link out of the folders that were named: name the folder it leads to as well, or remove it."
    return _failure(path, why)


def _source(path: Path, roots: Sequence[str]) -> Iterator[Entry]:
    """What one path leads to. Folders are listed only as far as the first photo. Raises NoPhotos."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise NoPhotos(Sentence("{path} is a link to a file that does not exist.", path=path)) from None
        return _matches(path, roots)
    except OSError as error:
        raise NoPhotos(
            Sentence("{path} cannot be opened: {strerror}.", path=path, strerror=error.strerror)
        ) from error
    if not stat.S_ISDIR(mode):
        return iter((path,))
    return _peek(
        _walk(path, roots),
        Sentence(
            "{folder} holds no photo ({kinds}); hidden files and Demeter's own pictures do not count.",
            folder=printable(path),
            kinds=", ".join(sorted(EXTENSIONS)),
        ),
    )


def _peek(entries: Iterator[Entry], complaint: str) -> Iterator[Entry]:
    """The same entries, once it is sure that a photo is among them. Raises NoPhotos."""
    head: list[Entry] = []
    for entry in entries:
        head.append(entry)
        if isinstance(entry, Path):
            return chain(head, entries)
    reasons = [entry.reason for entry in head if isinstance(entry, PhotoFailure)]
    raise NoPhotos(" ".join(reasons) or complaint)


def _walk(top: Path, roots: Sequence[str]) -> Iterator[Entry]:
    """Files that look like photos. Follows links within `roots`, but enters each folder once: loops end."""
    entered: set[str] = set()
    folders = [top]
    while folders:
        folder = folders.pop()
        real = os.path.realpath(folder)
        if real in entered:
            continue
        entered.add(real)
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: _natural(entry.name))
        except OSError as error:
            yield _unreadable(folder, error)
            continue
        if any(entry.name == OWN_MARK for entry in entries):
            continue
        inner = []
        for entry in entries:
            if _is_hidden(entry.name):
                continue
            if entry.is_symlink() and _leads_out(folder / entry.name, roots):
                if _is_folder(entry) or Path(entry.name).suffix.lower() in EXTENSIONS:
                    yield _led_out(folder / entry.name)
                continue
            if _is_folder(entry):
                inner.append(folder / entry.name)
            elif Path(entry.name).suffix.lower() in EXTENSIONS:
                yield folder / entry.name
        folders += reversed(inner)


def _matches(pattern: Path, roots: Sequence[str]) -> Iterator[Entry]:
    """What a pattern matches. Raises NoPhotos if that is nothing, or if it is not a pattern.

    Only photo extensions, as in a folder, unless the pattern itself ends in another one (`*.jfif`).
    """
    shown = printable(pattern)
    fixed = next((i for i, part in enumerate(pattern.parts) if _MAGIC.search(part)), None)
    if fixed is None:
        raise NoPhotos(Sentence("There is no file or folder {shown}: check the spelling.", shown=shown))
    base = Path(*pattern.parts[:fixed])
    wanted = Path(*pattern.parts[fixed:])
    try:
        # Path.glob, as it does not follow links to folders: `**` ends even where links go round in circles.
        matches = [match for match in base.glob(str(wanted)) if not _is_skipped(base, match, wanted)]
    except (OSError, ValueError) as error:
        raise NoPhotos(
            Sentence("{shown} is not a pattern that can be searched for: {error}.", shown=shown, error=error)
        ) from error
    matches.sort(key=lambda match: [_natural(part) for part in match.parts])
    named = bool(wanted.suffix) and not _MAGIC.search(wanted.suffix)
    return _peek(
        _expand(matches, named, roots), Sentence("{shown} matches no photo: check the spelling.", shown=shown)
    )


def _expand(matches: Iterable[Path], named: bool, roots: Sequence[str]) -> Iterator[Entry]:
    for match in matches:
        if _leads_out(match, roots):
            yield _led_out(match)
        elif match.is_dir():
            yield from _walk(match, roots)
        elif named or match.suffix.lower() in EXTENSIONS:
            yield match


def _is_skipped(base: Path, match: Path, wanted: Path) -> bool:
    """Whether a match is hidden (unless the pattern asks for hidden names) or lies in a folder of ours."""
    below = match.relative_to(base)
    asked = any(part.startswith(".") for part in wanted.parts)
    if any(part in JUNK or (_is_hidden(part) and not asked) for part in below.parts):
        return True
    return any((base / folder / OWN_MARK).exists() for folder in below.parents)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in JUNK


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, or to where we may not look: it fails when it is read
        return False


def _natural(name: str) -> tuple[list[bytes | int], bytes]:
    """Numbers by value, all else bytewise, so the order is the same in every locale."""
    raw = os.fsencode(name)
    return [int(part) if i % 2 else part for i, part in enumerate(_DIGITS.split(raw))], raw


def _once(sources: Iterable[Iterable[Entry]]) -> Iterator[Entry]:
    seen: set[str] = set()
    for entry in chain.from_iterable(sources):
        path = entry if isinstance(entry, Path) else entry.photo.path
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            yield entry


def _read(path: Path) -> Photo | PhotoFailure:
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                return _failure(path, "is not a regular file: name photos only.")
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            after = os.fstat(file.fileno())
    except OSError as error:
        return _unreadable(path, error)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        return _failure(path, "changed while it was read: wait until the copy has ended, then run again.")
    if after.st_size == 0:
        return _failure(path, "is empty (0 bytes): copy it again from the camera.")
    return Photo(path, sha256, after.st_size)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a named pipe would wait for its writer for ever


def _unreadable(path: Path, error: OSError) -> PhotoFailure:
    match error:
        case PermissionError():
            why = Sentence("may not be read by this user: give read permission, or run as its owner.")
        case FileNotFoundError():
            why = Sentence(
                "is gone, or is a link to a file that is: it was there when its folder was listed."
            )
        case IsADirectoryError():
            why = Sentence("has become a folder: run again.")
        case _:
            why = Sentence("cannot be read: {reason}. Check the disk or the card.", reason=error.strerror)
    return _failure(path, why)


def _failure(path: Path, why: str) -> PhotoFailure:
    return PhotoFailure(Photo(path, "", 0), Sentence("{photo} {problem}", photo=printable(path), problem=why))
