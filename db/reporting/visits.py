"""How fresh counts are, and how photos fared."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict

from sqlalchemy import Connection, func, select

from db.models.photos import Image, PhotoSession
from db.models.places import StorageLocation
from db.models.stock import Count
from db.models.vocabulary import CountStatus
from db.reporting.frame import Column, Kind, Report, Wanted
from db.reporting.groups import Groups
from db.reports import stock
from pipeline.words import Sentence, marked

MOST_PHOTOS = 100_000
_FINE = frozenset({"completed", "warning"})


def stale(connection: Connection, wanted: Wanted) -> Report:
    """Active places that no accepted count showed in the last `days` before `until`, the longest ago first;
    those that were never counted come last."""
    places = Groups(connection).places(wanted)
    last = (
        select(Count.location_id, func.max(Count.counted_at).label("at"))
        .where(Count.status == CountStatus.ACCEPTED.value, Count.counted_at <= wanted.until)
        .group_by(Count.location_id)
        .subquery()
    )
    plants: dict[str, int] = defaultdict(int)
    for row in stock(connection, wanted.until):
        plants[row.place] += row.plants
    found = connection.execute(
        select(StorageLocation.code, last.c.at)
        .outerjoin(last, last.c.location_id == StorageLocation.id)
        .where(StorageLocation.active)
        .order_by(last.c.at.nulls_last(), StorageLocation.code)
    ).all()
    rows = [
        {
            "place": code,
            "counted_at": at,
            "days": None if at is None else (wanted.until - at).days,
            "plants": plants[code],
        }
        for code, at in found
        if (places is None or code in places)
        and (at is None or wanted.until - at > dt.timedelta(wanted.days))
    ]
    columns = (
        Column("place", marked("place")),
        Column("counted_at", marked("last count"), Kind.DAY),
        Column("days", marked("days"), Kind.COUNT),
        Column("plants", marked("plants"), Kind.COUNT),
    )
    total = {"place": None, "plants": sum(row["plants"] for row in rows)} if rows else None
    note = Sentence("{n} places were not counted for {days} days.", n=len(rows), days=wanted.days)
    return Report("stale", marked("Places to count"), columns, tuple(rows), total, (note,) if rows else ())


def photo_log(connection: Connection, wanted: Wanted) -> Report:
    """The photos taken in the period with the last session of each, the newest first, and how many of them
    count."""
    places = Groups(connection).places(wanted)
    taken = func.coalesce(Image.captured_at, Image.created_at)
    last = select(func.max(PhotoSession.id)).group_by(PhotoSession.image_id).scalar_subquery()
    found = connection.execute(
        select(
            taken.label("taken"),
            Image.original_name.label("photo"),
            StorageLocation.code.label("place"),
            PhotoSession.status,
            (PhotoSession.main_seen + PhotoSession.main_hidden).label("plants"),
            *(PhotoSession.main_low.label("low"), PhotoSession.main_high.label("high")),
            *(PhotoSession.seconds, PhotoSession.error_message.label("error")),
        )
        .join(Image, Image.id == PhotoSession.image_id)
        .outerjoin(StorageLocation, StorageLocation.id == PhotoSession.storage_location_id)
        .where(PhotoSession.id.in_(last), taken > wanted.since, taken <= wanted.until)
        .order_by(taken.desc(), PhotoSession.id.desc())
        .limit(MOST_PHOTOS)
    )
    rows = [
        row._asdict() | ({"plants": None} if row.low is None else {})
        for row in found
        if places is None or row.place in places
    ]
    statuses = Counter(row["status"] for row in rows)
    fine = sum(statuses[status] for status in _FINE)
    seconds = [row["seconds"] for row in rows if row["seconds"]]
    notes: list[str] = []
    if rows:
        notes.append(Sentence("{fine} of {n} photos were counted and booked.", fine=fine, n=len(rows)))
    if seconds:
        mean = sum(seconds) / len(seconds)
        notes.append(Sentence("A photo took {seconds:.1f} seconds on average.", seconds=mean))
    columns = (
        Column("taken", marked("taken"), Kind.MOMENT),
        Column("photo", marked("photo")),
        Column("place", marked("place")),
        Column("status", marked("status")),
        Column("plants", marked("plants"), Kind.COUNT),
        Column("low", marked("low"), Kind.COUNT),
        Column("high", marked("high"), Kind.COUNT),
        Column("seconds", marked("sec"), Kind.NUMBER),
        Column("error", marked("error")),
    )
    return Report("photos", marked("Photos"), columns, tuple(rows), None, tuple(notes))
