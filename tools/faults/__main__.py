"""The fault campaign: hurt Demeter in every way we can think of, and see that nothing is lost.

    python -m tools.faults                      all of it, an hour on two cores
    python -m tools.faults --quick              CI's share, a minute
    python -m tools.faults --only kill --times 5 --seed 7

Prints a table and exits with 1 if a promise of docs/promises.md was broken. Some faults need root, to mount a
small disk; they are skipped elsewhere, and said to be.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import tools.faults.scenarios.listed  # noqa: F401  they put themselves on the list
from tools.faults.nursery import FEW, PHOTOS
from tools.faults.rules import SCENARIOS, Scenario
from tools.faults.site import Broken, Ground, Skip, prepared


@dataclass
class Result:
    """How often a scenario held, and what became of the rest."""

    scenario: Scenario
    held: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: str = ""

    @property
    def verdict(self) -> str:
        if self.broken:
            return "BROKEN"
        return "skipped" if self.skipped else "held"


def main() -> int:
    wanted = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = [
        one
        for one in SCENARIOS
        if not wanted.only or any(word in f"{one.group} {one.name}" for word in wanted.only)
    ]
    if wanted.list:
        for one in chosen:
            print(f"{one.group:9} {one.name:34} {one.told}")
        return 0
    with prepared(wanted.folder, FEW if wanted.quick else PHOTOS) as ground:
        print(f"A clean run: {ground.seconds:.1f} s, {ground.steps} steps, exit {ground.code}.", flush=True)
        results = [Result(one) for one in chosen if _repetitions(one, wanted)]
        stopped = _stage_all(results, ground, wanted)
    _print([result for result in results if result.held or result.broken or result.skipped])
    return 130 if stopped else int(any(result.broken for result in results))


def _stage_all(results: list[Result], ground: Ground, wanted: argparse.Namespace) -> bool:
    """Whether somebody stopped it; what was seen until then is in the results."""
    try:
        for result in results:
            _stage(result, ground, wanted)
    except KeyboardInterrupt:
        print("Stopped before its end.")
        return True
    return False


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.faults", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", help="scenarios or groups whose name holds a word"
    )
    parser.add_argument("--seed", type=int, default=1, help="the same seed chooses the same moments")
    parser.add_argument("--times", type=int, help="repetitions of each scenario")
    parser.add_argument("--quick", action="store_true", help="only CI's share")
    parser.add_argument("--list", action="store_true", help="print the scenarios and stop")
    parser.add_argument(
        "--folder", type=Path, default=Path("/var/tmp"), help="where to work (default: /var/tmp)"
    )
    return parser.parse_args()


def _repetitions(one: Scenario, wanted: argparse.Namespace) -> int:
    most = one.quick if wanted.quick else one.times
    return most if wanted.times is None else min(most, wanted.times)


def _stage(result: Result, ground: Ground, wanted: argparse.Namespace) -> None:
    one, started = result.scenario, time.monotonic()
    for number in range(_repetitions(one, wanted)):
        try:
            note = one.play(ground, Random(f"{wanted.seed}/{one.name}/{number}"))
        except Skip as why:
            result.skipped = str(why)
            break
        except Broken as problem:
            result.broken.append(f"#{number}: {problem}")
            print(f"{one.name} #{number} BROKEN: {problem}", flush=True)
        except Exception as bug:  # noqa: BLE001  of the scenario, most often; the others are staged all the same
            result.broken.append(f"#{number}: {type(bug).__name__}: {bug}")
            traceback.print_exc()
        else:
            result.held += 1
            sys.stderr.write(".")
            sys.stderr.flush()
            result.notes += [note] if note else []
        result.seconds = time.monotonic() - started
    print(f"{one.name}: {result.verdict}, {result.held} times, {result.seconds:.0f} s", flush=True)


def _print(results: list[Result]) -> None:
    print(f"\n{'group':9} {'scenario':34} {'held':>7} {'seconds':>7}  verdict")
    for result in results:
        tries = f"{result.held}/{result.held + len(result.broken)}"
        said = result.skipped or "; ".join(result.broken[:2]) or "; ".join(sorted(set(result.notes))[:2])
        line = f"{result.scenario.group:9} {result.scenario.name:34} {tries:>7} {result.seconds:7.0f}"
        print(f"{line}  {result.verdict}{': ' * bool(said)}{said}")
    broken = sum(bool(result.broken) for result in results)
    held = sum(result.held for result in results)
    print(f"\n{len(results)} scenarios, {held} stagings held, {broken} scenarios broken.")


if __name__ == "__main__":
    sys.exit(main())
