"""The report of one run: a JSON file in DATA_DIR/reports/DAY, for machines and for those who look back."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demeter_cli.errors import ExitCode

if TYPE_CHECKING:
    from demeter_cli.settings import Settings

log = logging.getLogger("demeter")

SCHEMA = 1  # raised when a key changes its meaning
FILE_MODE = 0o640


@dataclass(frozen=True, slots=True)
class Problem:
    """A photo that failed, and the sentence that says why."""

    photo: str
    reason: str


@dataclass(frozen=True, slots=True)
class PeakMemory:
    """Bytes that the parent, and the largest of its workers, held at most."""

    parent: int
    worker: int


@dataclass(frozen=True, slots=True)
class RunReport:
    """docs/json.md explains each key. `photos` are by status, `stages` in seconds over all photos."""

    key: str
    run: int | None
    command: str
    version: str
    host: str
    pid: int
    login: str
    started_at: dt.datetime
    finished_at: dt.datetime
    exit_code: int
    model: str | None
    model_sha256: str | None
    config_hash: str | None
    photos: Mapping[str, int]
    counted: int
    plants: int
    retries: int
    stages: Mapping[str, float]
    failures: tuple[Problem, ...]
    peak_memory: PeakMemory
    problem: str | None

    @property
    def seconds(self) -> float:
        """The clock may have been set back meanwhile."""
        return max(0.0, (self.finished_at - self.started_at).total_seconds())

    @property
    def outcome(self) -> str:
        try:
            return ExitCode(self.exit_code).name
        except ValueError:
            return f"EXIT {self.exit_code}"

    @property
    def summary(self) -> str:
        """One line for logs, subjects of mails and the like."""
        photos = ", ".join(f"{number} {status}" for status, number in self.photos.items()) or "no photos"
        end = f"ended with {self.exit_code} ({self.outcome}) after {self.seconds:.0f} s"
        return f"demeter {self.command} {end}: " + (f"{photos}; {self.problem}" if self.problem else photos)

    def as_json(self) -> dict[str, Any]:
        """What the file holds and `demeter runs show` prints."""
        values = asdict(self)
        values["started_at"], values["finished_at"] = (
            self.started_at.isoformat(),
            self.finished_at.isoformat(),
        )
        return {"schema": SCHEMA, **values, "seconds": round(self.seconds, 3), "outcome": self.outcome}


def path_of(settings: Settings, report: RunReport) -> Path:
    return settings.report_dir / settings.today(report.started_at).isoformat() / f"{report.key}.json"


def save(settings: Settings, report: RunReport) -> None:
    """Write the file, whole or not at all. A full disk is told, and does not fail the run."""
    path = path_of(settings, report)
    if not settings.data_dir.is_dir():  # its maker gives it the rights that the embedded server needs
        log.info("no report: there is no %s yet", settings.data_dir)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        text = json.dumps(report.as_json(), ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace")
        write_whole(path, text + b"\n", FILE_MODE)
    except OSError as error:
        log.warning("the report %s cannot be written: %s", path, (error.strerror or "unknown error").lower())


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """What reads `path` meanwhile sees the old content or the new one. Raises OSError."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as draft:
        temporary = Path(draft.name)
        try:
            draft.write(content)
            draft.flush()
            os.fchmod(draft.fileno(), mode)
            os.fsync(draft.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def find(settings: Settings, key: str) -> dict[str, Any] | None:
    """The report of the run with this key, None where there is none that can be read."""
    for path in settings.report_dir.glob(f"*/{key}.json"):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return content if isinstance(content, dict) else None
    return None
