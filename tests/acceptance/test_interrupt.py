"""A run that is stopped or loses a worker keeps what is finished; the next run does the rest."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance.conftest import Site
from tests.acceptance.test_process import put


def children(pid: int) -> list[int]:
    """Worker processes of a running command; its other children are Python's own helpers."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and b"spawn_main" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (OSError, IndexError):
            continue  # it ended while we looked
    return found


def wait_for_workers(process: subprocess.Popen[str], number: int = 2) -> list[int]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        workers = children(process.pid)
        if len(workers) >= number:
            return workers
        time.sleep(0.05)
    raise AssertionError("no workers appeared")


def wait_for_originals(site: Site, number: int) -> None:
    """Until so many photos have been counted and stored."""
    folder = Path(site.settings["DEMETER_DATA_DIR"]) / "photos" / "original"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(folder.rglob("*.jpg"))) < number:
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_leaves_no_worker_behind_and_the_next_run_finishes_the_rest(
    site: Site, crops: list[Path], stop: signal.Signals
) -> None:
    for number, crop in enumerate(crops):
        put(site, crop, f"IMG_{number}.jpg")
    process = site.start("process", ".", "--workers", "2")
    workers = wait_for_workers(process)
    wait_for_originals(site, 2)  # the parent stores one after another, so the first is booked
    process.send_signal(stop)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert out == ""
    assert not any(is_alive(worker) for worker in workers)

    rest = site.run("process", ".", "-f", "json").json["photos"]
    assert [row["status"] for row in rest] == ["needs_location"] * len(crops)
    assert any(row["known"] for row in rest)


def test_a_killed_worker_costs_nothing_but_time(site: Site, crops: list[Path]) -> None:
    for number, crop in enumerate(crops):
        put(site, crop, f"IMG_{number}.jpg")
    process = site.start("process", ".", "--workers", "2", "-f", "json")
    workers = wait_for_workers(process)
    wait_for_originals(site, 1)
    os.kill(workers[0], signal.SIGKILL)
    out, err = process.communicate(timeout=240)

    assert process.returncode == 0, err
    assert "a worker died" in err
    assert out.count("needs_location") == len(crops)


def test_workers_of_a_killed_run_end_and_the_next_run_finishes_the_rest(
    site: Site, crops: list[Path]
) -> None:
    for number, crop in enumerate(crops):
        put(site, crop, f"IMG_{number}.jpg")
    process = site.start("process", ".", "--workers", "2")
    workers = wait_for_workers(process)
    wait_for_originals(site, 2)  # the parent stores one after another, so the first is booked
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any(is_alive(worker) for worker in workers):
        time.sleep(0.1)
    assert not any(is_alive(worker) for worker in workers)

    rest = site.run("process", ".", "-f", "json")
    assert rest.code == 0, rest.err
    assert [row["status"] for row in rest.json["photos"]] == ["needs_location"] * len(crops)
