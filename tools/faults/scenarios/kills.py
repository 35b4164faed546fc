"""Processes that are killed. The same command again must do the rest, and no more."""

from __future__ import annotations

import signal
import time
from random import Random

from tools.faults.processes import every, kill, postgres_of, using, wait_until, workers_of
from tools.faults.rules import demand, demand_alone, demand_ended, demand_whole, scenario
from tools.faults.site import Ground, Site


@scenario("kill", times=50, quick=1)
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
        demand_ended(site, ground.code, said=site.finish(process))
        return demand_whole(ground, site)


@scenario("kill", times=10)
def both_workers_at_once(ground: Ground, random: Random) -> str:
    """kill -9 of both workers at one moment."""
    with ground.site() as site:
        process = site.process()
        wait_until(lambda: len(workers_of(process.pid)) == 2 or process.poll() is not None)
        time.sleep(random.uniform(0, ground.seconds / 2))
        kill(workers_of(process.pid))
        demand_ended(site, ground.code, said=site.finish(process))
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
def again_and_again(ground: Ground, random: Random) -> str:
    """Five kills in a row. Photos that were in work at three of them are set aside; --retry counts them."""
    with ground.site() as site:
        for _ in range(5):
            process = site.process()
            time.sleep(random.uniform(0.5, ground.seconds))
            kill([process.pid])
            site.finish(process)
        demand_ended(site, ground.code, said=site.done())
        return _with_retry(ground, site)


def _with_retry(ground: Ground, site: Site) -> str:
    retried = site.run("process", site.photos, "--workers", "2", "--retry")
    demand_ended(site, ground.code, said=retried)
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
        demand_ended(site, ground.code, 7, said=site.finish(process))
        demand_alone(site)
        demand_ended(site, ground.code, said=site.done())
        return _with_retry(ground, site)


@scenario("kill", times=3, quick=1)
def poison_photo(ground: Ground, random: Random) -> str:
    """A photo that kills its worker each time is set aside and told of (7); all others are booked."""
    with ground.site() as site:
        victim = random.choice(sorted(ground.photos.glob("N*.jpg"))[:-3])
        said = site.but(FAULTS_POISON=victim.name).done()
        demand_ended(site, 7, said=said)
        rows = {row["photo"].rpartition("/")[2]: row["status"] for row in said.json["photos"]}
        failed = sorted(name for name, status in rows.items() if status == "failed")
        broken = {name for name, status, *_ in ground.books.sessions if status == "failed"}
        demand(set(failed) == {victim.name, *broken}, f"failed: {failed}")
        for _ in range(3):  # it does not stop the nights that follow
            demand_ended(site, 7, ground.code, said=site.but(FAULTS_POISON=victim.name).done())
        return _with_retry(ground, site)
