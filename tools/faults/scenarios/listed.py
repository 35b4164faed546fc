"""Every file of scenarios, in the order in which they are staged: each puts its own on the list."""

from tools.faults.scenarios import (
    buckets,
    database,
    disks,
    files,
    fuzz,
    kills,
    machine,
    signals,
    upgrades,
    watchers,
)

__all__ = [
    "buckets",
    "database",
    "disks",
    "files",
    "fuzz",
    "kills",
    "machine",
    "signals",
    "upgrades",
    "watchers",
]
