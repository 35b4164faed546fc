"""The invariant of every scenario, and the list of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tools.faults.checks import differences, read_books
from tools.faults.processes import postgres_of, using, wait_until
from tools.faults.site import Broken, Finished, Ground, Site

Play = Callable[[Ground, Random], "str | None"]


@dataclass(frozen=True)
class Scenario:
    """One fault. `times` it is staged in a whole campaign, `quick` in CI's share."""

    name: str
    group: str
    play: Play
    times: int
    quick: int

    @property
    def told(self) -> str:
        return (inspect.getdoc(self.play) or "").partition("\n")[0]


SCENARIOS: list[Scenario] = []


def scenario(group: str, *, times: int = 3, quick: int = 0) -> Callable[[Play], Play]:
    """Put a function on the list. It raises Broken, or Skip, or returns a word on what it saw."""

    def listed(play: Play) -> Play:
        SCENARIOS.append(Scenario(play.__name__.replace("_", "-"), group, play, times, quick))
        return play

    return listed


def demand(holds: object, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)


def demand_ended(said: Finished, *codes: int) -> None:
    """One of these exit codes and no traceback."""
    end = " | ".join(said.err.strip().splitlines()[-3:])
    demand("Traceback" not in said.err, f"a traceback: {end}")
    demand(said.code in codes, f"exit code {said.code} and not {' or '.join(map(str, codes))}: {end}")


def demand_alone(site: Site, *, server_may_stay: bool = False) -> None:
    """Nothing of a command that has ended is left, but a server whose command was killed."""

    def left() -> list[int]:
        servers = set(postgres_of(site.data))
        return [pid for pid in using(site.folder) if pid not in servers or not server_may_stay]

    demand(wait_until(lambda: not left(), 30), f"processes are left: {left()}")


def demand_whole(ground: Ground, site: Site) -> str:
    """Run the batch to its end and compare the books with those of a clean run; tells of orphans."""
    demand_ended(site.done(), ground.code)
    return demand_same(ground, site)


def demand_same(ground: Ground, site: Site) -> str:
    demand_alone(site)
    stock = site.run("report", "stock", "--format", "json")
    demand_ended(stock, 0)
    demand(stock.json == ground.stock, "the stock is not that of a clean run")
    with site.server() as url:
        books = read_books(url, site.store)
    problems = list(differences(books, ground.books))
    demand(not problems, "; ".join(problems[:4]))
    demand_alone(site)
    return f"{len(books.orphans)} orphans" if books.orphans else ""
