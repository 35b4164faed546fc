"""Months that are closed: nothing dated in one is added, taken back or decided any more.

Months are closed in order, so there is one moment from which the books are open. Whoever writes holds that
moment until commit, and whoever closes a month waits for those who write.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection, func, select

from db.errors import ClosedPeriod
from db.models.periods import Period


def hold_periods(connection: Connection) -> dt.datetime | None:
    """Since when the books are open (None: from the beginning). It stays so until the transaction ends."""
    return connection.scalar(select(func.hold_periods()))


def require_open(connection: Connection, moment: dt.datetime) -> dt.datetime | None:
    """Raises ClosedPeriod where what happened at the moment can no longer be booked; else as hold_periods."""
    open_from = hold_periods(connection)
    if open_from is not None and moment < open_from:
        month = connection.scalar(select(func.max(Period.month)))
        raise ClosedPeriod(
            f"the books are closed up to and including {month:%Y-%m}: nothing dated {moment:%Y-%m-%d} can be "
            "booked any more; date it in an open month, and say in the reason when it happened"
        )
    return open_from
