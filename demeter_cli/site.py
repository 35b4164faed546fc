"""The database of this installation: the embedded server, or the one that the settings name."""

from __future__ import annotations

import datetime as dt
import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from demeter_cli import output
from demeter_cli.completing import renew_codes
from demeter_cli.language import _
from demeter_cli.settings import Settings, os_login, shipped

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr
    from sqlalchemy import Connection

    from db.runs import Policy
    from pipeline.storage import Store
    from pipeline.types import Severity

T = TypeVar("T")
# Who may do what, besides an admin, who may do all of it. The system counts photos by itself, every night.
WORKERS = ("worker", "supervisor")
COUNTERS = (*WORKERS, "system")
DECIDERS = ("supervisor",)


def actor(connection: Connection, settings: Settings, *roles: str, user: str | None = None) -> int:
    """The user who acts: `user`, which is the flag, else the setting, else the login on this machine.

    The rest of the transaction is in their name. Raises NotFound, and Forbidden without one of the roles.
    """
    from db.acting import acting_user, require_role

    found = acting_user(connection, user or settings.user, os_login())
    require_role(connection, found, *roles)
    return found


def booking(connection: Connection, zone: dt.tzinfo, work: Callable[[], T], *, keep: bool = True) -> T:
    """Do what books, again where another program got in its way (db.engine.retry); refusals tell the site's
    time."""
    from db.engine import retry
    from db.errors import InsufficientStock

    try:
        return retry(connection, work, keep=keep)
    except InsufficientStock as error:
        raise error.told_in(zone) from None


def policy_of(settings: Settings, repeat: Severity | None = None, *, accept: bool = False) -> Policy:
    """What becomes of doubtful photos, by the settings."""
    from zoneinfo import ZoneInfo

    from db.models.vocabulary import DayRule
    from db.plausible import Limits
    from db.runs import Policy
    from db.same_day import SameDay

    limits = Limits(settings.accept_width, settings.accept_gain, settings.accept_loss)
    day = SameDay(DayRule(settings.same_day), ZoneInfo(settings.timezone))
    return Policy(repeat, accept, limits if settings.accept == "review" else None, day)


@contextmanager
def open_database(settings: Settings, *, prepared: bool = True) -> Iterator[Connection]:
    """The one connection of a command, to a database whose schema fits this program.

    Without a setting an embedded PostgreSQL starts; a new one is migrated and gets the demo nursery, and
    says so. In a database that the settings name, nothing is migrated or seeded unasked. `prepared=False`
    leaves the schema as it is, for the commands that change it.
    """
    from db import migrate
    from db.engine import connect

    with database_url(settings) as url:
        with connect(url) as connection:
            is_new = migrate.current(connection) is None
            connection.rollback()
        if prepared and settings.database_url is None and (is_new or _filling(settings).exists()):
            _fill_new_database(url, settings)
        with connect(url) as connection:
            if prepared:
                migrate.check(connection)
                connection.rollback()
            yield connection
            if prepared:
                connection.rollback()  # what was to be kept is committed by now
                renew_codes(connection)


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """Where the database is; our own server runs as long as the context lasts."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    from db.embedded import embedded_server

    with embedded_server(settings.data_dir, notify=output.tell) as server:
        yield server.url


def open_store(settings: Settings) -> Store:
    """Where the files of photos are: the folder of this installation, or what `storage_url` names."""
    from pipeline.storage import S3Options
    from pipeline.storage import open_store as opened

    def plain(secret: SecretStr | None) -> str | None:
        return secret.get_secret_value() if secret else None

    options = S3Options(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key=plain(settings.s3_access_key),
        secret_key=plain(settings.s3_secret_key),
        encryption=None if settings.s3_encryption == "none" else settings.s3_encryption,
        kms_key=settings.s3_kms_key,
        timeout=settings.s3_timeout,
        attempts=settings.s3_attempts,
    )
    return opened(settings.storage_url, settings.photo_dir, options, settings.data_dir / "state")


def overlay_folder(settings: Settings, store: Store, day: dt.date) -> Path:
    """Where workers draw a day's pictures: in the store where it is a folder, else beside it, to be sent."""
    from pipeline.storage import OVERLAYS

    key = f"{OVERLAYS}/{day.isoformat()}"
    return store.local(key) or settings.data_dir / "staging" / key


def has_embedded_database(settings: Settings) -> bool:
    """Whether an earlier command made the embedded database."""
    return (settings.data_dir / "postgres" / "PG_VERSION").exists()


def _filling(settings: Settings) -> Path:
    """A file that is there from before the first table until after the last seed: what a killed command left
    undone in between, the next one does. All of it may be repeated."""
    return settings.data_dir / "postgres.filling"


def _fill_new_database(url: str, settings: Settings) -> None:
    from db import migrate
    from db.engine import connect
    from db.seeds import load_seeds

    with _filling(settings).open("a") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)  # of several first commands, one
        if not _filling(settings).exists():
            return  # another one did it while we waited
        new = _("New database in {data_dir}: creating tables and loading the demo nursery.")
        output.tell(new.format(data_dir=settings.data_dir))
        migrate.upgrade(url)
        with connect(url) as connection:
            for folder in ("seeds", "seeds/demo"):
                load_seeds(connection, shipped(folder))
        _filling(settings).unlink()
