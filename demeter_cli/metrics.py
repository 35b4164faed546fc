"""Figures of the last run for Prometheus, as a file that node_exporter's textfile collector reads.

A file that nobody replaces goes on telling its old figures: alert on the age of the last success.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from demeter_cli.run_report import RunReport, write_whole

if TYPE_CHECKING:
    from db.watch import Figures
    from demeter_cli.settings import Settings

log = logging.getLogger("demeter")

FILE_MODE = 0o644  # node_exporter runs as another user
SUCCESS = "demeter_last_success_timestamp_seconds"


class Gauge(Protocol):
    """Sets one figure; the first call of a name makes it known."""

    def __call__(
        self, name: str, about: str, value: float, labels: Mapping[str, str] | None = None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Told:
    """One figure of the file as it was."""

    name: str
    about: str
    value: float
    labels: Mapping[str, str]


def write(path: Path, settings: Settings, report: RunReport, figures: Figures | None) -> None:
    """Replace the file, on success and on failure. What cannot be written is told, and fails nothing.

    What it says of other commands stays in it.
    """
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client import Gauge as PrometheusGauge

    registry = CollectorRegistry()
    known: dict[str, Any] = {}

    def gauge(name: str, about: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        if name not in known:
            known[name] = PrometheusGauge(name, about, tuple(labels or ()), registry=registry)
        (known[name].labels(**labels) if labels else known[name]).set(value)

    before = list(_told_before(path))
    for one in before:
        if one.labels.get("command", report.command) != report.command:
            gauge(one.name, one.about, one.value, one.labels)
    _of_the_run(gauge, report, _last_success(before, report, figures))
    _of_the_site(gauge, settings, figures)
    try:
        write_whole(path, generate_latest(registry), FILE_MODE)
    except OSError as error:
        log.warning("the metrics %s cannot be written: %s", path, (error.strerror or "unknown").lower())


def _last_success(before: Sequence[Told], report: RunReport, figures: Figures | None) -> float:
    """When this command last ended well, 0 if nobody knows: now, or as the file says, or the database."""
    if report.exit_code == 0:
        return report.finished_at.timestamp()
    known = [one.value for one in before if one.name == SUCCESS and one.labels["command"] == report.command]
    if figures and figures.last_success and report.command == "process":
        known.append(figures.last_success.timestamp())
    return max(known, default=0.0)


def _told_before(path: Path) -> Iterator[Told]:
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return
    for family in families:
        for sample in family.samples:
            if family.name.startswith("demeter_"):
                yield Told(sample.name, family.documentation, float(sample.value), sample.labels)


def _of_the_run(gauge: Gauge, report: RunReport, success: float) -> None:
    of_command = {"command": report.command}
    gauge(SUCCESS, "When the command last ended with exit code 0", success, of_command)
    ended = report.finished_at.timestamp()
    gauge("demeter_last_run_timestamp_seconds", "When the command last ended, however", ended, of_command)
    gauge("demeter_last_run_exit_code", "Its exit code", report.exit_code, of_command)
    gauge("demeter_last_run_duration_seconds", "How long it took", report.seconds, of_command)
    gauge("demeter_last_run_plants", "Plants counted in it", report.plants, of_command)
    gauge("demeter_last_run_retries", "Photos that it tried more than once", report.retries, of_command)
    for status, number in report.photos.items():
        labels = of_command | {"status": status}
        gauge("demeter_last_run_photos", "Photos of the run by status", number, labels)
    for stage, seconds in report.stages.items():
        labels = of_command | {"stage": stage}
        gauge("demeter_last_run_stage_seconds", "Seconds of the run by stage, all workers", seconds, labels)
    for process, held in (("parent", report.peak_memory.parent), ("worker", report.peak_memory.worker)):
        labels = of_command | {"process": process}
        gauge("demeter_last_run_peak_memory_bytes", "Memory held at most", held, labels)


def _of_the_site(gauge: Gauge, settings: Settings, figures: Figures | None) -> None:
    with suppress(OSError):  # there is no such folder yet
        disk = shutil.disk_usage(settings.data_dir)
        gauge("demeter_disk_free_bytes", "Free on the disk of the data folder", disk.free)
        gauge("demeter_disk_total_bytes", "Size of the disk of the data folder", disk.total)
    gauge("demeter_database_up", "Whether the run had a database to the end", int(figures is not None))
    if figures is None:
        return
    gauge("demeter_database_size_bytes", "Size of the database", figures.database_bytes)
    gauge("demeter_backlog_photos", "Photos stored and never counted", figures.uncounted)
    for status, number in figures.waiting.items():
        gauge("demeter_waiting_photos", "Photos that wait, by status", number, {"status": status})
    if figures.oldest_waiting is not None:
        since = figures.oldest_waiting.timestamp()
        gauge("demeter_oldest_waiting_timestamp_seconds", "Since when the oldest of them waits", since)
