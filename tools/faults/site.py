"""A nursery's installation that can be hurt: its folder, its settings, its commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from db.embedded import embedded_server
from pipeline.folder_store import FolderStore
from pipeline.storage import Store
from tools.faults import nursery
from tools.faults.checks import Books, read_books
from tools.faults.processes import kill, postgres_of, using, wait_until

INJECTOR = Path(__file__).with_name("inject")
PACKAGES = ("demeter_cli", "db", "pipeline", "configs", "seeds")
PATIENCE = 300.0  # seconds that a command may take on a busy machine
SCRUBBED = ("DEMETER_", "XDG_", "PG", "PYTHON", "FAULTS_", "LC_", "LANG", "AWS_")


class Broken(Exception):
    """A promise that did not hold; the message says which."""


class Skip(Exception):
    """This machine cannot stage the fault; the message says why."""


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Site:
    """`settings` are variables of the commands; `prefix` is what they are started with, such as faketime."""

    folder: Path
    photos: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    version: Path | None = None  # of the program, if it is not the campaign's
    bucket: Store | None = None  # if it is no folder

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def program(self) -> Path:
        """A copy of the packages: a campaign lasts long, and somebody may be writing on."""
        return self.version or self.folder.parent / "program"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(SCRUBBED)}
        paths = f"{INJECTOR}{os.pathsep}{self.program}"
        ours = {"COLUMNS": "100", "NO_COLOR": "1", "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        ours |= {"DEMETER_DATA_DIR": str(self.data), "HOME": str(self.folder / "home"), "LC_ALL": "C.UTF-8"}
        merged = kept | ours | dict(self.settings)
        return {name: value for name, value in merged.items() if value != ""}

    def but(self, **settings: str) -> Site:
        """The same with other settings; an empty one is taken away."""
        return replace(self, settings={**self.settings, **settings})

    def started_by(self, *prefix: str) -> Site:
        return replace(self, prefix=prefix)

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        """A command. What it says goes to files, so that a full pipe never holds it up."""
        said = Path(tempfile.mkdtemp(prefix="said-", dir=self.folder))
        with (said / "out").open("wb") as out, (said / "err").open("wb") as err:
            process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "demeter_cli.main", *map(str, arguments)],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                text=True,
                start_new_session=True,
                **options,
            )
        process.said = said  # type: ignore[attr-defined]
        return process

    def finish(self, process: subprocess.Popen[str]) -> Finished:
        """Wait for a command. Raises Broken when it does not end."""
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            kill([process.pid, *using(self.folder)])
            raise Broken(f"the command did not end within {PATIENCE:.0f} s") from None
        said: Path = process.said  # type: ignore[attr-defined]
        texts = [(said / name).read_text(errors="replace") for name in ("out", "err")]
        return Finished(process.returncode, *texts)

    def run(self, *arguments: str | Path, **options: Any) -> Finished:
        return self.finish(self.start(*arguments, **options))

    def process(self) -> subprocess.Popen[str]:
        """`demeter process` of the whole batch."""
        return self.start("process", self.photos, "--workers", "2", "--format", "json")

    def done(self) -> Finished:
        """The whole batch once more, to the end."""
        return self.finish(self.process())

    @property
    def store(self) -> Store:
        """Where the photos are kept, reached without the faults that are staged."""
        return self.bucket or FolderStore(self.data / "photos")

    @contextmanager
    def server(self) -> Iterator[str]:
        """The address of the database, with its server running."""
        if "DEMETER_DATABASE_URL" in self.settings:
            yield self.settings["DEMETER_DATABASE_URL"]
            return
        with embedded_server(self.data) as server:
            yield server.url


@dataclass(frozen=True)
class Ground:
    """What the campaign makes once: photos, networks, an empty nursery to copy, a clean run to compare."""

    folder: Path
    settings: Mapping[str, str]
    books: Books
    stock: Any
    code: int
    seconds: float  # that a clean run takes
    steps: int  # calls and returns in it

    @property
    def photos(self) -> Path:
        return self.folder / "photos"

    @contextmanager
    def site(self) -> Iterator[Site]:
        """A fresh nursery with nothing booked. No process of it stays."""
        with _fresh(self.folder, self.settings) as site:
            yield site


@contextmanager
def prepared(parent: Path, photos: int) -> Iterator[Ground]:
    """The ground of a campaign with so many photos, in a folder that the embedded server's user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="demeter-faults-", dir=parent))
    folder.chmod(0o755)
    try:
        copy_program(folder / "program")
        nursery.make_photos(folder / "photos", photos)
        settings = nursery.make_models(folder / "models") | {"XDG_CACHE_HOME": str(folder / "cache")}
        _make_template(folder, settings)
        yield _measured(folder, settings)
    finally:
        kill(using(folder))
        shutil.rmtree(folder, ignore_errors=True)


def _make_template(folder: Path, settings: Mapping[str, str]) -> None:
    site = Site(folder / "template", folder / "photos", settings)
    site.folder.mkdir()
    site.folder.chmod(0o755)
    made = site.run("report", "stock")
    if made.code:
        raise SystemExit(f"no nursery to start from: {made.err}")


def _measured(folder: Path, settings: Mapping[str, str]) -> Ground:
    """A clean run, timed; and another one, to count its steps and to see that both give the same."""
    with _fresh(folder, settings) as site:
        site.done()
    stock, seconds = [], 0.0
    for counting in ({}, {"FAULTS_COUNT_TO": str(folder / "steps")}):
        with _fresh(folder, settings) as site:
            started = time.monotonic()
            clean = site.but(**counting).done()
            seconds = seconds or time.monotonic() - started
            stock.append(site.run("report", "stock", "--format", "json").json)
            with site.server() as url:
                books = read_books(url, site.store)
    if stock[0] != stock[1] or not stock[0]:
        raise SystemExit("two clean runs differ: nothing can be compared with them")
    return Ground(folder, settings, books, stock[0], clean.code, seconds, int((folder / "steps").read_text()))


@contextmanager
def _fresh(ground: Path, settings: Mapping[str, str]) -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="site-", dir=ground))
    folder.chmod(0o755)
    try:
        copy_cluster(ground / "template" / "data", folder / "data")
        yield Site(folder, ground / "photos", settings)
    finally:
        left = using(folder)
        kill(left + postgres_of(folder / "data"))
        wait_until(lambda: not postgres_of(folder / "data"), 20)
        shutil.rmtree(folder, ignore_errors=True)


def copy_program(target: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(
            nursery.ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__")
        )


def copy_cluster(source: Path, target: Path) -> None:
    """With owners and modes, as the server insists on them."""
    target.parent.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", "--reflink=auto", source, target], check=True)
