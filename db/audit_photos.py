"""The photos that an audit may draw from, and what the machine counted in each, plant by plant."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Select, exists, func, select

from db.errors import NotFound
from db.models.catalog import Product
from db.models.photos import Detection, Estimation, Image, PhotoSession, SessionContainer
from db.models.places import StorageLocation
from db.models.stock import Count, StockBatch
from db.models.vocabulary import CountSource, CountStatus
from pipeline.audit.records import Band, CountedPhoto, Domain, season_of
from pipeline.types import Container, ContainerKind, Role
from pipeline.words import Sentence


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which photos an audit is about; None means all. `place` also takes the places below: a bay or bed."""

    place: str | None = None
    product: str | None = None
    since: dt.date | None = None  # of taking the photo, the last day included
    until: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A photo that was counted and whose count stands in the books."""

    session_id: int
    model: tuple[str, str, str]  # name, sha256, config hash
    product_id: int
    sku: str
    product: str
    place: str
    taken: dt.datetime
    original_key: str
    width: int
    height: int

    @property
    def domain(self) -> Domain:
        return Domain(self.product_id, season_of(self.taken))


def candidates(connection: Connection, wanted: Wanted) -> list[Candidate]:
    """The wanted photos of the model and configuration that counted the newest of them: what another model
    counted says nothing about this one. Raises NotFound where there are none."""
    rows = [_candidate(dict(row._mapping)) for row in connection.execute(_booked(wanted))]
    if not rows:
        raise NotFound(
            Sentence(
                "no booked photo whose plants are still kept matches: widen the filters, or"
                " count photos first"
            )
        )
    newest = rows[-1].model[1:]
    return [row for row in rows if row.model[1:] == newest]


# When a photo was taken by its camera's clock, else when it was first met.
TAKEN = func.coalesce(
    Image.captured_at_local, func.timezone("UTC", func.coalesce(Image.captured_at, Image.created_at))
)


def _booked(wanted: Wanted) -> Select[*tuple[Any, ...]]:
    query: Select[*tuple[Any, ...]] = (
        select(
            PhotoSession.id.label("session_id"),
            PhotoSession.model,
            PhotoSession.model_sha256,
            PhotoSession.config_hash,
            Product.id.label("product_id"),
            Product.sku,
            Product.common_name.label("product"),
            StorageLocation.code.label("place"),
            TAKEN.label("taken"),
            Image.storage_key.label("original_key"),
            Image.width_px.label("width"),
            Image.height_px.label("height"),
        )
        .join(Image, Image.id == PhotoSession.image_id)
        .join(StorageLocation, StorageLocation.id == PhotoSession.storage_location_id)
        .join(Count, Count.session_id == PhotoSession.id)
        .join(StockBatch, StockBatch.id == Count.batch_id)
        .join(Product, Product.id == StockBatch.product_id)
        .where(
            Count.source == CountSource.FOTO.value,
            Count.status == CountStatus.ACCEPTED.value,
            Image.storage_key.is_not(None),
            exists().where(Detection.session_id == PhotoSession.id),
        )
        .distinct()
        .order_by(PhotoSession.id)
    )
    if wanted.place is not None:
        code = wanted.place.upper()
        inside = StorageLocation.code.startswith(f"{code}-", autoescape=True)
        query = query.where((StorageLocation.code == code) | inside)
    if wanted.product is not None:
        query = query.where(func.upper(Product.sku) == wanted.product.upper())
    if wanted.since is not None:
        query = query.where(wanted.since <= TAKEN)
    if wanted.until is not None:
        query = query.where(wanted.until + dt.timedelta(days=1) > TAKEN)
    return query


def _candidate(row: Mapping[str, Any]) -> Candidate:
    model = (row["model"], row["model_sha256"], row["config_hash"])
    others = {key: value for key, value in row.items() if key not in ("model", "model_sha256", "config_hash")}
    return Candidate(model=model, **others)


def counted_photo(connection: Connection, candidate: Candidate) -> CountedPhoto:
    """What the machine counted in a photo, plant by plant."""
    table = SessionContainer
    containers = connection.execute(
        select(table.id, table.kind, table.role, table.polygon, table.score, table.hidden)
        .where(table.session_id == candidate.session_id)
        .order_by(table.ordinal)
    ).all()
    index = {row.id: i for i, row in enumerate(containers)}
    plants = connection.execute(
        select(
            Detection.center_x_px,
            Detection.center_y_px,
            func.sqrt(Detection.width_px * Detection.height_px),
            Detection.session_container_id,
        )
        .where(
            Detection.session_id == candidate.session_id, Detection.is_alive, ~Detection.is_empty_container
        )
        .order_by(Detection.id)
    ).all()
    figures = np.array([row[:3] for row in plants], np.float32).reshape(-1, 3)
    return CountedPhoto(
        session_id=candidate.session_id,
        width=candidate.width,
        height=candidate.height,
        containers=tuple(
            Container(
                ContainerKind(row.kind),
                np.array(row.polygon, np.float32).reshape(-1, 2),
                row.score,
                Role(row.role),
            )
            for row in containers
        ),
        bands=tuple(_bands(connection, candidate.session_id, {row.id: row.hidden for row in containers})),
        middles=figures[:, :2],
        sizes=figures[:, 2],
        owner=np.array([index[row.session_container_id] for row in plants], np.intp),
    )


def _bands(connection: Connection, session_id: int, hidden: Mapping[int, int]) -> Iterator[Band]:
    """Each container's hidden plants, shared out as its estimations say; evenly where they are gone."""
    rows = connection.execute(
        select(Estimation.session_container_id, Estimation.y_start, Estimation.y_end, Estimation.plants)
        .where(Estimation.session_id == session_id)
        .order_by(Estimation.id)
    ).all()
    for i, (container, plants) in enumerate(hidden.items()):
        own = [row for row in rows if row.session_container_id == container]
        total = sum(row.plants for row in own)
        if total > 0:
            yield from (Band(i, row.y_start, row.y_end, row.plants * plants / total) for row in own)
        else:
            yield Band(i, -np.inf, np.inf, plants)
