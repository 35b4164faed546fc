"""A bucket (moto's server) that fails, behind a proxy that misbehaves: tests/buckets.py has both."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random

from pipeline.storage import open_store
from tests.buckets import BUCKET, KEYS, Faults, fault_proxy, options, s3_server
from tools.faults.processes import wait_until, workers_of
from tools.faults.rules import demand, demand_alone, demand_ended, demand_whole, scenario
from tools.faults.site import Ground, Site

STORE_FAILED = 5
CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEYS["access_key"], "AWS_SECRET_ACCESS_KEY": KEYS["secret_key"]}


@contextmanager
def _with_a_bucket(ground: Ground) -> Iterator[tuple[Site, Faults]]:
    """A nursery that keeps its photos in a bucket, and what is to go wrong on the way there."""
    os.environ.update(CREDENTIALS)  # of moto, which takes any
    with ground.site() as site, s3_server() as endpoint, fault_proxy(endpoint) as (url, faults):
        place = f"s3://{BUCKET}/photos"
        settings = {
            "DEMETER_STORAGE_URL": place,
            "DEMETER_S3_ENDPOINT": url,
            "DEMETER_S3_ACCESS_KEY": KEYS["access_key"],
            "DEMETER_S3_SECRET_KEY": KEYS["secret_key"],
            "DEMETER_S3_TIMEOUT": "2",
            "DEMETER_S3_ATTEMPTS": "5",
        }
        own = open_store(place, site.folder, options(endpoint))
        yield replace(site.but(**settings), bucket=own), faults


def _forget_the_circuit(site: Site) -> None:
    """Which is open for a minute, for all processes of the machine."""
    shutil.rmtree(site.data / "state", ignore_errors=True)


@scenario("bucket", times=2)
def a_bucket_that_works(ground: Ground, random: Random) -> str:
    """With photos in a bucket the books are those of a folder."""
    with _with_a_bucket(ground) as (site, _):
        return demand_whole(ground, site)


def _now_and_then(ground: Ground, random: Random, fault: int | str, method: str | None = None) -> str:
    """Single faults among many good answers: retried, and the run ends as if there had been none."""
    with _with_a_bucket(ground) as (site, faults):
        faults.method = method
        faults.next = [fault if random.random() < 0.1 else None for _ in range(400)]
        demand_ended(site.done(), ground.code)
        demand(faults.seen > 100, "the bucket was hardly asked")
        faults.next = []
        return demand_whole(ground, site)


@scenario("bucket", times=2)
def answers_500(ground: Ground, random: Random) -> str:
    """One request in ten fails with 500."""
    return _now_and_then(ground, random, 500)


@scenario("bucket", times=2)
def answers_503(ground: Ground, random: Random) -> str:
    """One request in ten fails with 503 SlowDown."""
    return _now_and_then(ground, random, 503)


@scenario("bucket", times=2)
def drops_connections(ground: Ground, random: Random) -> str:
    """One request in ten gets no answer."""
    return _now_and_then(ground, random, "drop")


@scenario("bucket", times=1)
def damages_what_is_sent(ground: Ground, random: Random) -> str:
    """Bytes change on the way up: the checksum tells, and no row points to what is not the photo."""
    with _with_a_bucket(ground) as (site, faults):
        faults.method, faults.next = "PUT", ["flip" if random.random() < 0.05 else None for _ in range(400)]
        for _ in range(40):
            said = site.done()
            demand_ended(said, ground.code, STORE_FAILED)
            _forget_the_circuit(site)
            if said.code == ground.code:
                break
        faults.next = []
        return demand_whole(ground, site)


@scenario("bucket", times=1)
def cuts_and_damages_answers(ground: Ground, random: Random) -> str:
    """Half a body, or other bytes, on the way down: what is read is checked."""
    with _with_a_bucket(ground) as (site, faults):
        demand_ended(site.done(), ground.code)
        for fault in ("cut", "flip"):
            faults.method, faults.always = "GET", fault
            said = site.run("estimate", "--format", "json")
            demand(said.code in (0, STORE_FAILED, 8), f"{fault}: exit code {said.code}: {said.err[-300:]}")
            demand("Traceback" not in said.err, f"{fault}: a traceback: {said.err[-300:]}")
            _forget_the_circuit(site)
        faults.always = None
        return demand_whole(ground, site)


@scenario("bucket", times=2)
def hangs(ground: Ground, random: Random) -> str:
    """The bucket never answers: 5, soon, since nobody waits for it again and again."""
    with _with_a_bucket(ground) as (site, faults):
        faults.always = "hang"
        started = time.monotonic()
        demand_ended(site.done(), STORE_FAILED)
        demand_ended(site.done(), STORE_FAILED)
        demand(time.monotonic() - started < 180, "it took more than three minutes to give up twice")
        demand_alone(site)
        faults.always = None
        _forget_the_circuit(site)
        return demand_whole(ground, site)


@scenario("bucket", times=3)
def away_for_a_while(ground: Ground, random: Random) -> str:
    """The bucket is away in the middle of a run, for a second or longer: a pause, or 5 and the rest later."""
    with _with_a_bucket(ground) as (site, faults):
        process = site.process()
        wait_until(lambda: bool(workers_of(process.pid)) or process.poll() is not None)
        time.sleep(random.uniform(0, ground.seconds * 0.5))
        faults.always = "drop"
        back = threading.Timer(random.choice([0.2, 1.0, 20.0]), lambda: setattr(faults, "always", None))
        back.start()
        demand_ended(site.finish(process), ground.code, STORE_FAILED)
        back.join()
        _forget_the_circuit(site)
        return demand_whole(ground, site)


@scenario("bucket", times=2)
def refuses_writing(ground: Ground, random: Random) -> str:
    """403 for every write: 5 and nothing booked, for as many nights as it lasts; no photo is blamed."""
    with _with_a_bucket(ground) as (site, faults):
        faults.method, faults.always = "PUT", 403
        for _ in range(4):
            demand_ended(site.done(), STORE_FAILED)
        demand(site.run("report", "stock", "--format", "json").json == [], "something was booked")
        faults.always = None
        return demand_whole(ground, site)


@scenario("bucket", times=5)
def killed_between_bucket_and_row(ground: Ground, random: Random) -> str:
    """The command kills itself at a random step while it stores in a bucket."""
    with _with_a_bucket(ground) as (site, _):
        dying = site.but(FAULTS_DIE_AT=str(random.randint(ground.steps // 3, ground.steps)))
        dying.done()
        demand_alone(site, server_may_stay=True)
        return demand_whole(ground, site)
