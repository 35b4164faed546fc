from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.machine import cores, free_memory

MB = 1 << 20


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_no_more_cores_than_the_affinity_allows() -> None:
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
    code += "from pipeline.machine import cores; print(cores())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_this_machine_has_a_core_and_memory() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)
    free = free_memory()
    assert free is not None
    assert free > 10 * MB


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "100000 100000\n"},
        {"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n"},
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/a\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "100000\n",
            "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
        },
    ],
)
def test_a_quota_counts_as_cores_also_one_further_up(tmp_path: Path, files: dict[str, str]) -> None:
    assert cores(tree(tmp_path, files)) == 1


def test_no_quota_means_all_cores(tmp_path: Path) -> None:
    unlimited = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}
    assert cores(tree(tmp_path, unlimited)) == cores(tmp_path / "nothing")


def test_the_tightest_limit_counts_and_read_files_give_way(tmp_path: Path) -> None:
    machine = {
        "proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:  4096 kB\n",
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/b/memory.max": "max\n",
        "sys/fs/cgroup/a/b/memory.current": "1000\n",
    }
    assert free_memory(tree(tmp_path, machine)) == 4 * MB
    limited = {
        "sys/fs/cgroup/a/memory.max": f"{3 * MB}\n",
        "sys/fs/cgroup/a/memory.current": f"{2 * MB}\n",
        "sys/fs/cgroup/a/memory.stat": f"anon 5\ninactive_file {MB // 2}\n",
    }
    assert free_memory(tree(tmp_path, limited)) == 3 * MB // 2


def test_where_nobody_says_nothing_is_known(tmp_path: Path) -> None:
    assert free_memory(tmp_path) is None


DECODE_WITH_LITTLE = """
import resource, sys
from pathlib import Path
import cv2
from pipeline.decode import decode
from pipeline.errors import PhotoError
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    print(decode(Path(sys.argv[1]), max_pixels=10**9, min_side=1).shape)
except PhotoError as error:
    print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says how much is in use")
@pytest.mark.parametrize(("room", "answer"), [(60 * MB, "needs about"), (800 * MB, "(5000, 6000, 3)")])
def test_a_photo_larger_than_the_memory_is_set_aside_with_a_sentence(
    tmp_path: Path, room: int, answer: str
) -> None:
    photo = tmp_path / "wide.jpg"
    cv2.imwrite(str(photo), np.zeros((5000, 6000, 3), np.uint8))
    done = subprocess.run(
        [sys.executable, "-c", DECODE_WITH_LITTLE, photo, str(room)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer in done.stdout
    if "needs" in answer:
        assert "wide.jpg" in done.stdout
        assert "smaller copy" in done.stdout
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
