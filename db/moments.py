"""When something happened, as people write it. Pure."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from db.imports.dates import parse_day


def parse_moment(text: str, zone: ZoneInfo, now: dt.datetime) -> dt.datetime:
    """`2026-03-31`, `31/3/2026`, `2026-03-31T12:00` or `2026-03-31 12:00-03:00`, in the site's zone.

    A day means its end, so that what moved on a day comes after that day's photos; today means now. Raises
    ValueError with a phrase for after the name: for the future, a day that no calendar has, and a time that
    the clock showed twice, or never.
    """
    words = text.strip()
    if ":" not in words:
        day = parse_day(words)
        if day > now.astimezone(zone).date():
            raise ValueError(f"is in the future: {words}")
        end = dt.datetime.combine(day, dt.time.max, zone)
        return now.astimezone(zone) if end > now else end
    try:
        moment = dt.datetime.fromisoformat(words)
    except ValueError as error:
        raise ValueError(
            f"must be a day like 2026-03-31 or a moment like 2026-03-31T12:00, not {words!r}"
        ) from error
    moment = moment if moment.tzinfo else _of_the_clock(moment, zone)
    if moment > now:
        raise ValueError(f"is in the future: {words}")
    return moment


def _of_the_clock(naive: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """What the site's clock showed, as a moment. Raises ValueError where that is none, or two."""
    first, second = naive.replace(tzinfo=zone, fold=0), naive.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(dt.UTC).astimezone(zone).replace(tzinfo=None) != naive:
        raise ValueError(f"never was: the clocks in {zone.key} were put forward over {naive:%Y-%m-%d %H:%M}")
    raise ValueError(
        f"was twice, since the clocks in {zone.key} were put back: write {first.isoformat()} or "
        f"{second.isoformat()}"
    )
