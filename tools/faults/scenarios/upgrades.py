"""Two versions of the program on one database, as during a rolling upgrade."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from random import Random

from db.migrate import head
from tools.faults.processes import wait_until, workers_of
from tools.faults.rules import demand, demand_ended, demand_same, demand_whole, scenario
from tools.faults.site import Ground, Site

MIGRATION = '''"""One that this program does not know."""

from alembic import op

revision = "{new}"
down_revision = "{old}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE runs ADD COLUMN from_the_future text")

'''


def _next_version(site: Site) -> Site:
    """The same commands by a program with one migration more."""
    program, old = site.folder / "next", head()
    shutil.copytree(site.program, program)
    new = f"{int(old) + 1:04}"
    text = MIGRATION.format(new=new, old=old)
    (program / "db/migrations/versions" / f"r{new}_from_the_future.py").write_text(text)
    return replace(site, version=program)


def _refused(site: Site, words: str) -> None:
    for command in (["process", site.photos], ["report", "stock"], ["db", "check"]):
        said = site.run(*command)
        demand_ended(said, 4)
        demand(words in said.err, f"it does not say what to do: {said.err!r}")
    demand(not (site.data / "photos" / "original").exists(), "something was stored")


@scenario("upgrade", times=1)
def old_program_new_tables(ground: Ground, random: Random) -> str:
    """The old program meets tables that a newer one upgraded: 4, nothing is written; the new one goes on."""
    with ground.site() as site:
        later = _next_version(site)
        demand_ended(later.run("db", "upgrade"), 0)
        _refused(site, "newer")
        demand_ended(later.done(), ground.code)
        return demand_same(ground, later)


@scenario("upgrade", times=1)
def new_program_old_tables(ground: Ground, random: Random) -> str:
    """The new program meets tables that nobody upgraded yet: 4, nothing is written; the old one goes on."""
    with ground.site() as site:
        later = _next_version(site)
        _refused(later, "demeter db upgrade")
        demand_whole(ground, site)
        demand_ended(later.run("db", "upgrade"), 0)
        return demand_same(ground, later)


@scenario("upgrade", times=3)
def upgraded_in_the_middle_of_a_run(ground: Ground, random: Random) -> str:
    """`db upgrade` by the new program while the old one counts: refused (75), done when the run has ended."""
    with ground.site() as site:
        later = _next_version(site)
        process = site.process()
        wait_until(lambda: bool(workers_of(process.pid)))
        time.sleep(random.uniform(0, 1))
        upgraded = later.run("db", "upgrade")
        running = process.poll() is None
        demand_ended(site.finish(process), ground.code)
        if running:
            demand_ended(upgraded, 75)
            demand_same(ground, site)
        demand_ended(later.run("db", "upgrade"), 0)
        return demand_same(ground, later)
