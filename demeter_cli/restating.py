"""One call of `demeter estimate`: photos counted earlier, worked out again from evidence, and booked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.restate import Restated
    from db.runs import RunInfo
    from db.standing import Choice, Standing
    from demeter_cli.settings import Settings
    from pipeline.config import PipelineConfig
    from pipeline.kept import Kept
    from pipeline.storage import Store
    from pipeline.types import PhotoResult
    from pipeline.weights import ModelCard


@dataclass(slots=True)
class Restating:
    """From the sessions chosen to the rows printed. Of the models only the detector's card is needed."""

    connection: Connection
    settings: Settings
    store: Store
    config: PipelineConfig
    card: ModelCard
    rows: list[dict[str, Any]] = field(default_factory=list)

    def plan(self, choice: Choice) -> list[dict[str, Any]]:
        """What `run` would do, session by session."""
        from db.restate import compare

        for standing in self._standing(choice):
            result = self.recounted(standing)
            if isinstance(result, str):
                self._add_failure(standing, result)
                continue
            told = compare(self.connection, standing.id, result)
            self.connection.rollback()
            self._add(standing, result, told, "would change" if told.changed else "unchanged")
        return self.rows

    def run(self, choice: Choice, model: tuple[str, str], wait: float = 0.0) -> list[dict[str, Any]]:
        """Restate what changes, a transaction per session. On any way out, what is finished is saved.

        Another run is waited for so many seconds. Raises Busy.
        """
        from db.models.vocabulary import RunStatus
        from db.runs import finish_run, run_lock, start_run
        from demeter_cli import output
        from demeter_cli.site import COUNTERS, actor

        with run_lock(self.connection, "estimate", wait, output.tell):
            standing = self._standing(choice)
            user = actor(self.connection, self.settings, *COUNTERS)
            self.connection.rollback()
            run = start_run(self.connection, "estimate", model, self.config.fingerprint(), user)
            status = RunStatus.FAILED
            try:
                for one in standing:
                    self._restate(run, one)
                status = RunStatus.FINISHED
            except KeyboardInterrupt:
                status = RunStatus.INTERRUPTED
                raise
            finally:
                if not self.connection.invalidated:
                    self.connection.rollback()
                    failed = sum(row["outcome"] == "failed" for row in self.rows)
                    finish_run(self.connection, run, status, len(self.rows), failed)
        return self.rows

    def _standing(self, choice: Choice) -> list[Standing]:
        from db.standing import standing_sessions

        standing = standing_sessions(self.connection, choice)
        self.connection.rollback()
        return standing

    def _restate(self, run: RunInfo, standing: Standing) -> None:
        from db.errors import LedgerRefused
        from db.restate import restate

        result = self.recounted(standing)
        if isinstance(result, str):
            self._add_failure(standing, result)
            return
        try:
            told = restate(self.connection, run, standing.id, result)
        except LedgerRefused as refusal:  # a closed month keeps its counts
            self._add_failure(standing, str(refusal))
            return
        self._add(standing, result, told, "restated" if told.changed else "unchanged")

    def recounted(self, standing: Standing) -> PhotoResult | str:
        """What the photo comes to now, or the sentence that says why that cannot be told."""
        from db.grids import cells_at
        from pipeline.errors import StorageError
        from pipeline.estimators import density
        from pipeline.grid import in_known_grids
        from pipeline.reckon import recount

        try:
            kept = self._kept(standing)
        except StorageError as error:
            return str(error)
        if kept.network != self.card.network:
            return (
                f"it was counted by another detector ({standing.model}), whose scores mean something else; "
                "set that one, or count the photo again"
            )
        photo = standing.photo
        if self.config.estimator == density.METHOD:
            photo = replace(photo, spacings=self._spacings(standing))
            missing = density.missing(replace(kept.evidence, spacings=photo.spacings))
            if missing:
                return "; ".join(missing)
        result = recount(kept, (self.card, self.config), photo, standing.model)
        return in_known_grids(result, cells_at(self.connection, standing.place_id))

    def _kept(self, standing: Standing) -> Kept:
        """Raises StorageError."""
        from pipeline.errors import StorageError
        from pipeline.kept import unpack

        if standing.evidence is None:
            raise StorageError("it was counted before evidence was kept; count the photo again")
        key, sha256 = standing.evidence
        return unpack(self.store.read_bytes(key, sha256), key)

    def _spacings(self, standing: Standing) -> Any:
        from db.standing import spacings_at

        known = spacings_at(self.connection, standing.place_id, standing.taken_at)
        self.connection.rollback()
        return known

    def _add(self, standing: Standing, result: PhotoResult, told: Restated, outcome: str) -> None:
        methods = {(row.method, row.version) for count in result.counts for row in count.estimates}
        method, version = min(methods, default=(None, None))
        before, bed = told.before, result.main
        self.rows.append(
            {
                **_named(standing),
                "outcome": outcome,
                "method_before": before.method,
                "seen_before": before.seen,
                "hidden_before": before.hidden,
                "total_before": before.total,
                "low_before": before.low,
                "high_before": before.high,
                "method": method,
                "version": version,
                "seen": bed.seen,
                "hidden": bed.hidden,
                "total": bed.total,
                "low": bed.low,
                "high": bed.high,
                "booked": told.posted,
                "error": None,
            }
        )

    def _add_failure(self, standing: Standing, reason: str) -> None:
        from demeter_cli import output

        named = _named(standing)
        output.report_problem(f"session {standing.id} ({named['photo']}): {reason}")
        self.rows.append({**named, "outcome": "failed", **dict.fromkeys(FIGURES), "error": reason})


FIGURES = (
    *("method_before", "seen_before", "hidden_before", "total_before", "low_before", "high_before"),
    *("method", "version", "seen", "hidden", "total", "low", "high", "booked"),
)


def _named(standing: Standing) -> dict[str, Any]:
    from pipeline.find import printable

    return {"session": standing.id, "photo": printable(standing.photo.path), "place": standing.place}
