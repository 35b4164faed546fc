"""Disks that are full or take no writing. They are small ones made for it (tmpfs), which takes root."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tools.faults.processes import kill, postgres_of, using, wait_until, workers_of
from tools.faults.rules import demand, demand_alone, demand_ended, demand_same, demand_whole, scenario
from tools.faults.site import Ground, Site, Skip, copy_cluster

DATABASE_DISK = 128  # MB; a cluster and its log take 75


@contextmanager
def small_disk(folder: Path, megabytes: float) -> Iterator[Path]:
    """A disk of its own at `folder`. Raises Skip where none can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={int(megabytes * 1024)}k,mode=755"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "demeter-faults", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        raise Skip("no disk can be mounted here: it takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, how: str) -> None:
    """`how` is ro or rw. A file that is open for writing holds it up for a moment."""
    wait_until(
        lambda: (
            subprocess.run(
                ["mount", "-o", f"remount,{how}", folder], check=False, capture_output=True
            ).returncode
            == 0
        )
    )


def fill(folder: Path, leave: int) -> Path:
    """Take all the room but `leave` bytes; returns the file that takes it."""
    ballast = folder / "ballast"
    status = os.statvfs(folder)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, status.f_bavail * status.f_frsize - leave))
    return ballast


@contextmanager
def _database_on_a_small_disk(site: Site, ground: Ground) -> Iterator[Path]:
    cluster = site.data / "postgres"
    aside = cluster.rename(site.folder / "aside")
    with small_disk(cluster, DATABASE_DISK) as disk:
        subprocess.run(["cp", "-a", f"{aside}/.", disk], check=True)
        owner = aside.stat()
        os.chown(disk, owner.st_uid, owner.st_gid)
        disk.chmod(0o700)
        try:
            yield disk
        finally:
            kill(using(site.folder) + postgres_of(site.data))
            wait_until(lambda: not postgres_of(site.data), 20)


@scenario("disk", times=8)
def database_disk_fills_up(ground: Ground, random: Random) -> str:
    """The disk of the database is full in the middle of a run; there is room again before the next."""
    with ground.site() as site, _database_on_a_small_disk(site, ground) as disk:
        process = site.process()
        wait_until(lambda: bool(workers_of(process.pid)) or process.poll() is not None)
        time.sleep(random.uniform(0, ground.seconds * 0.5))
        ballast = fill(disk, random.choice([0, 50_000, 500_000]))
        said = site.finish(process)
        demand_ended(said, 4, ground.code)
        demand_alone(site)
        full = site.done()  # still full: a sentence, and no photo is blamed
        demand_ended(full, 4, ground.code)
        ballast.unlink()
        return demand_whole(ground, site)


@scenario("disk", times=5)
def database_disk_full_for_days(ground: Ground, random: Random) -> str:
    """The disk of the database is full for four runs: no photo is set aside for it."""
    with ground.site() as site, _database_on_a_small_disk(site, ground) as disk:
        ballast = fill(disk, random.randrange(0, 400_000))
        for _ in range(4):
            demand_ended(site.done(), 4, ground.code)
        ballast.unlink()
        return demand_whole(ground, site)


@scenario("disk", times=8)
def store_is_too_small(ground: Ground, random: Random) -> str:
    """The folder of photos is full before the batch is done; there is room before the next run."""
    with ground.site() as site:
        with small_disk(site.data / "photos", random.uniform(0.3, 10)):
            for _ in range(4):  # as many nights as would set a photo aside, were it to blame
                demand_ended(site.done(), 5)
                demand_alone(site)
            copy_cluster(site.data / "photos", site.folder / "aside")
        (site.data / "photos").rmdir()
        (site.folder / "aside").rename(site.data / "photos")
        demand_ended(site.done(), ground.code)
        return demand_same(ground, site)


@scenario("disk", times=3)
def store_is_read_only(ground: Ground, random: Random) -> str:
    """The folder of photos takes no writing: exit 5 and nothing booked, and all of it on the next run."""
    with ground.site() as site, small_disk(site.data / "photos", 64) as disk:
        remount(disk, "ro")
        demand_ended(site.done(), 5)
        demand(site.run("report", "stock", "--format", "json").json == [], "something was booked")
        remount(disk, "rw")
        return demand_whole(ground, site)


@scenario("disk", times=5)
def store_turns_read_only(ground: Ground, random: Random) -> str:
    """The folder of photos turns read-only in the middle of a run, as a disk with errors does."""
    with ground.site() as site, small_disk(site.data / "photos", 64) as disk:
        process = site.process()
        wait_until(lambda: bool(workers_of(process.pid)) or process.poll() is not None)
        time.sleep(random.uniform(0.2, ground.seconds * 0.5))
        remount(disk, "ro")
        demand_ended(site.finish(process), 5, ground.code)
        demand_alone(site)
        remount(disk, "rw")
        return demand_whole(ground, site)
