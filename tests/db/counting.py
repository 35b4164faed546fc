"""The steps of a counting run, short to write in a test."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection, func, select

from db import reports
from db.ingest import Claim, Saved, Verdict, claim, save_result
from db.models.photos import Detection, Estimation, Image, PhotoSession, SessionContainer
from db.models.stock import Count, StockBatch, StockMovement
from db.places import Place, PlaceIndex
from db.runs import RunInfo, start_run
from db.sessions import Stored
from db.stock import user_id
from pipeline.storage import image_id, original_key
from pipeline.types import Photo, PhotoResult

MODEL = ("plant-1+containers-1", "a" * 64)
FACTS = (Image, PhotoSession, SessionContainer, Detection, Estimation, Count, StockBatch, StockMovement)


def begin(connection: Connection, model: tuple[str, str] = MODEL) -> RunInfo:
    user = user_id(connection, "system@demeter.local")
    connection.rollback()
    return start_run(connection, "process", model, "c0ffee", user)


def place(connection: Connection, code: str) -> Place:
    found = PlaceIndex.load(connection).named(code)
    connection.rollback()
    return found


def take(connection: Connection, run: RunInfo, photo: Photo, where: Place | None) -> Claim:
    return claim(connection, run, (image_id(photo.sha256), photo), where)


def save(connection: Connection, run: RunInfo, held: Claim, result: PhotoResult) -> Saved:
    key = original_key(result.photo.sha256, ".jpg", held.first_met.date())
    return save_result(connection, run, held, result, Stored(key, None, result.info.taken_at))


def count_photo(
    connection: Connection, run: RunInfo, result: PhotoResult, code: str | None = "N01-NORTE-C01"
) -> Saved:
    held = take(connection, run, result.photo, place(connection, code) if code else None)
    assert held.verdict is Verdict.COUNT
    return save(connection, run, held, result)


def stock_of(connection: Connection, as_of: dt.datetime | None = None) -> dict[str, int]:
    rows = reports.stock(connection, as_of)
    connection.rollback()
    return {row.place: row.plants for row in rows}


def rows_in(connection: Connection) -> dict[str, int | None]:
    counted = {t.__tablename__: connection.scalar(select(func.count()).select_from(t)) for t in FACTS}
    connection.rollback()
    return counted
