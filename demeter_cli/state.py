"""`demeter` alone: the state of the site in ten lines, and what to do next."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from demeter_cli import output
from demeter_cli.language import N_, _, day, moment, month, n_, number
from demeter_cli.vocabulary import word

if TYPE_CHECKING:
    from db.overview import LastRun, Overview
    from demeter_cli.settings import Settings

STALE_DAYS = 35  # a month's round of photos is over
_WIDEST = 11


def show_state(config: Path | None) -> None:
    """Never makes a database: where there is none, it says how to begin."""
    from db.overview import overview
    from demeter_cli.settings import load_settings
    from demeter_cli.site import has_embedded_database, open_database

    settings = load_settings(config)
    if settings.database_url is None and not has_embedded_database(settings):
        for line in _beginning(settings):
            output.say(line, wrap=False)
        return
    with open_database(settings) as connection:
        found = overview(connection)
    for heading, text in _lines(found, settings):
        output.say_beside(f"{_(heading):<{_WIDEST}}", text)


def _beginning(settings: Settings) -> Iterator[str]:
    yield f"Demeter {version('demeter')}"
    yield _("There is no database in {folder} yet.").format(folder=settings.data_dir)
    yield _("To begin, count some photos: demeter process PHOTOS makes one, with a demo nursery in it.")
    yield _("To look first, without a database: demeter count PHOTOS")
    yield _("With a PostgreSQL of your own: set DEMETER_DATABASE_URL, then run demeter db upgrade")
    yield _("All commands: demeter --help")


def _lines(found: Overview, settings: Settings) -> Iterator[tuple[str, str]]:
    """Heading and text."""
    zone = ZoneInfo(settings.timezone)
    now = dt.datetime.now(zone)
    where = _("your PostgreSQL") if settings.database_url is not None else str(settings.data_dir)
    yield "Demeter", f"{version('demeter')}, {where}"
    yield N_("Stock"), _stock(found)
    if found.counted_at is not None:
        oldest, newest = (at.astimezone(zone) for at in found.counted_at)
        since = _("from {oldest} to {newest}").format(oldest=day(oldest), newest=day(newest))
        yield N_("Counted"), day(newest) if day(oldest) == day(newest) else since
    if found.last_run is not None:
        yield N_("Last run"), _run(found.last_run, zone)
    if waiting := list(_waiting(found)):
        yield N_("Waiting"), "; ".join(waiting)
    if found.closed is not None:
        yield N_("Closed"), _("up to {month}").format(month=month(found.closed))
    yield from zip((N_("Next"), "", ""), _next(found, now), strict=False)
    yield N_("Help"), "demeter --help"


def _stock(found: Overview) -> str:
    if not found.stocked:
        return _("none yet; the site has {n} places").format(n=number(found.places))
    plants = n_("{n} plant", "{n} plants", found.plants).format(n=number(found.plants))
    if found.low is not None and found.low != found.high:
        plants += " " + _("(90 % range {range})").format(range=output.interval(found.low, found.high))
    at = _("at {stocked} of {places} places")
    return f"{plants} " + at.format(stocked=number(found.stocked), places=number(found.places))


def _run(run: LastRun, zone: ZoneInfo) -> str:
    photos = n_("{n} photo", "{n} photos", run.photos).format(n=number(run.photos))
    told = f"{moment(run.started_at.astimezone(zone))}: {run.command}, {photos}, {word(run.status)}"
    if run.failures:
        told += ", " + _("{n} failed").format(n=number(run.failures))
    return told


# What waits, by the status of a photo, and what to do about it.
_WAITS = {
    "needs_location": (
        N_("{n} photo without a place"),
        N_("{n} photos without a place"),
        N_("demeter photos list, then demeter photos assign N --to PLACE"),
    ),
    "needs_config": (
        N_("{n} photo of a place where nothing is configured to grow"),
        N_("{n} photos of places where nothing is configured to grow"),
        N_("demeter photos list, then demeter photos configure N --product SKU"),
    ),
    "needs_calibration": (
        N_("{n} photo without calibration"),
        N_("{n} photos without calibration"),
        N_("demeter photos list"),
    ),
    "refused": (
        N_("{n} photo to take again"),
        N_("{n} photos to take again"),
        N_("take the refused photos again, or process --accept-doubtful"),
    ),
    "failed": (
        N_("{n} photo that failed"),
        N_("{n} photos that failed"),
        N_("demeter photos list, then demeter photos retry N"),
    ),
}


def _waiting(found: Overview) -> Iterator[str]:
    for status, count in found.waiting.items():
        one, many, _remedy = _WAITS[status]
        yield (_(one) if count == 1 else _(many)).format(n=number(count))
    if found.stored:
        stored = n_("{n} photo to count", "{n} photos to count", found.stored)
        yield stored.format(n=number(found.stored))
    if found.undecided:
        undecided = n_("{n} count to decide about", "{n} counts to decide about", found.undecided)
        yield undecided.format(n=number(found.undecided))


def _next(found: Overview, now: dt.datetime) -> Iterator[str]:
    """What to do, the most urgent first."""
    if found.last_run is not None and found.last_run.status in ("failed", "interrupted"):
        yield _("the last run did not finish: run it again, it does the rest")
    if found.stored:
        yield _("demeter process --pending counts what is stored")
    if found.undecided:
        yield _("demeter photos list, then demeter photos accept or reject")
    for status in found.waiting:
        yield _(_WAITS[status][2])
    last_month = (now.date().replace(day=1) - dt.timedelta(days=1)).replace(day=1)
    if found.stocked and (found.closed is None or found.closed < last_month):
        yield _("demeter reconcile, then demeter period close: {month} is over").format(
            month=month(last_month)
        )
    if not found.stocked:
        yield _("demeter process PHOTOS counts photos and books them")
    elif found.counted_at is not None and now - found.counted_at[0] > dt.timedelta(days=STALE_DAYS):
        yield _("photograph again what was not counted for {n} days").format(n=STALE_DAYS)
    else:
        yield _("demeter report stock shows what stands where")
