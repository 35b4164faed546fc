"""Which files are whole: hypothesis writes them in pieces."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from demeter_cli.arriving import Arrivals

STABLE = 5.0
STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "look", "look and take"]), st.integers(0, 2), st.floats(0, 8)),
    max_size=30,
)


@given(steps=STEPS)
@settings(max_examples=40)
def test_a_file_is_taken_once_and_only_after_it_was_left_alone(
    tmp_path_factory: object, steps: list[tuple[str, int, float]]
) -> None:
    folder = tmp_path_factory.mktemp("arrivals")  # type: ignore[attr-defined]
    arrivals, now, written = Arrivals(folder, STABLE), 0.0, dict[Path, float]()
    taken: set[tuple[Path, int]] = set()
    seen: dict[Path, float] = {}  # when its present size was seen first
    for what, number, later in steps:
        now += later
        path = folder / f"{number}.jpg"
        if what == "write":
            with path.open("ab") as stream:
                stream.write(b"x")
            written[path] = now
            seen.pop(path, None)
            continue
        ready = arrivals.look(now)
        for one in written:
            seen.setdefault(one, now)
        for one in ready:
            assert now - seen[one] >= STABLE
            assert (one, one.stat().st_size) not in taken
        if what == "look and take":
            arrivals.done(ready)
            taken |= {(one, one.stat().st_size) for one in ready}
        left = {one for one in written if (one, one.stat().st_size) not in taken}
        assert arrivals.waiting == len(left | set(ready)) - len(ready)
    # Whatever happened, in the end all is taken.
    arrivals.look(now + 1)
    arrivals.done(arrivals.look(now + 1 + STABLE))
    assert arrivals.look(now + 100) == []
    assert arrivals.waiting == 0


def test_a_folder_that_goes_away_and_comes_back_is_not_taken_anew(tmp_path: Path) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"photo")
    arrivals = Arrivals(folder, 0.0)
    arrivals.done(arrivals.look(0.0))
    away = folder.rename(tmp_path / "away")
    assert arrivals.look(1.0) == []
    folder.mkdir()  # the mount point without the share
    assert arrivals.look(2.0) == []
    folder.rmdir()
    away.rename(folder)
    assert arrivals.look(3.0) == []
    (folder / "b.jpg").write_bytes(b"")  # begun
    assert arrivals.look(4.0) == []
    assert arrivals.waiting == 1
