"""What can go wrong while talking to PostgreSQL.

    DatabaseError
    ├── DatabaseUnavailable   it cannot be reached, refuses the login, or went away
    ├── SchemaMismatch        its schema is older or newer than this program
    └── EmbeddedServerError   our own server cannot be started here
    NotFound                  a code that a person gave is not in the database
    Unclear                   what a person gave may mean several things
    SeedError                 a seed file holds a row that cannot be loaded
    AuditRefused              an audit cannot do what is asked of it
    Forbidden                 the acting user does not have the role that this takes
    Refused                   a rule of the nursery forbids what was asked
    LedgerRefused             the books refuse an entry
    ├── InsufficientStock     a batch would hold less than nothing at some time
    ├── ClosedPeriod          it would change a month that is closed
    ├── ConfigMismatch        it is not what is configured to grow at the place
    │   ├── ProductMismatch
    │   └── PackagingMismatch
    ├── AlreadyUndone         it was taken back before
    ├── AlreadyReconciled     another reconciliation answers for a part of the same time
    └── AlreadyDecided        a count was accepted or rejected before
    Busy                      another run holds the lock

Every message says what happened, where, and what to do.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.words import Sentence, joined


class DatabaseError(Exception):
    """The database cannot be used."""


class DatabaseUnavailable(DatabaseError):
    """The database cannot be reached, refuses the login, or went away."""


class SchemaMismatch(DatabaseError):
    """The schema in the database is older or newer than this program."""


class EmbeddedServerError(DatabaseError):
    """Our own PostgreSQL server cannot be started here."""


class NotFound(Exception):
    """A code that a person gave is not in the database."""


class Unclear(Exception):
    """What a person gave may mean several things, or too little to mean one."""


class SeedError(Exception):
    """A seed file holds a row that cannot be loaded."""


class UnreadableFile(Exception):
    """A file that a person gave is no table, or no map, that can be read."""


class AuditRefused(Exception):
    """An audit cannot do what is asked of it: too few tiles, too late, or nothing to correct."""


class Forbidden(Exception):
    """The acting user does not have the role that this takes."""


class Refused(Exception):
    """A rule of the nursery forbids what was asked, such as to deactivate what is in stock."""


class LedgerRefused(Exception):
    """The books refuse an entry, and nothing of the booking that it belongs to was written.

    `entry` is the `db.movements.Entry` that is at fault, where it is one alone.
    """

    def __init__(self, sentence: str, entry: object = None) -> None:
        super().__init__(sentence)
        self.entry = entry


@dataclass(frozen=True, slots=True)
class Shortage:
    """The first time at which a batch would lack plants."""

    batch_id: int
    what: str  # `MAM-BOC-001 in MAC-R8-T at N01-NORTE-C07`
    at: dt.datetime
    plants: int  # that lack


class InsufficientStock(LedgerRefused):
    """Batches would hold less than nothing."""

    def __init__(self, shortages: Sequence[Shortage], zone: dt.tzinfo = dt.UTC) -> None:
        self.shortages = tuple(shortages)
        super().__init__(joined(_lacking(shortage, zone) for shortage in shortages))

    def told_in(self, zone: dt.tzinfo) -> InsufficientStock:
        """The same with times as the clock at the site shows them."""
        return InsufficientStock(self.shortages, zone)


def _lacking(shortage: Shortage, zone: dt.tzinfo) -> Sentence:
    return Sentence(
        "{lot} would hold −{n} on {at:%Y-%m-%d at %H:%M}",
        lot=shortage.what,
        n=shortage.plants,
        at=shortage.at.astimezone(zone),
    )


class ClosedPeriod(LedgerRefused):
    """It would change a month that is closed."""


class ConfigMismatch(LedgerRefused):
    """It is not what is configured to grow at the place."""


class ProductMismatch(ConfigMismatch):
    """Another product is configured to grow at the place."""


class PackagingMismatch(ConfigMismatch):
    """Another pot, or none, is configured at the place."""


class AlreadyUndone(LedgerRefused):
    """A movement is taken back once."""


class AlreadyReconciled(LedgerRefused):
    """Another reconciliation that was posted answers for a part of the same time."""


class AlreadyDecided(LedgerRefused):
    """A count was accepted or rejected before."""


class Busy(Exception):
    """Another run holds the lock; try again later."""
