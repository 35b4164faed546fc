"""demeter watch, in a real process, with files that arrive as they do from phones and cameras."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Site
from tests.acceptance.test_interrupt import children

QUICK = ("--interval", "0.1", "--stable", "0.3", "--workers", "1", "--format", "json")


class Watching:
    """A watch that runs, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.rows: list[dict[str, Any]] = []
        self.told = ""
        self._readers = [threading.Thread(target=one, daemon=True) for one in (self._read, self._hear)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.rows.append(json.loads(line))

    def _hear(self) -> None:
        for line in self.process.stderr or ():
            self.told += line

    def until(self, happened: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not happened():
            assert self.process.poll() is None, self.told
            assert time.monotonic() < deadline, (self.told, self.rows)
            time.sleep(0.05)

    def row(self, name: str) -> dict[str, Any]:
        found = [row for row in self.rows if Path(row["photo"]).name == name]
        return found[-1] if found else {}

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.close()
        return code

    def close(self) -> None:
        for reader, pipe in zip(self._readers, (self.process.stdout, self.process.stderr), strict=True):
            reader.join()
            if pipe is not None:
                pipe.close()


@contextmanager
def watching(site: Site, folder: Path) -> Iterator[Watching]:
    process = site.start("watch", folder, *QUICK)
    watch = Watching(process)
    try:
        watch.until(lambda: "Watching" in watch.told)
        yield watch
    finally:
        process.kill()
        process.wait()
        watch.close()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see processes")
def test_photos_are_counted_as_they_arrive_and_bad_ones_end_nothing(site: Site, crops: list[Path]) -> None:
    with watching(site, site.folder) as watch:
        shutil.copy(crops[0], site.folder / "N01-NORTE-C01.jpg")
        (site.folder / "broken.jpg").write_bytes(crops[3].read_bytes()[:2000])
        damaged = bytearray(crops[4].read_bytes())
        damaged[len(damaged) // 2 :] = bytes(len(damaged) // 2 - 2) + b"\xff\xd9"
        (site.folder / "damaged.jpg").write_bytes(damaged)
        watch.until(lambda: watch.row("N01-NORTE-C01.jpg") and watch.row("damaged.jpg"))
        workers = children(watch.process.pid)
        watch.until(lambda: "broken.jpg is not whole yet" in watch.told)

        content = crops[1].read_bytes()
        with (site.folder / "N01-SUR-C02.jpg").open("wb", buffering=0) as slow:
            for start in range(0, len(content), len(content) // 4 + 1):
                slow.write(content[start : start + len(content) // 4 + 1])
                time.sleep(0.2)
        (site.folder / "broken.jpg").write_bytes(crops[3].read_bytes())  # now it has arrived
        watch.until(lambda: watch.row("N01-SUR-C02.jpg") and watch.row("broken.jpg"))
        assert children(watch.process.pid) == workers  # with their models loaded
        assert watch.stop(signal.SIGTERM) == 0

    assert watch.row("N01-NORTE-C01.jpg")["booked"] > 0
    assert watch.row("damaged.jpg")["status"] == "failed"
    assert watch.row("N01-SUR-C02.jpg")["booked"] > 0
    assert watch.row("broken.jpg")["status"] == "needs_location"
    assert len(watch.rows) == 4
    assert watch.told.count("broken.jpg is not whole yet") == 1
    assert "Stopped" in watch.told
    assert children(watch.process.pid) == []


def test_a_share_that_goes_away_and_comes_back(site: Site, crops: list[Path]) -> None:
    share = site.folder / "share"
    share.mkdir()
    beside = site.folder / "unmounted"
    with watching(site, share) as watch:
        share.rename(beside)
        watch.until(lambda: "is not there" in watch.told)
        shutil.copy(crops[0], beside / "N01-NORTE-C01.jpg")
        time.sleep(1)
        beside.rename(share)
        watch.until(lambda: watch.row("N01-NORTE-C01.jpg"))
        assert watch.stop(signal.SIGINT) == 0
    assert watch.told.count("is not there") == 1
    assert "It works again" in watch.told


def test_once_counts_what_is_there_and_says_what_is_not_whole(site: Site, crops: list[Path]) -> None:
    shutil.copy(crops[0], site.folder / "N01-NORTE-C01.jpg")
    (site.folder / "late.jpg").write_bytes(crops[1].read_bytes()[:5000])
    once = site.run("watch", ".", "--once", *QUICK)
    assert once.code == 0, once.err
    assert [Path(row["photo"]).name for row in map(json.loads, once.out.splitlines())] == [
        "N01-NORTE-C01.jpg"
    ]
    assert "late.jpg is still arriving, or cut off" in once.err

    nowhere = site.run("watch", "nowhere", "--once")
    assert nowhere.code == 2
    assert "There is no folder nowhere" in nowhere.err
