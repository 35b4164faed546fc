"""What was read from files that people made: each row with its verdict, so that nothing is dropped silently.

`import_runs` and `import_rows` are written once and never changed; triggers (in the migrations) see to it.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import (
    Base,
    BigId,
    Document,
    Id,
    Now,
    Tally,
    Touched,
    at_least,
    check,
    matches,
    natural_key,
    one_of,
)
from db.models.people import User
from db.models.places import Warehouse
from db.models.vocabulary import AliasKind, ImportStatus, ImportVerdict


class ImportRun(Base):
    """One file, read once. A file that was loaded is not loaded again: its content is its key."""

    __tablename__ = "import_runs"
    __table_args__ = (
        matches("importer", "[a-z_]+"),
        matches("file_sha256", "[0-9a-f]{64}"),
        one_of("status", ImportStatus),
        *at_least(0, "loaded", "fixed", "rejected"),
        check("adds_up", "read = loaded + fixed + rejected"),
        check("finished_at", "finished_at >= started_at"),
        Index(
            "uq_import_runs_loaded_once",
            "importer",
            "file_sha256",
            unique=True,
            postgresql_where=text("status = 'loaded'"),
        ),
        Index("ix_import_runs_user_id", "user_id"),
    )

    id: Mapped[Id]
    importer: Mapped[str]
    file_name: Mapped[str]
    file_sha256: Mapped[str]
    encoding: Mapped[str]
    delimiter: Mapped[str | None]
    notes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    status: Mapped[str]
    read: Mapped[Tally]
    loaded: Mapped[Tally]
    fixed: Mapped[Tally]
    rejected: Mapped[Tally]
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"))
    started_at: Mapped[dt.datetime]
    finished_at: Mapped[Now]


class ImportRow(Base):
    """A row as it stood in the file, as it was understood, and what became of it."""

    __tablename__ = "import_rows"
    __table_args__ = (
        UniqueConstraint("import_run_id", "number"),
        one_of("verdict", ImportVerdict),
        *at_least(1, "number", "line"),
        check("fields", "jsonb_typeof(fields) = 'object'"),
        check("reason", "verdict = 'loaded' OR coalesce(reason, '') <> ''"),
        Index(
            "ix_import_rows_rejected",
            "import_run_id",
            postgresql_where=text("verdict = 'rejected'"),
        ),
    )

    id: Mapped[BigId]
    import_run_id: Mapped[int] = mapped_column(ForeignKey(ImportRun.id, ondelete="RESTRICT"))
    number: Mapped[int]  # of the row among those read, from 1
    line: Mapped[int]  # of the file
    raw: Mapped[str]
    fields: Mapped[Document]
    verdict: Mapped[str]
    reason: Mapped[str | None]
    target: Mapped[str | None]  # what it became: a place, a product, a movement


class ImportAlias(Base):
    """Another spelling of a genus, a species or a place. `alias` holds letters and digits only."""

    __tablename__ = "import_aliases"
    __table_args__ = (
        UniqueConstraint("kind", "alias"),
        one_of("kind", AliasKind),
        check("alias", "alias <> ''"),
        check("name", "name <> ''"),
        natural_key("kind", "alias"),
    )

    id: Mapped[Id]
    kind: Mapped[str]
    alias: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]


class MapFeature(Base):
    """A shape of a drawn map, kept as it was drawn. A polygon that is a building is a warehouse too."""

    __tablename__ = "map_features"
    __table_args__ = (
        UniqueConstraint("source", "number"),
        check("geometry", "geometry->>'type' IN ('Polygon', 'MultiPolygon', 'LineString')"),
        *at_least(0, "area_m2", "length_m"),
        Index("ix_map_features_warehouse_id", "warehouse_id"),
    )

    id: Mapped[Id]
    source: Mapped[str]
    number: Mapped[int]  # within its source, from 1
    name: Mapped[str]
    description: Mapped[str | None]
    geometry: Mapped[dict[str, Any]]
    area_m2: Mapped[float | None]
    length_m: Mapped[float | None]
    warehouse_id: Mapped[int | None] = mapped_column(ForeignKey(Warehouse.id, ondelete="RESTRICT"))
    created_at: Mapped[Now]
