"""One call of `demeter process`: claim photos, count the new ones, store and book them."""

from __future__ import annotations

import datetime as dt
import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from demeter_cli.errors import ExitCode
from demeter_cli.language import _
from demeter_cli.watching import PhotoEvent, Watch
from pipeline.printable import printable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.ingest import Claim
    from db.places import Place
    from db.runs import Account, Policy, RunInfo
    from db.stored import StoredPhoto
    from demeter_cli.locating import Locator
    from demeter_cli.settings import Settings
    from pipeline.config import PipelineConfig
    from pipeline.run import Crew
    from pipeline.storage import Store
    from pipeline.types import Photo, PhotoFailure, PhotoOutcome, PhotoResult, Spacing


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    photos: list[str]
    place: str | None
    total: int  # photos that will be found
    retry: bool
    accept: bool  # book what the gate refuses
    images: tuple[StoredPhoto, ...] | None = None  # count these, which are stored, instead of files


@dataclass(slots=True)
class Batch:
    """One call of `demeter process`, from the photos found to the rows printed."""

    connection: Connection
    settings: Settings
    store: Store
    config: PipelineConfig
    model: tuple[str, str]  # name and sha256
    request: Request
    locator: Locator = field(init=False)
    claims: dict[str, Claim] = field(default_factory=dict)  # by sha256
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)  # by sha256, else by path
    crashed: bool = False
    watch: Watch = field(default_factory=Watch)
    wait: float = 0.0  # seconds that another run is waited for
    crew: Crew | None = None  # workers that outlive this batch

    def run(self) -> list[dict[str, Any]]:
        """Count what is new and book it. On any way out, what is finished is saved."""
        from db import migrate
        from db.ingest import end_run
        from db.models.vocabulary import RunStatus
        from db.runs import run_lock, start_run
        from demeter_cli import output
        from demeter_cli.site import COUNTERS, actor
        from pipeline.errors import WorkerCrash
        from pipeline.find import own_folder

        with run_lock(self.connection, "process", self.wait, output.tell):
            migrate.check(self.connection)  # an upgrade may have come before us
            self._find_places()
            user = actor(self.connection, self.settings, *COUNTERS)
            self.connection.rollback()
            if self.config.overlay_dir is not None:
                own_folder(self.config.overlay_dir)
            fingerprint = self.config.fingerprint()
            run = start_run(self.connection, "process", self.model, fingerprint, user, self._policy())
            self.watch.begun(run, self.connection)
            status, blamed = RunStatus.FAILED, False
            try:
                self._count(run)
                status = RunStatus.FINISHED
            except KeyboardInterrupt:
                status = RunStatus.INTERRUPTED
                raise
            except WorkerCrash:
                blamed = True  # else photos that end every worker would stop every night
                raise
            finally:
                error = sys.exception()
                self.watch.counted(self._statuses(), None)  # the report tells of them also without a database
                end_run(self.connection, run, status, lambda: self._account(error), blamed=blamed)
        return sorted(self.rows.values(), key=lambda row: str(row["photo"]))

    def _account(self, error: BaseException | None) -> tuple[int, int, Account | None]:
        """Photos, failures and how it went, once the claims are given back."""
        statuses = self._statuses()
        self.watch.counted(statuses, self.connection)
        return len(statuses), statuses.count("failed"), self.watch.account(error, self.exit_code)

    def _statuses(self) -> list[str]:
        return [row["status"] for row in self.rows.values()]

    @property
    def exit_code(self) -> ExitCode:
        """Of a run that came to its end."""
        if not any(row["status"] == "failed" for row in self.rows.values()):
            return ExitCode.OK
        return ExitCode.CRASH if self.crashed else ExitCode.PARTIAL

    def _policy(self) -> Policy:
        from demeter_cli.site import policy_of
        from pipeline.gate import SEVERITIES

        repeat = SEVERITIES.get(self.config.gate.repeat)
        return policy_of(self.settings, repeat, accept=self.request.accept)

    def _find_places(self) -> None:
        from db.places import PlaceIndex
        from demeter_cli.locating import Locator, compiled

        places = PlaceIndex.load(self.connection)
        fixed = places.named(self.request.place) if self.request.place else None
        self.connection.rollback()
        self.locator = Locator(places, fixed, compiled(self.settings.place_patterns))

    def _found(self, staging: Path | None) -> Iterator[Photo | PhotoFailure]:
        """The photos to look at: files, or what is stored, as files in `staging`, or by its names alone."""
        from demeter_cli.ingesting import staged
        from pipeline.find import find_photos
        from pipeline.types import Photo

        if self.request.images is None:
            yield from find_photos(self.request.photos)
            return
        for one in self.request.images:
            if one.place and one.located_by:
                self.locator.assigned[one.sha256] = (one.located_by, one.place)
        if staging is None:
            yield from (Photo(Path(one.name), one.sha256, one.size) for one in self.request.images)
        else:
            yield from staged(self.connection, self.store, staging, self.request.images)

    def _count(self, run: RunInfo) -> None:
        from demeter_cli import output
        from pipeline.run import run as run_alone

        with (
            tempfile.TemporaryDirectory(prefix="demeter-") as staging,
            output.photo_progress(self.request.total) as advance,
        ):
            todo = self._claimed(run, Path(staging), advance)
            for outcome in self.crew.run(todo) if self.crew else run_alone(todo, self.config):
                advance(self._save(run, outcome))
                if self.request.images is not None:
                    outcome.photo.path.unlink(missing_ok=True)

    def _claimed(self, run: RunInfo, staging: Path, advance: Any) -> Iterator[Photo]:
        """The photos that are ours to count. What is known already is reported, and booked if it waited."""
        from db.ingest import Verdict, book_done, claim
        from pipeline.storage import image_id
        from pipeline.types import PhotoFailure

        for found in self._found(staging):
            if isinstance(found, PhotoFailure):
                self._add_failure(found)
                self.watch.photo(PhotoEvent(printable(found.photo.path), "failed", reason=found.reason))
                advance(0)
                continue
            located = self.locator.locate(found.path, found.sha256)
            place = located.place
            if found.sha256 in self.claims:
                self._add_duplicate(run, found, place)
                advance(0)
                continue
            image = (image_id(found.sha256), found)
            held = claim(self.connection, run, image, place, retry=self.request.retry)
            held = replace(held, located_by=located.by)
            self.claims[found.sha256] = held
            if held.verdict is Verdict.COUNT:
                yield replace(found, spacings=self._spacings(place))
                continue
            posted = book_done(self.connection, run, held).posted if held.verdict is Verdict.DONE else None
            self._add_row(found, held, posted, known=True)
            advance(0)

    def _spacings(self, place: Place | None) -> tuple[Spacing, ...]:
        """How much room plants take at the place, for the one method that asks."""
        from db.standing import spacings_at

        if place is None or self.config.estimator != "density":
            return ()
        known = spacings_at(self.connection, place.id, dt.datetime.now(dt.UTC))
        self.connection.rollback()
        return known

    def _save(self, run: RunInfo, outcome: PhotoOutcome) -> int:
        """Store and book one outcome; returns the plants in it."""
        from db.grids import cells_at
        from db.ingest import save_result
        from pipeline.errors import PhotoError
        from pipeline.grid import in_known_grids
        from pipeline.types import PhotoFailure

        held = self.claims[outcome.photo.sha256]
        if isinstance(outcome, PhotoFailure):
            return self._save_failure(held, outcome)
        held, outcome = self._located(held, outcome)
        cells = cells_at(self.connection, held.place.id if held.place else None)
        outcome = in_known_grids(outcome, cells)
        before = time.perf_counter()
        try:
            stored = self._store(held, outcome)
        except PhotoError as error:  # it went away, or is another one by now
            return self._save_failure(held, PhotoFailure(outcome.photo, str(error)))
        between = time.perf_counter()
        saved = save_result(self.connection, run, held, outcome, stored)
        own = {"store": between - before, "save": time.perf_counter() - between}
        self._add_row(outcome.photo, held, saved.posted)
        self.watch.photo(_event(outcome, saved.status, own))
        return outcome.main.total

    def _located(self, held: Claim, result: PhotoResult) -> tuple[Claim, PhotoResult]:
        """Now that the photo was read, its labels and position have a say in where it was taken."""
        from db.locating import far_from
        from pipeline.types import PhotoStatus

        photo = result.photo
        located = self.locator.locate(photo.path, photo.sha256, result.codes)
        warnings = list(located.warnings)
        if located.place and (far := far_from(self.connection, located.place, result.info.gps)):
            warnings.append(far)
        self.connection.rollback()
        held = self.claims[photo.sha256] = replace(held, place=located.place, located_by=located.by)
        if not warnings:
            return held, result
        status = PhotoStatus.WARNING if result.status is PhotoStatus.COMPLETED else result.status
        return held, replace(result, status=status, warnings=(*result.warnings, *warnings))

    def _save_failure(self, held: Claim, failure: PhotoFailure) -> int:
        from db.ingest import save_failure
        from demeter_cli import output

        self.crashed = self.crashed or failure.crashed
        output.report_failure(failure)
        save_failure(self.connection, held, failure)
        self._add_row(failure.photo, held, None)
        self._move_aside(failure)
        name = printable(failure.photo.path)
        self.watch.photo(PhotoEvent(name, "failed", tries=failure.tries, reason=failure.reason))
        return 0

    def _store(self, held: Claim, result: PhotoResult) -> Any:
        """Put the original and the evidence where they are kept, before any row says that they are there."""
        from db.sessions import Stored
        from pipeline.storage import SUFFIX_OF_FORMAT, evidence_key, original_key, thumbnail_key
        from pipeline.thumbnail import SUFFIX

        suffix = SUFFIX_OF_FORMAT.get(result.info.format, result.photo.path.suffix)
        key = original_key(result.photo.sha256, suffix, held.first_met.date())
        self.store.put_file(key, result.photo.path, result.photo.sha256)
        taken = result.info.taken_at
        if taken is not None and taken.tzinfo is None:
            taken = taken.replace(tzinfo=ZoneInfo(self.settings.timezone))
        thumbnail = evidence = None
        if result.thumbnail is not None:
            thumbnail = thumbnail_key(result.photo.sha256, SUFFIX, held.first_met.date())
            self.store.put_bytes(thumbnail, result.thumbnail)
        if result.evidence is not None:
            beside = evidence_key(result.photo.sha256, held.session_id, held.first_met.date())
            evidence = (beside, self.store.put_bytes(beside, result.evidence))
        return Stored(key, self._store_overlay(result.overlay), taken, evidence, thumbnail)

    def _store_overlay(self, drawn: Path | None) -> str | None:
        """The key of a picture that a worker drew; where the store is no folder, it goes there now."""
        from pipeline.storage import OVERLAYS, sha256_of

        if drawn is None:
            return None
        key = f"{OVERLAYS}/{drawn.parent.name}/{drawn.name}"
        if self.store.local(key) is None:
            self.store.put_file(key, drawn, sha256_of(drawn))
            drawn.unlink()
        return key

    def _add_row(self, photo: Photo, held: Claim, posted: int | None, known: bool = False) -> None:
        from demeter_cli.batch_rows import session_dict

        row = session_dict(self.connection, self.store, held.session_id)
        self.connection.rollback()
        told = {"photo": self._shown(photo), "sha256": photo.sha256, "known": known, "booked": posted}
        self.rows[photo.sha256] = row | told | ({"seconds": None} if known else {})

    def _shown(self, photo: Photo) -> str:
        """The path, or of what was stored the name that it came with."""
        return printable(photo.path if self.request.images is None else photo.path.name)

    def _add_failure(self, failure: PhotoFailure) -> None:
        """A file that could not even be read has no session."""
        from demeter_cli import output
        from demeter_cli.batch_rows import failure_dict

        output.report_failure(failure)
        self.rows[str(failure.photo.path)] = failure_dict(self._shown(failure.photo), failure.reason)
        self._move_aside(failure)

    def _move_aside(self, failure: PhotoFailure) -> None:
        from demeter_cli.ingesting import move_aside

        if self.settings.rejected_dir is not None and self.request.images is None and not failure.crashed:
            move_aside(failure, self.settings.rejected_dir)

    def _add_duplicate(self, run: RunInfo, photo: Photo, place: Place | None) -> None:
        """Another file with the same bytes. It counts once, and may bring the place that the first lacked."""
        from db.ingest import book_done
        from demeter_cli import output

        first = self.claims[photo.sha256]
        name = printable(photo.path)
        same = _("{photo} is the same photo as another one here; it counts once.").format(photo=name)
        if place is not None and first.place is None:
            self.locator.assigned[photo.sha256] = ("name", place)
            held = self.claims[photo.sha256] = replace(first, place=place)
            posted = book_done(self.connection, run, held).posted
            if photo.sha256 in self.rows:  # else it is still being counted, and gets its place when saved
                self._add_row(photo, held, posted)
        elif place is not None and first.place is not None and place != first.place:
            same = _(
                "{photo} is the same photo as another one here;"
                " it counts once, at {place} and not at {other}."
            )
            same = same.format(photo=name, place=first.place.code, other=place.code)
        output.tell(same)

    def plan(self) -> list[dict[str, Any]]:
        """What `run` would do, photo by photo."""
        from db.plan import look_up
        from pipeline.storage import image_id
        from pipeline.types import PhotoFailure

        self._find_places()
        key = (self.model[1], self.config.fingerprint())
        rows = []
        for found in self._found(None):
            if isinstance(found, PhotoFailure):
                rows.append({"photo": printable(found.photo.path), "place": None, "plan": found.reason})
                continue
            place = self.locator.locate(found.path, found.sha256).place
            image, asked = image_id(found.sha256), self.request
            plan = look_up(self.connection, image, key, place, retry=asked.retry, accept=asked.accept)
            code = place.code if place else None
            rows.append({"photo": printable(found.path), "place": code, "plan": plan})
        return rows


def _event(result: PhotoResult, status: str, own: dict[str, float]) -> PhotoEvent:
    """What a watch is told of a counted photo; `own` are the seconds of the parent's stages."""
    return PhotoEvent(
        printable(result.photo.path),
        str(status),
        result.seconds + sum(own.values()),
        {**result.stages, **own},
        result.tries,
        result.main.total,
    )


def model_identity(config: PipelineConfig) -> tuple[str, str]:
    """Name and sha256 of the two models together. Raises ModelError."""
    from pipeline.detect import detector_card
    from pipeline.weights import load_card

    cards = detector_card(config), load_card(config.segmenter.path)
    digest = hashlib.sha256("".join(card.digest for card in cards).encode()).hexdigest()
    return "+".join(card.label for card in cards), digest
