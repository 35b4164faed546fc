"""Commands that are told to stop: by a person, by cron, systemd or docker, by a connection that is lost."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from random import Random

from tools.faults.processes import kill, postgres_of, postmaster, using, wait_until
from tools.faults.rules import demand, demand_alone, demand_ended, demand_whole, scenario
from tools.faults.site import Ground


def _stopped(
    ground: Ground, random: Random, number: signal.Signals, *, group: bool = False, times: int = 1
) -> str:
    """Signals at random moments once the run is on its way; it ends with 130, leaves nothing and resumes."""
    with ground.site() as site:
        process = site.process()
        wait_until(lambda: postmaster(site.data) is not None or process.poll() is not None)
        time.sleep(random.uniform(0, ground.seconds * 0.8))
        for _ in range(times):
            with suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(process.pid, number)
            time.sleep(random.uniform(0, 0.4) if times > 1 else 0)
        said = site.finish(process)
        demand_ended(said, 130, ground.code)  # it may have been done already
        demand(said.code != 130 or "again" in said.err, f"it does not say what to do: {said.err!r}")
        demand_alone(site)
        return demand_whole(ground, site)


@scenario("signal", times=10)
def terminated(ground: Ground, random: Random) -> str:
    """SIGTERM, as cron, systemd and docker stop a program."""
    return _stopped(ground, random, signal.SIGTERM)


@scenario("signal", times=10)
def interrupted(ground: Ground, random: Random) -> str:
    """Ctrl-C: SIGINT to the command and its workers, as a terminal does it."""
    return _stopped(ground, random, signal.SIGINT, group=True)


@scenario("signal", times=10)
def hung_up(ground: Ground, random: Random) -> str:
    """SIGHUP: the connection to the server is lost."""
    return _stopped(ground, random, signal.SIGHUP)


@scenario("signal", times=10)
def terminated_thrice(ground: Ground, random: Random) -> str:
    """Three SIGTERM within a second: an impatient service manager."""
    return _stopped(ground, random, signal.SIGTERM, times=3)


@scenario("signal", times=10)
def interrupted_thrice(ground: Ground, random: Random) -> str:
    """Ctrl-C three times within a second: an impatient person."""
    return _stopped(ground, random, signal.SIGINT, group=True, times=3)


@scenario("signal", times=10)
def stopped_by_systemd(ground: Ground, random: Random) -> str:
    """SIGTERM to the command, its workers and the database server at one moment (KillMode=control-group)."""
    with ground.site() as site:
        process = site.process()
        wait_until(lambda: postmaster(site.data) is not None or process.poll() is not None)
        time.sleep(random.uniform(0, ground.seconds * 0.8))
        kill(postgres_of(site.data) + using(site.folder), signal.SIGTERM)
        demand_ended(site.finish(process), 130, ground.code)
        demand_alone(site)
        return demand_whole(ground, site)


@scenario("signal", times=10)
def while_it_starts(ground: Ground, random: Random) -> str:
    """A signal in the first second. Before the program has begun, the signal itself may end it."""
    number = random.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    with ground.site() as site:
        process = site.process()
        time.sleep(random.uniform(0, 1))
        process.send_signal(number)
        said = site.finish(process)
        demand(said.code in (130, -number), f"{number.name}: exit code {said.code}: {said.err[-300:]}")
        demand_alone(site)
        return demand_whole(ground, site)


@scenario("signal", times=2)
def hung_up_under_nohup(ground: Ground, random: Random) -> str:
    """SIGHUP to a command started with nohup does nothing."""
    with ground.site() as site:
        process = site.started_by("nohup").process()
        wait_until(lambda: postmaster(site.data) is not None)
        time.sleep(random.uniform(0, 1))
        process.send_signal(signal.SIGHUP)
        demand_ended(site.finish(process), ground.code)
        return demand_whole(ground, site)
