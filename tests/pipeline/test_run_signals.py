"""Runs in processes of their own, stopped and killed from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.pipeline.test_run import is_alive, save_photo, wait_until, workers_of

COUNT_THEN_HANG = """
import sys
from pathlib import Path
from pipeline.run import run
from tests.pipeline.networks import tiny_config
from tests.pipeline.test_run import as_photo, save_trap

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    photos = [as_photo(path) for path in sorted(folder.glob("*.png"))]
    traps = [save_trap(folder, f"trap{n}") for n in range(3)]
    config = tiny_config(folder, workers=2)
    print("start", flush=True)
    try:
        for outcome in run([*photos, *traps], config):
            print(outcome.photo.path.name, flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@contextlib.contextmanager
def program(folder: Path, text: str, *modules: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that is given `folder`."""
    script = folder / "program.py"
    script.write_text(text)
    path = os.pathsep.join(str(entry) for entry in (*modules, Path(__file__).parents[2]))
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_workers_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    save_photo(tmp_path, 1)
    with program(tmp_path, COUNT_THEN_HANG) as process:
        assert process.stdout is not None
        assert [process.stdout.readline().strip() for _ in range(2)] == ["start", "001.png"]
        workers = workers_of(process.pid)
        assert len(workers) == 2
        process.kill()
        assert wait_until(lambda: not any(map(is_alive, workers)), seconds=10)


def test_ctrl_c_while_workers_start_is_the_parents_alone(tmp_path: Path) -> None:
    with program(tmp_path, COUNT_THEN_HANG) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "start\n"
        assert wait_until(lambda: len(workers_of(process.pid)) == 2, seconds=30)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("interrupted\n", "", 0)


COUNT_THEN_WAIT = """
import sys, time
from pathlib import Path
from pipeline.run import run
from tests.pipeline.networks import tiny_config
from tests.pipeline.test_run import as_photo

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    photos = [as_photo(path) for path in sorted(folder.glob("*.png"))]
    try:
        print(len(list(run(photos, tiny_config(folder, workers=0)))), flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_ctrl_c_after_counting_in_this_process_is_an_interrupt_and_no_crash(tmp_path: Path) -> None:
    save_photo(tmp_path, 1)
    with program(tmp_path, COUNT_THEN_WAIT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("interrupted\n", "", 0)


COUNT_WITHOUT_OPENCV = """
from pathlib import Path
from pipeline.config import ModelChoice, PipelineConfig
from pipeline.run import run
from pipeline.types import Photo

if __name__ == "__main__":
    nothing = ModelChoice(Path("none.json"))
    for workers in (0, 2):
        try:
            list(run([Photo(Path("a.jpg"), "0" * 64, 1)], PipelineConfig(nothing, nothing, workers=workers)))
        except ImportError as error:
            print(error)
"""


def test_a_system_library_that_opencv_lacks_is_said_and_not_taken_for_a_crash(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    with program(tmp_path, COUNT_WITHOUT_OPENCV, modules) as process:
        out, err = process.communicate(timeout=60)
    assert err == ""
    inline, in_workers = out.splitlines()
    assert inline == in_workers
    assert inline.startswith("OpenCV cannot be loaded (libGL.so.1: cannot open shared object file)")
