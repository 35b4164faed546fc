"""A database that goes away in the middle of the work."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from random import Random

import psycopg
from sqlalchemy import make_url

from db.embedded import embedded_server
from tools.faults.processes import kill, postgres_of, postmaster, wait_until, workers_of
from tools.faults.rules import demand, demand_alone, demand_ended, demand_whole, scenario
from tools.faults.site import Ground, Site


def _into_the_work(ground: Ground, random: Random, site: Site):  # type: ignore[no-untyped-def]
    """A run that has begun to count, some way into it."""
    process = site.process()
    wait_until(lambda: bool(workers_of(process.pid)) or process.poll() is not None)
    time.sleep(random.uniform(0, ground.seconds * 0.6))
    return process


@scenario("database", times=15, quick=1)
def power_cut(ground: Ground, random: Random) -> str:
    """SIGKILL of every process of the embedded server; the next command recovers it."""
    with ground.site() as site:
        process = _into_the_work(ground, random, site)
        kill(postgres_of(site.data))
        demand_ended(site.finish(process), 4, ground.code)
        demand_alone(site)
        return demand_whole(ground, site)


@scenario("database", times=5)
def stopped(ground: Ground, random: Random) -> str:
    """The server is shut down in the middle of a run, and started again by the next."""
    with ground.site() as site:
        process = _into_the_work(ground, random, site)
        kill([postmaster(site.data) or 0], signal.SIGINT)
        demand_ended(site.finish(process), 4, ground.code)
        demand_alone(site)
        return demand_whole(ground, site)


@scenario("database", times=5)
def backend_crashed(ground: Ground, random: Random) -> str:
    """One process of the server is killed: it drops everybody, recovers, and takes connections again."""
    with ground.site() as site:
        process = _into_the_work(ground, random, site)
        backends = [pid for pid in postgres_of(site.data) if pid != postmaster(site.data)]
        kill(random.sample(backends, min(1, len(backends))))
        demand_ended(site.finish(process), 4, ground.code)
        demand_alone(site)
        return demand_whole(ground, site)


@scenario("database", times=5)
def restarted_elsewhere(ground: Ground, random: Random) -> str:
    """A server that the settings name is restarted in the middle of a run."""
    with ground.site() as site, ExitStack() as servers:
        url = servers.enter_context(embedded_server(site.data)).url
        named = site.but(DEMETER_DATABASE_URL=url)
        process = _into_the_work(ground, random, named)
        kill([postmaster(site.data) or 0], signal.SIGINT)
        wait_until(lambda: not postgres_of(site.data))
        servers.enter_context(embedded_server(site.data))
        demand_ended(named.finish(process), 4, ground.code)
        demand_ended(named.done(), ground.code)
        servers.close()
        return demand_whole(ground, site)


@scenario("database", times=10)
def connections_reset(ground: Ground, random: Random) -> str:
    """The server ends our session (pg_terminate_backend), as an administrator or a proxy would."""
    with ground.site() as site:
        process = _into_the_work(ground, random, site)
        demand(_terminate(site) or process.poll() is not None, "there was no session to end")
        demand_ended(site.finish(process), 4, ground.code)
        demand_alone(site)
        return demand_whole(ground, site)


def _terminate(site: Site) -> int:
    with embedded_server(site.data) as server:
        place = make_url(server.url)
        with psycopg.connect(
            host=place.query["host"], port=place.query["port"], user=place.username, dbname=place.database
        ) as connection:
            return connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name LIKE 'demeter%' AND pid <> pg_backend_pid()"
            ).fetchone()[0]


@scenario("database", times=3)
def outage_after_outage(ground: Ground, random: Random) -> str:
    """The database goes away in four runs in a row: no photo is blamed for it."""
    with ground.site() as site:
        for _ in range(4):
            process = _into_the_work(ground, Random(0), site)
            kill(postgres_of(site.data))
            demand_ended(site.finish(process), 4, ground.code)
        return demand_whole(ground, site)
