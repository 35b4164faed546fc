"""Real worker processes with tiny real models. A photo that keeps its worker busy is a named pipe that nobody
writes to: opening it waits until the worker is killed."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.config import ModelChoice, PipelineConfig
from pipeline.errors import ModelError, WorkerCrash
from pipeline.run import IN_FLIGHT_PER_WORKER, run
from pipeline.types import Photo, PhotoFailure, PhotoOutcome, PhotoResult
from tests.pipeline.networks import tiny_config
from tests.pipeline.scenes import pots


@pytest.fixture
def config(tmp_path: Path) -> PipelineConfig:
    return tiny_config(tmp_path, workers=1)


@pytest.fixture(autouse=True)
def no_process_stays() -> Iterator[None]:
    """Whatever a test does to workers, none outlives it."""
    yield
    assert multiprocessing.active_children() == []


def save_photo(folder: Path, plants: int, name: str | None = None) -> Photo:
    path = folder / (name or f"{plants:03}.png")
    cv2.imwrite(str(path), pots(12, 10, plants))
    return as_photo(path)


def as_photo(path: Path) -> Photo:
    content = path.read_bytes()
    return Photo(path, hashlib.sha256(content).hexdigest(), len(content))


def save_trap(folder: Path, name: str = "trap.png") -> Photo:
    """A photo that no worker gets to the end of."""
    path = folder / name
    os.mkfifo(path)
    return Photo(path, hashlib.sha256(name.encode()).hexdigest(), 1000)


def kill_worker(number: int = 0) -> None:
    os.kill(sorted(child.pid or 10**9 for child in multiprocessing.active_children())[number], signal.SIGKILL)


def workers_of(parent: int) -> list[int]:
    """Process ids of the live workers of a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, above = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            started_by_spawn = b"spawn_main" in (folder / "cmdline").read_bytes()
            if int(above) == parent and state != "Z" and started_by_spawn:
                found.append(int(folder.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.02)
    return False


def summary(outcomes: list[PhotoOutcome]) -> list[tuple[str, int | str, int | bool]]:
    """Name with seen and hidden plants, or with reason and crash; in the order of the names."""
    rows: list[tuple[str, int | str, int | bool]] = []
    for outcome in outcomes:
        name = outcome.photo.path.name
        match outcome:
            case PhotoResult():
                rows.append((name, outcome.seen, outcome.hidden))
            case PhotoFailure():
                rows.append((name, outcome.reason, outcome.crashed))
    return sorted(rows)


def test_two_workers_and_none_give_the_same_outcomes(tmp_path: Path, config: PipelineConfig) -> None:
    photos = [save_photo(tmp_path, plants) for plants in (0, 1, 7, 60, 99, 120)]
    broken = tmp_path / "broken.jpg"
    broken.write_text("no photo at all")
    photos.insert(2, as_photo(broken))
    inline = list(run(photos, replace(config, workers=0)))
    spread = list(run(photos, replace(config, workers=2)))
    assert [outcome.photo for outcome in inline] == photos
    assert summary(spread) == summary(inline)
    assert [row[1] for row in summary(inline)[:-1]] == [0, 1, 7, 60, 99, 120]
    by_name = {outcome.photo.path: outcome for outcome in spread}
    for one in inline:
        other = by_name[one.photo.path]
        if isinstance(one, PhotoResult):
            assert isinstance(other, PhotoResult)
            assert np.array_equal(one.detections.boxes, other.detections.boxes)
            assert np.array_equal(one.owner, other.owner)
            assert (one.low, one.high, one.warnings, one.info) == (
                other.low, other.high, other.warnings, other.info
            )  # fmt: skip
        else:
            assert one == other


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_photos_are_drawn_no_further_ahead_than_two_per_worker(
    tmp_path: Path, config: PipelineConfig, workers: int
) -> None:
    photo = save_photo(tmp_path, 5)
    drawn = 0

    def endless() -> Iterator[Photo]:
        nonlocal drawn
        while True:
            drawn += 1
            yield photo

    outcomes = run(endless(), replace(config, workers=workers))
    assert drawn == 0
    for finished in range(1, 8):
        next(outcomes)
        assert drawn <= finished + IN_FLIGHT_PER_WORKER * workers
    outcomes.close()  # type: ignore[attr-defined]


@pytest.mark.timeout(60)
def test_the_first_photos_are_dealt_out_evenly(tmp_path: Path, config: PipelineConfig) -> None:
    """Were both photos handed to one worker, the second would wait for ever."""
    photos = [save_trap(tmp_path), save_photo(tmp_path, 5)]
    outcomes = run(photos, replace(config, workers=2))
    assert next(outcomes).photo == photos[1]
    outcomes.close()  # type: ignore[attr-defined]


def test_no_photos_give_no_outcomes(config: PipelineConfig) -> None:
    assert list(run([], config)) == []
    assert list(run([], replace(config, workers=0))) == []


def test_a_worker_killed_while_counting_costs_no_photo(tmp_path: Path, config: PipelineConfig) -> None:
    photos = [save_photo(tmp_path, plants) for plants in range(12)]
    outcomes = []
    for number, outcome in enumerate(run(photos, replace(config, workers=2))):
        outcomes.append(outcome)
        if number in (0, 4):
            kill_worker()
    assert [row[1] for row in summary(outcomes)] == list(range(12))


def test_a_photo_that_kills_its_worker_twice_is_set_aside(tmp_path: Path, config: PipelineConfig) -> None:
    good = [save_photo(tmp_path, plants) for plants in range(1, 5)]
    trap = save_trap(tmp_path)
    outcomes = []
    for outcome in run([good[0], trap, *good[1:]], config):
        outcomes.append(outcome)
        if len(outcomes) <= 2:
            kill_worker()  # It has begun with the trap, or is about to.
    failures = [outcome for outcome in outcomes if isinstance(outcome, PhotoFailure)]
    assert [(failure.photo, failure.crashed) for failure in failures] == [(trap, True)]
    assert "SIGKILL" in failures[0].reason
    assert sorted(o.seen for o in outcomes if isinstance(o, PhotoResult)) == [1, 2, 3, 4]


@pytest.mark.timeout(120)
def test_a_photo_on_which_a_worker_hangs_is_set_aside(tmp_path: Path, config: PipelineConfig) -> None:
    photos = [save_photo(tmp_path, 1), save_trap(tmp_path), save_photo(tmp_path, 2)]
    outcomes = list(run(photos, replace(config, patience=3.0)))
    (failure,) = (outcome for outcome in outcomes if isinstance(outcome, PhotoFailure))
    assert (failure.photo, failure.crashed) == (photos[1], True)
    assert "ended its worker process 2 times (it took longer than 3 s)" in failure.reason
    assert sorted(o.seen for o in outcomes if isinstance(o, PhotoResult)) == [1, 2]


def test_a_photo_that_kills_one_worker_is_tried_once_more(
    tmp_path: Path, config: PipelineConfig, caplog: pytest.LogCaptureFixture
) -> None:
    first, late = save_photo(tmp_path, 1), save_photo(tmp_path, 9)
    trap = replace(late, path=save_trap(tmp_path).path)  # the pipe gives way to the photo
    outcomes = []
    for outcome in run([first, trap], config):
        outcomes.append(outcome)
        if len(outcomes) == 1:
            kill_worker()
            late.path.replace(trap.path)
    assert [row[1] for row in summary(outcomes)] == [1, 9]
    assert f"a worker died (SIGKILL) while counting {trap.path}; trying the photo once more" in caplog.text


def test_a_missing_model_is_the_callers_error(tmp_path: Path, config: PipelineConfig) -> None:
    photo = save_photo(tmp_path, 1)
    nowhere = replace(config, detector=ModelChoice(tmp_path / "no.json"))
    for workers in (0, 2):
        with pytest.raises(ModelError, match=r"there is no model at .*no\.json"):
            list(run([photo], replace(nowhere, workers=workers)))


def test_a_model_that_goes_bad_during_the_run_ends_it(tmp_path: Path, config: PipelineConfig) -> None:
    photos = [save_photo(tmp_path, plants) for plants in (1, 2, 3)]
    outcomes = run(photos, config)
    next(outcomes)
    config.detector.path.write_text("{")
    kill_worker()  # Its successor reads the card anew.
    with pytest.raises(ModelError, match=r"cells\.json"):
        list(outcomes)


def test_workers_that_die_at_the_start_end_the_run_and_blame_no_photo(
    tmp_path: Path, config: PipelineConfig
) -> None:
    photos = [save_photo(tmp_path, plants) for plants in (1, 2, 3)]
    config.segmenter.path.unlink()
    os.mkfifo(config.segmenter.path)  # No worker gets past reading the card.
    done = threading.Event()

    def kill_all() -> None:
        while not done.wait(0.1):
            for pid in workers_of(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_all)
    killer.start()
    outcomes = []
    try:
        with pytest.raises(WorkerCrash, match=r"died in a row \(SIGKILL\).*--workers 1"):
            for outcome in run(photos, config):
                outcomes.append(outcome)  # noqa: PERF402 - what came before the error is the point
    finally:
        done.set()
        killer.join()
    assert outcomes == []


def test_dead_workers_leave_no_open_file(tmp_path: Path, config: PipelineConfig) -> None:
    photos = [save_photo(tmp_path, plants) for plants in range(4)]
    assert len(list(run(photos[:1], config))) == 1  # Helpers of multiprocessing are open from here on.
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number, _ in enumerate(run(photos, config)):
        if number < 2:
            kill_worker()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_leaving_early_stops_the_workers_in_the_middle_of_their_photos(
    tmp_path: Path, config: PipelineConfig
) -> None:
    photos = [save_photo(tmp_path, 1), *(save_trap(tmp_path, f"{n}.png") for n in range(3))]
    outcomes = run(photos, replace(config, workers=2))
    next(outcomes)
    assert len(multiprocessing.active_children()) == 2
    outcomes.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


def test_an_error_of_the_caller_stops_the_workers(tmp_path: Path, config: PipelineConfig) -> None:
    def photos() -> Iterator[Photo]:
        yield save_photo(tmp_path, 1)
        yield save_photo(tmp_path, 2)
        raise ConnectionError("the database went away")

    with pytest.raises(ConnectionError):
        list(run(photos(), config))
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bug_met_on_one_photo_is_a_value_and_is_logged_once(
    tmp_path: Path, config: PipelineConfig, caplog: pytest.LogCaptureFixture, workers: int
) -> None:
    impossible = Photo(Path("nul\0.png"), "0" * 64, 1)  # a path that nothing below expects
    outcomes = list(run([impossible, save_photo(tmp_path, 3)], replace(config, workers=workers)))
    failure, result = sorted(outcomes, key=lambda outcome: isinstance(outcome, PhotoResult))
    assert isinstance(failure, PhotoFailure)
    assert failure.reason == r"nul\x00.png: unexpected ValueError: embedded null byte; please report it"
    assert not failure.crashed
    assert isinstance(result, PhotoResult)
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert record.name == "pipeline.run"
    assert logging.Formatter().format(record).count("Traceback") == 1
