"""What can go wrong while talking to PostgreSQL.

    DatabaseError
    ├── DatabaseUnavailable   it cannot be reached, refuses the login, or went away
    ├── SchemaMismatch        its schema is older or newer than this program
    └── EmbeddedServerError   our own server cannot be started here
    NotFound                  a code that a person gave is not in the database
    SeedError                 a seed file holds a row that cannot be loaded
    AuditRefused              an audit cannot do what is asked of it
    Forbidden                 the acting user does not have the role that this takes
    Refused                   a rule of the nursery forbids what was asked
    Busy                      another run holds the lock

Every message says what happened, where, and what to do.
"""

from __future__ import annotations


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


class Busy(Exception):
    """Another run holds the lock; try again later."""
