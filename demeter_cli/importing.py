"""Run importers over files and tell what became of the rows; the commands are in commands/imports.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import typer

from demeter_cli.errors import ExitCode
from demeter_cli.formats import Format
from demeter_cli.language import N_, _, number, told
from demeter_cli.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.imports.staging import Judged, Outcome, Source

SHOWN = 20  # rejected rows that are told after an import; `demeter import show` tells all

COLUMNS = {
    "file": N_("file"),
    "status": N_("status"),
    "run": N_("run"),
    "read": N_("read"),
    "loaded": N_("loaded"),
    "fixed": N_("fixed"),
    "rejected": N_("rejected"),
}


@dataclass(frozen=True, slots=True)
class Job:
    """A file to be loaded. `load` writes in the transaction of the connection, in the name of a user."""

    source: Source
    load: Callable[[Connection, int], tuple[Sequence[Judged], Sequence[str]]]


@dataclass(frozen=True, slots=True)
class How:
    """What the options of every import say."""

    max_rejects: int
    dry_run: bool
    user: str | None
    output_format: Format


def run_imports(
    settings: Settings, how: How, roles: tuple[str, ...], prepare: Callable[[Connection], list[Job]]
) -> None:
    """Load the files one after the other, each in a transaction, and print what became of them.

    A file of which too much was rejected ends the run, since the next may need it: exit code PARTIAL.
    """
    from demeter_cli.site import open_database

    with open_database(settings) as connection:
        jobs = prepare(connection)
        connection.rollback()  # preparing only read
        run = _try_out if how.dry_run else _run
        outcomes = run(connection, settings, how, roles, jobs)
    print_outcomes(outcomes, how)
    if any(_is_refused(outcome, how) for outcome in outcomes):
        raise typer.Exit(ExitCode.PARTIAL)


def _run(
    connection: Connection, settings: Settings, how: How, roles: tuple[str, ...], jobs: list[Job]
) -> list[Outcome]:
    from demeter_cli.site import booking

    outcomes: list[Outcome] = []
    for job in jobs:
        load = partial(_load, connection, settings, how, roles, job)
        outcomes.append(booking(connection, ZoneInfo(settings.timezone), load))
        if _is_refused(outcomes[-1], how):
            break
    return outcomes


def _try_out(
    connection: Connection, settings: Settings, how: How, roles: tuple[str, ...], jobs: list[Job]
) -> list[Outcome]:
    """All files in one transaction, since beds need the bays that would be loaded; then nothing happened."""
    from demeter_cli.site import booking

    def load_all() -> list[Outcome]:
        return [_load(connection, settings, how, roles, job) for job in jobs]

    return booking(connection, ZoneInfo(settings.timezone), load_all, keep=False)


def _load(connection: Connection, settings: Settings, how: How, roles: tuple[str, ...], job: Job) -> Outcome:
    from db.imports.staging import Order, stage
    from demeter_cli.site import actor

    user = actor(connection, settings, *roles, user=how.user)
    order = Order(user, how.max_rejects, how.dry_run)
    return stage(connection, job.source, order, lambda: job.load(connection, user))


def _is_refused(outcome: Outcome, how: How) -> bool:
    return outcome.status == "refused" or len(outcome.rejects) > how.max_rejects


def print_outcomes(outcomes: Sequence[Outcome], how: How) -> None:
    from demeter_cli import output

    rows = [_row(outcome) for outcome in outcomes]
    match how.output_format:
        case Format.JSON:
            output.print_json([{**row, **_details(o)} for row, o in zip(rows, outcomes, strict=True)])
            return
        case Format.CSV:
            output.print_csv(rows, tuple(COLUMNS))
        case Format.TABLE:
            output.print_table(rows, COLUMNS, droppable=("run", "read", "status"))
            for outcome in outcomes:
                for note in outcome.source.notes:
                    output.say(f"  {outcome.source.file}: {note}")
    for outcome in outcomes:
        _tell_rejects(outcome, how)


def _row(outcome: Outcome) -> dict[str, Any]:
    from db.models.vocabulary import ImportVerdict

    counts = {verdict.value: outcome.count(verdict) for verdict in ImportVerdict}
    return {
        "file": outcome.source.file,
        "importer": outcome.source.importer,
        "status": outcome.status,
        "run": outcome.run,
        "read": len(outcome.rows),
        **counts,
    }


def _details(outcome: Outcome) -> dict[str, Any]:
    rejects = [{"line": row.line, "reason": row.reason, "raw": row.raw} for row in outcome.rejects]
    return {"notes": list(outcome.source.notes), "rejects": rejects}


def _tell_rejects(outcome: Outcome, how: How) -> None:
    from demeter_cli import output

    name, rejects = outcome.source.file, outcome.rejects
    for row in rejects[:SHOWN]:
        output.tell(
            _("{name}, line {line}: {reason}").format(name=name, line=row.line, reason=told(row.reason or ""))
        )
    if len(rejects) > SHOWN:
        output.tell(
            _("{name}: {n} more rows are rejected{where}.").format(
                name=name, n=number(len(rejects) - SHOWN), where=_where(outcome)
            )
        )
    if outcome.status == "already loaded":
        output.tell(
            _("{name} was loaded before, as run {run}; nothing is loaded twice.").format(
                name=name, run=outcome.run
            )
        )
    elif _is_refused(outcome, how):
        nothing = _("{name}: nothing was loaded, since rows are rejected. {remedy}")
        if how.dry_run:
            nothing = _("{name}: nothing would be loaded, since rows are rejected. {remedy}")
        remedy = _("Correct them, or load the rest with --max-rejects {n}.").format(n=len(rejects))
        output.tell(nothing.format(name=name, remedy=remedy))
    elif how.dry_run:
        output.tell(_("{name}: nothing was changed; without --dry-run it would be loaded.").format(name=name))


def _where(outcome: Outcome) -> str:
    return (
        _("; `demeter import show {run}` shows all").format(run=outcome.run)
        if outcome.run is not None
        else ""
    )
