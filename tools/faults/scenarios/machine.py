"""Machines that are bare, small, or whose clock is wrong."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

from db.embedded_host import runnable_binaries, server_account
from tools.faults.processes import kill, wait_until, workers_of
from tools.faults.rules import demand, demand_alone, demand_ended, demand_same, demand_whole, scenario
from tools.faults.site import Ground, Site, Skip

NOBODY = 54321  # a user without a name, a home or a line in /etc/passwd
MB = 1 << 20


def _faketime() -> str:
    for library in Path("/usr/lib").glob("*/faketime/libfaketime.so.1"):
        return str(library)
    raise Skip("needs libfaketime (Debian: apt-get install libfaketime)")


@contextmanager
def _server_with_a_clock(site: Site, clock: Path) -> Iterator[Site]:
    """The site's own server, and its commands, both by the clock in a file: `+0`, then `-3600`."""
    environment = {
        "LD_PRELOAD": _faketime(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    account, cluster = server_account(), site.data / "postgres"
    programs = runnable_binaries(account, site.data)
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={cluster}"]
    server = subprocess.Popen(
        [programs / "postgres", "-D", cluster, "-p", "5432", *options],
        env=environment | {"LC_ALL": "C", "TZ": "UTC"},
        stderr=subprocess.DEVNULL,
        user=account.user,
        group=account.group,
        extra_groups=account.extra_groups,
        start_new_session=True,
    )
    try:
        wait_until(
            lambda: (
                (cluster / "postmaster.pid").exists() and "ready" in (cluster / "postmaster.pid").read_text()
            )
        )
        url = f"postgresql://demeter@/demeter?host={cluster}&port=5432"
        yield site.but(DEMETER_DATABASE_URL=url, **environment)
    finally:
        kill([server.pid], signal.SIGINT)
        server.wait()


@scenario("machine", times=8)
def clock_steps_back(ground: Ground, random: Random) -> str:
    """The clock of commands and server goes back by a second to a day in the middle of a run."""
    with ground.site() as site:
        clock = site.folder / "clock"
        clock.write_text("+0")
        clock.chmod(0o644)
        with _server_with_a_clock(site, clock) as turned:
            process = turned.process()
            wait_until(lambda: bool(workers_of(process.pid)) or process.poll() is not None)
            time.sleep(random.uniform(0, ground.seconds * 0.6))
            clock.write_text(f"-{random.choice([1, 60, 3600, 86400])}")
            demand_ended(site.finish(process), ground.code)
            demand_ended(turned.done(), ground.code)
        return demand_whole(ground, site)


@scenario("machine", times=2)
def home_is_missing(ground: Ground, random: Random) -> str:
    """No HOME, no XDG folder, and a user whom the system does not know, as in a container."""
    if os.geteuid():
        raise Skip("takes root, to become a user without a name")
    with ground.site() as site:
        bare = site.but(HOME="", XDG_CACHE_HOME="", USER="", LOGNAME="")
        demand_ended(bare.done(), ground.code)
        demand_same(ground, site)
        for path in (site.folder, *site.folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        said = bare.run("process", site.photos, user=NOBODY, group=NOBODY, extra_groups=[])
        shutil.rmtree(f"/var/tmp/demeter-{NOBODY}", ignore_errors=True)
        demand_ended(said, ground.code)
        owned = bare.run("report", "stock", "--format", "json", user=NOBODY, group=NOBODY, extra_groups=[])
        demand(owned.json == ground.stock, "the stock is another one")
        return ""


@scenario("machine", times=2)
def locale_is_bare(ground: Ground, random: Random) -> str:
    """LC_ALL C and POSIX, also where Python is told to believe it, and photos with ñ in their names."""
    with ground.site() as site:
        photos = site.folder / "señal ñandú"
        shutil.copytree(ground.photos, photos)
        own = replace(site, photos=photos)
        strict = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        for settings in ({"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"LC_ALL": "C", **strict}):
            demand_ended(own.but(**settings).done(), ground.code)
            table = own.but(**settings).run("process", photos)
            demand_ended(table, ground.code)
        return demand_whole(ground, site)


@scenario("machine", times=2)
def umask_is_strict(ground: Ground, random: Random) -> str:
    """umask 077: the database's user still gets to its files, and so does the next run without it."""
    with ground.site() as site:
        shutil.rmtree(site.data)
        said = site.finish(site.start("process", site.photos, "--format", "json", umask=0o077))
        demand_ended(said, ground.code)
        return demand_whole(ground, site)


@scenario("machine", times=3)
def little_address_space(ground: Ground, random: Random) -> str:
    """RLIMIT_AS between too little to start and nearly enough: a sentence, never a wrong or lost count."""
    with ground.site() as site:
        room = random.choice([600, 900, 1200, 1500, 2000]) * MB
        said = site.finish(
            site.start(
                "process", site.photos, "--workers", "2", "--format", "json",
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (room, room)),
            )
        )  # fmt: skip
        demand(
            said.code in (ground.code, 3, 4, 6, 7),
            f"exit code {said.code} with {room // MB} MB: {said.err[-300:]}",
        )
        demand_alone(site)
        site.run("process", site.photos, "--retry")
        return demand_whole(ground, site) or f"{room // MB} MB: exit {said.code}"


@scenario("machine", times=3)
def memory_group_is_small(ground: Ground, random: Random) -> str:
    """A control group with little memory: the kernel kills workers, or the command; nothing is lost."""
    with ground.site() as site, _memory_group(random.choice([150, 250, 350])) as group:
        process = site.process()
        (group / "cgroup.procs").write_text(str(process.pid))
        said = site.finish(process)
        demand(said.code in (-9, ground.code, 4, 7), f"exit code {said.code}: {said.err[-300:]}")
        demand_alone(site, server_may_stay=True)
        site.run("process", site.photos, "--retry")
        return demand_whole(ground, site) or f"exit {said.code}"


@contextmanager
def _memory_group(megabytes: int) -> Iterator[Path]:
    """A new group of version 2 where memory is handed out there, else of version 1."""
    top = Path("/sys/fs/cgroup")
    second = (
        "memory" in (top / "cgroup.controllers").read_text().split()
        if (top / "cgroup.controllers").exists()
        else False
    )
    group = (top if second else top / "memory") / f"demeter-faults-{os.getpid()}"
    limits = ("memory.max", "memory.swap.max") if second else ("memory.limit_in_bytes",)
    try:
        group.mkdir()
        for name, value in zip(limits, (megabytes * MB, 0), strict=False):
            (group / name).write_text(str(value))
    except OSError as error:
        raise Skip(f"no control group can be made here: {error.strerror}") from error
    try:
        yield group
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), 20)
        group.rmdir()
