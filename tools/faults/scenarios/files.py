"""Photos that change under the reader, come in crowds, or are wanted by several runs at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

import psutil

from tools.faults import nursery
from tools.faults.checks import read_books
from tools.faults.processes import postgres_of, using
from tools.faults.rules import demand, demand_alone, demand_ended, demand_same, demand_whole, scenario
from tools.faults.site import Ground, Site

BUSY = 75
CROWD = 5000
SMALL = (12, 10)  # pots


def _at_once(ground: Ground, random: Random, number: int, *, first: bool = False) -> str:
    with ground.site() as site:
        if first:
            shutil.rmtree(site.data)
        processes = []
        for _ in range(number):
            processes.append(site.process())
            time.sleep(random.uniform(0, 0.5))
        ended = [site.finish(process) for process in processes]
        for said in ended:
            demand_ended(said, ground.code, BUSY)
        demand(any(said.code == ground.code for said in ended), "none of them counted")
        demand_same(ground, site)
        return demand_whole(ground, site)


@scenario("crowd", times=10)
def two_runs_at_once(ground: Ground, random: Random) -> str:
    """Two runs on one folder: one counts, the other says that it is busy (75)."""
    return _at_once(ground, random, 2)


@scenario("crowd", times=5)
def four_runs_at_once(ground: Ground, random: Random) -> str:
    """Four runs on one folder."""
    return _at_once(ground, random, 4)


@scenario("crowd", times=3)
def four_first_runs_at_once(ground: Ground, random: Random) -> str:
    """Four first commands ever, at one moment: one database, one demo nursery, one count."""
    return _at_once(ground, random, 4, first=True)


@scenario("file", times=3, quick=1)
def replaced_while_read(ground: Ground, random: Random) -> str:
    """Another photo takes a file's place after it was hashed: it fails alone, and the next run counts it."""
    with ground.site() as site:
        photos, victim, other = _with_a_victim(ground, site, random)
        meddled = Site(site.folder, photos, site.settings).but(FAULTS_SWAP=f"{victim},{other}")
        said = meddled.done()
        demand_ended(said, ground.code)
        demand(not other.exists(), "the photo was not replaced")
        status = {Path(row["photo"]).name: row["status"] for row in said.json["photos"]}
        demand(status[victim.name] == "failed", f"the replaced photo is {status[victim.name]}")
        demand("again" in said.err, f"it is not told: {said.err!r}")
        again = Site(site.folder, photos, site.settings).done()
        demand_ended(again, ground.code)
        with site.server() as url:
            books = read_books(url, site.store)
        demand(not books.lost and not books.unsound, f"{books.lost[:2]} {books.unsound[:2]}")
        counted = [row for row in books.sessions if row[0] == victim.name and row[1] == "completed"]
        demand(len(counted) == 1, f"the photo in its place has {len(counted)} counts")
        return ""


def _with_a_victim(ground: Ground, site: Site, random: Random) -> tuple[Path, Path, Path]:
    photos = site.folder / "photos"
    shutil.copytree(ground.photos, photos)
    nursery.make_photos(site.folder / "others", 4, SMALL)
    victim = random.choice(sorted(photos.glob("N*.jpg"))[:-3])
    return photos, victim, site.folder / "others" / "IMG_0000.jpg"


@scenario("file", times=3)
def gone_while_read(ground: Ground, random: Random) -> str:
    """Photos are deleted during the run: those fail alone; put back, they are counted."""
    with ground.site() as site:
        photos = site.folder / "photos"
        shutil.copytree(ground.photos, photos)
        own = Site(site.folder, photos, site.settings)
        process = own.process()
        time.sleep(random.uniform(0.5, ground.seconds * 0.7))
        for path in random.sample(sorted(photos.glob("N*.jpg"))[10:-3], 10):
            path.unlink()
        demand_ended(site.finish(process), ground.code)
        demand_alone(site)
        return demand_whole(ground, site)


@scenario("crowd", times=1)
def five_thousand_photos(ground: Ground, random: Random) -> str:
    """A folder of 5,000 small photos: memory stays flat, and so does the work for one."""
    with ground.site() as site:
        photos = site.folder / "many"
        nursery.make_photos(photos, CROWD, SMALL)
        own = Site(site.folder, photos, site.settings)
        process = own.process()
        samples = _watched(site, process)
        demand_ended(site.finish(process), ground.code)
        with site.server() as url:
            books = read_books(url, site.store)
        finished = [
            row for row in books.sessions if row[1] in ("completed", "warning", "needs_location", "failed")
        ]
        demand(
            len(finished) == CROWD - 1 and not books.unsound and not books.lost,
            f"{len(finished)} photos are booked",
        )
        early, late = _memory(samples, 1000, 1500), _memory(samples, 4000, 5000)
        demand(late < early + 60, f"memory of the command grew from {early:.0f} to {late:.0f} MB")
        pace = _effort(samples, 3500, 4500) / _effort(samples, 1000, 2000)
        demand(pace < 2, f"the fifth thousand took {pace:.1f} times as much work as the second")
        return f"{early:.0f} MB at 1,000, {late:.0f} MB at 5,000; work ×{pace:.2f}"


@dataclass(frozen=True)
class Sample:
    """So far: photos stored, MB of the command, seconds of processor that all its processes took."""

    photos: int
    memory: float
    effort: float


def _watched(site: Site, process: subprocess.Popen[str]) -> list[Sample]:
    originals, samples = site.data / "photos" / "original", []
    while process.poll() is None:
        time.sleep(1)
        with suppress(psutil.NoSuchProcess):
            memory = psutil.Process(process.pid).memory_info().rss / 1e6
            effort = sum(map(_effort_of, {*using(site.folder), *postgres_of(site.data)}))
            photos = sum(len(names) for _, _, names in os.walk(originals))
            samples.append(Sample(photos, memory, effort))
    return samples


def _effort_of(pid: int) -> float:
    with suppress(psutil.NoSuchProcess):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return 0.0


def _memory(samples: list[Sample], first: int, last: int) -> float:
    return median(sample.memory for sample in samples if first <= sample.photos <= last)


def _effort(samples: list[Sample], first: int, last: int) -> float:
    efforts = [sample.effort for sample in samples if first <= sample.photos <= last]
    return efforts[-1] - efforts[0]
