"""Processes that are killed. The same command again must do the rest, and no more."""

from __future__ import annotations

import shutil
import signal
import time
from random import Random

from tools.faults.processes import every, kill, postgres_of, using, wait_until, workers_of
from tools.faults.rules import demand, demand_alone, demand_ended, demand_whole, scenario
from tools.faults.site import Finished, Ground, Site


@scenario("kill", times=50)
def parent_at_a_moment(ground: Ground, random: Random) -> str:
    """kill -9 of the command at a random moment."""
    with ground.site() as site:
        process = site.process()
        time.sleep(random.uniform(0.1, ground.seconds))
        kill([process.pid])
        site.finish(process)
        demand_alone(site, server_may_stay=True)
        return demand_whole(ground, site)


@scenario("kill", times=50, quick=1)
def parent_at_a_step(ground: Ground, random: Random) -> str:
    """The command kills itself at a random call or return in its own code: the moments no clock would hit."""
    with ground.site() as site:
        dying = site.but(FAULTS_DIE_AT=str(random.randint(1, ground.steps)))
        said = dying.done()
        demand(said.code in (-signal.SIGKILL, ground.code), f"exit code {said.code}: {said.err[-300:]}")
        demand_alone(site, server_may_stay=True)
        return demand_whole(ground, site)


@scenario("kill", times=50, quick=1)
def worker_at_a_moment(ground: Ground, random: Random) -> str:
    """kill -9 of one worker, the first or the second, at a random moment: the run itself does the rest."""
    with ground.site() as site:
        process = site.process()
        wait_until(lambda: len(workers_of(process.pid)) == 2 or process.poll() is not None)
        workers = workers_of(process.pid)
        time.sleep(random.uniform(0, ground.seconds / 2))
        kill(random.sample(workers, min(1, len(workers))))
        demand_ended(site.finish(process), ground.code)
        return demand_whole(ground, site)


@scenario("kill", times=10)
def both_workers_at_once(ground: Ground, random: Random) -> str:
    """kill -9 of both workers at one moment."""
    with ground.site() as site:
        process = site.process()
        wait_until(lambda: len(workers_of(process.pid)) == 2 or process.poll() is not None)
        time.sleep(random.uniform(0, ground.seconds / 2))
        kill(workers_of(process.pid))
        demand_ended(site.finish(process), ground.code)
        return demand_whole(ground, site)


@scenario("kill", times=10)
def everything_at_a_moment(ground: Ground, random: Random) -> str:
    """Power cut: SIGKILL of the command, its workers and the database server at one moment."""
    with ground.site() as site:
        process = site.process()
        time.sleep(random.uniform(0.3, ground.seconds))
        kill(postgres_of(site.data) + using(site.folder))
        site.finish(process)
        demand_alone(site)
        return demand_whole(ground, site)


@scenario("kill", times=10)
def first_start_at_a_moment(ground: Ground, random: Random) -> str:
    """kill -9 of the very first command, which makes the database, its tables and the demo nursery."""
    with ground.site() as site:
        shutil.rmtree(site.data)
        process = site.process()
        time.sleep(random.uniform(0.3, ground.seconds))
        kill([process.pid])
        site.finish(process)
        return demand_whole(ground, site)


@scenario("kill", times=10)
def again_and_again(ground: Ground, random: Random) -> str:
    """Five kills in a row. Photos that were in work at three of them are set aside; --retry counts them."""
    with ground.site() as site:
        for _ in range(5):
            process = site.process()
            time.sleep(random.uniform(0.5, ground.seconds))
            kill([process.pid])
            site.finish(process)
        demand_ended(site.done(), ground.code)
        return _with_retry(ground, site)


def _with_retry(ground: Ground, site: Site) -> str:
    retried = site.run("process", site.photos, "--workers", "2", "--retry")
    demand_ended(retried, ground.code)
    return demand_whole(ground, site)


@scenario("kill", times=3)
def workers_whenever_they_appear(ground: Ground, random: Random) -> str:
    """Workers are killed as soon as they start, for a while: the run gives up with 7, or goes on."""
    with ground.site() as site:
        process = site.process()
        for _ in every(random.uniform(4, 8)):
            kill(workers_of(process.pid))
            if process.poll() is not None:
                break
        demand_ended(site.finish(process), ground.code, 7)
        demand_alone(site)
        demand_ended(site.done(), ground.code)
        return _with_retry(ground, site)


@scenario("kill", times=3)
def poison_photo(ground: Ground, random: Random) -> str:
    """A photo that kills its worker each time is set aside and told of (7); all others are booked."""
    with ground.site() as site:
        victim = random.choice(sorted(ground.photos.glob("N*.jpg"))[:-3])
        said = site.but(FAULTS_POISON=victim.name).done()
        demand_ended(said, 7)
        demand_failed(ground, said, {victim.name})
        for _ in range(3):  # it does not stop the nights that follow
            demand_ended(site.but(FAULTS_POISON=victim.name).done(), 7, ground.code)
        return _with_retry(ground, site)


@scenario("kill", times=2)
def poison_photos_in_a_row(ground: Ground, random: Random) -> str:
    """Five neighbours that kill the one worker each time: after some nights all others are booked."""
    with ground.site() as site:
        names = sorted(path.name for path in ground.photos.glob("N*.jpg"))[:-3]
        first = random.randrange(len(names) - 5)
        poisoned = names[first : first + 5]
        night = site.but(FAULTS_POISON=",".join(poisoned), DEMETER_WORKERS="1")
        for _ in range(8):
            said = night.run("process", site.photos, "--format", "json")
            demand_ended(said, 7, ground.code)
            if said.out:
                break
        demand(said.out, "no night came to an end")
        demand_failed(ground, said, set(poisoned))
        return _with_retry(ground, site)


@scenario("kill", times=1)
def hanging_photo(ground: Ground, random: Random) -> str:
    """A photo on which a worker never comes back is set aside (7) once its time is over."""
    with ground.site() as site:
        victim = random.choice(sorted(ground.photos.glob("N*.jpg"))[:-3])
        said = site.but(FAULTS_HANG=victim.name, DEMETER_PHOTO_TIMEOUT="20").done()
        demand_ended(said, 7)
        demand_failed(ground, said, {victim.name})
        return _with_retry(ground, site)


def demand_failed(ground: Ground, said: Finished, names: set[str]) -> None:
    """These photos failed, and those that fail in a clean run; no others."""
    rows = {row["photo"].rpartition("/")[2]: row["status"] for row in said.json["photos"]}
    failed = {name for name, status in rows.items() if status == "failed"}
    broken = {name for name, status, *_ in ground.books.sessions if status == "failed"}
    demand(failed == names | broken, f"failed: {sorted(failed)}")
