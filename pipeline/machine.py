"""How many cores and how much memory this process may use: what the machine has, less what a container, an
affinity or a limit takes away."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")
_PAGE = resource.getpagesize()


def cores(root: Path = ROOT) -> int:
    """Cores that this process may run on, at least 1. `root` is where /proc and /sys are."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for group in _groups(root, "cpu") if (quota := _quota(group)) is not None]
    return max(1, int(min([allowed, *quotas])))


def default_threads(cores: int, workers: int) -> int:
    """Threads of each worker: twice its share of the cores, so that they are busy also while a worker is at
    what only one core can do."""
    return min(cores, 2 * max(1, cores // workers))


def free_memory(root: Path = ROOT) -> int | None:
    """Bytes that this process may still take without swapping or being killed; None where nobody says."""
    rooms = [room for group in _groups(root, "memory") if (room := _room(group)) is not None]
    available = _field(root / "proc/meminfo", "MemAvailable:")
    if available is not None:
        rooms.append(available * 1024)
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _numbers(root / "proc/self/statm")
    if limit != resource.RLIM_INFINITY and pages:
        rooms.append(max(0, limit - pages[0] * _PAGE))
    return min(rooms) if rooms else None


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The control groups that this process is in, for version 2 and 1, each with those above it."""
    top = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0":
            base = top
        elif controller in names.split(","):
            base = top / controller
        else:
            continue
        group = base / path.lstrip("/")
        yield group
        yield from (parent for parent in group.parents if base in (parent, *parent.parents))


def _quota(group: Path) -> float | None:
    """Cores' worth of time that a group gets."""
    words = _text(group / "cpu.max").split() or [
        _text(group / "cpu.cfs_quota_us").strip(),
        _text(group / "cpu.cfs_period_us").strip(),
    ]
    if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]):
        return max(1.0, int(words[0]) / int(words[1]))
    return None


def _room(group: Path) -> int | None:
    """Bytes that a group may still take. Files that were only read give way to what programs need."""
    for limit, used, idle in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        most, now = _numbers(group / limit), _numbers(group / used)
        if most and now:
            return max(0, most[0] - now[0] + (_field(group / "memory.stat", idle) or 0))
    return None


def _field(path: Path, name: str) -> int | None:
    for line in _text(path).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name and words[1].isdecimal():
            return int(words[1])
    return None


def _numbers(path: Path) -> list[int]:
    return [int(word) for word in _text(path).split() if word.isdecimal()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
