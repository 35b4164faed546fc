"""Load a file in one transaction, with a verdict on every row, or load none of it.

An importer judges rows and writes what they mean; here it is decided whether that stands, and what was read
is kept as evidence. A file whose content was loaded before is not loaded again.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, func, insert, select

from db.errors import NotFound
from db.imports.read import ReadFile
from db.models.imports import ImportRow, ImportRun
from db.models.vocabulary import ImportStatus, ImportVerdict

_LOCK = 0x1D3B_0012
_COPY = "COPY import_rows (import_run_id, number, line, raw, fields, verdict, reason, target) FROM STDIN"


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a row. `fields` is JSON; `target` names what it was loaded into."""

    line: int
    raw: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    verdict: ImportVerdict = ImportVerdict.LOADED
    reason: str | None = None
    target: str | None = None

    def fixed(self, *reasons: str) -> Judged:
        """Loaded, but not as written. Without a reason nothing changes; a rejected row stays rejected."""
        said = [reason for reason in (self.reason, *reasons) if reason]
        if not any(reasons):
            return self
        verdict = self.verdict if self.verdict is ImportVerdict.REJECTED else ImportVerdict.FIXED
        return replace(self, verdict=verdict, reason="; ".join(said))

    def rejected(self, reason: str) -> Judged:
        return replace(self, verdict=ImportVerdict.REJECTED, reason=reason, target=None)

    @property
    def is_rejected(self) -> bool:
        return self.verdict is ImportVerdict.REJECTED


@dataclass(frozen=True, slots=True)
class Source:
    """The file, for the record."""

    importer: str
    file: str
    sha256: str
    encoding: str
    delimiter: str | None = None
    notes: tuple[str, ...] = ()

    @staticmethod
    def of(importer: str, file: ReadFile, *notes: str) -> Source:
        return Source(
            importer, file.path.name, file.sha256, file.encoding, file.delimiter, (*file.notes, *notes)
        )


@dataclass(frozen=True, slots=True)
class Order:
    """How to import: who does it, and how many rows may be rejected before nothing is loaded."""

    user_id: int
    max_rejects: int = 0
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """`run` is None for a dry run, and the earlier run if the file was loaded before."""

    source: Source
    status: str  # loaded, refused, dry run, already loaded
    run: int | None
    rows: tuple[Judged, ...]

    def count(self, verdict: ImportVerdict) -> int:
        return sum(row.verdict is verdict for row in self.rows)

    @property
    def rejects(self) -> list[Judged]:
        return [row for row in self.rows if row.is_rejected]


Load = Callable[[], tuple[Sequence[Judged], Sequence[str]]]  # rows, and notes on the file


def stage(connection: Connection, source: Source, order: Order, load: Load) -> Outcome:
    """Run `load` in a transaction: the caller's if one is open, else its own.

    With more rejects than the order allows, what `load` wrote is taken back and only the record of what was
    read remains. A dry run leaves no record; the caller's transaction must be rolled back.
    """
    started = dt.datetime.now(dt.UTC)
    with nullcontext() if connection.in_transaction() else connection.begin() as own:
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))  # two imports at once: one waits
        earlier = _loaded_before(connection, source)
        if earlier is not None:
            return Outcome(source, "already loaded", earlier, ())
        with connection.begin_nested() as attempt:
            rows, notes = load()
            source = replace(source, notes=(*source.notes, *notes))
            refused = sum(row.is_rejected for row in rows) > order.max_rejects
            if refused:
                attempt.rollback()
        if order.dry_run:
            if own is not None:
                own.rollback()
            return Outcome(source, "dry run", None, tuple(rows))
        status = ImportStatus.REFUSED if refused else ImportStatus.LOADED
        run = _record(connection, source, (status, order.user_id, started), rows)
    return Outcome(source, status.value, run, tuple(rows))


def _loaded_before(connection: Connection, source: Source) -> int | None:
    return connection.scalar(
        select(ImportRun.id).where(
            ImportRun.importer == source.importer,
            ImportRun.file_sha256 == source.sha256,
            ImportRun.status == ImportStatus.LOADED.value,
        )
    )


def _record(
    connection: Connection, source: Source, how: tuple[ImportStatus, int, dt.datetime], rows: Sequence[Judged]
) -> int:
    status, user, started = how
    verdicts = Counter(row.verdict for row in rows)
    values = {
        "importer": source.importer,
        "file_name": storable(source.file),
        "file_sha256": source.sha256,
        "encoding": source.encoding,
        "delimiter": source.delimiter,
        "notes": [storable(note) for note in source.notes],
        "status": status.value,
        "read": len(rows),
        **{verdict.value: verdicts[verdict] for verdict in ImportVerdict},
        "user_id": user,
        "started_at": started,
        "finished_at": func.clock_timestamp(),
    }
    run = int(connection.execute(insert(ImportRun).values(values).returning(ImportRun.id)).scalar_one())
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
        for number, row in enumerate(rows, 1):
            text = json.dumps(dict(row.fields), ensure_ascii=False, default=str)
            texts = (storable(row.raw), storable(text), row.verdict.value)
            copy.write_row((run, number, row.line, *texts, storable(row.reason), storable(row.target)))
    return run


def storable(text: str | None) -> str | None:
    """What PostgreSQL can hold: a NUL, or half of a character, becomes the sign for an unreadable one."""
    if text is None:
        return None
    return text.replace("\0", "\ufffd").replace("\\u0000", "\ufffd").encode("utf-8", "replace").decode()


def runs(connection: Connection, limit: int) -> list[Mapping[str, Any]]:
    """The last imports, newest first."""
    query = select(ImportRun).order_by(ImportRun.id.desc()).limit(limit)
    return [row._asdict() for row in connection.execute(query)]


def require_run(connection: Connection, run: int) -> dict[str, Any]:
    """Raises NotFound."""
    row = connection.execute(select(ImportRun).where(ImportRun.id == run)).one_or_none()
    if row is None:
        raise NotFound(f"there is no import {run}; `demeter import list` shows them")
    return dict(row._asdict())


def rows_of(connection: Connection, run: int, verdicts: Sequence[str]) -> list[Mapping[str, Any]]:
    query = select(ImportRow).where(ImportRow.import_run_id == run, ImportRow.verdict.in_(verdicts))
    return [row._asdict() for row in connection.execute(query.order_by(ImportRow.number))]
