"""When something happened, as people write it. Pure."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from db.imports.dates import parse_day
from pipeline.words import Sentence


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
            raise ValueError(Sentence("is in the future: {words}", words=words))
        end = dt.datetime.combine(day, dt.time.max, zone)
        return now.astimezone(zone) if end > now else end
    try:
        moment = dt.datetime.fromisoformat(words)
    except ValueError as error:
        raise ValueError(
            Sentence(
                "must be a day like 2026-03-31 or a moment like 2026-03-31T12:00, not {words!r}", words=words
            )
        ) from error
    moment = moment if moment.tzinfo else _of_the_clock(moment, zone)
    if moment > now:
        raise ValueError(Sentence("is in the future: {words}", words=words))
    return moment


def _of_the_clock(naive: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """What the site's clock showed, as a moment. Raises ValueError where that is none, or two."""
    first, second = naive.replace(tzinfo=zone, fold=0), naive.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    if first.astimezone(dt.UTC).astimezone(zone).replace(tzinfo=None) != naive:
        raise ValueError(
            Sentence(
                "never was: the clocks in {key} were put forward over {naive:%Y-%m-%d %H:%M}",
                key=zone.key,
                naive=naive,
            )
        )
    raise ValueError(
        Sentence(
            "was twice, since the clocks in {key} were put back: write {first} or {second}",
            key=zone.key,
            first=first.isoformat(),
            second=second.isoformat(),
        )
    )
