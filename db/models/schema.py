"""The whole schema: every file of tables is imported here."""

from __future__ import annotations

from db.models import (
    audits,
    catalog,
    changes,
    imports,
    people,
    periods,
    photos,
    places,
    prices,
    restatements,
    samples,
    stock,
)
from db.models.base import Base

MODELS = (
    *(people, catalog, places, photos, stock),
    *(audits, changes, imports, periods, prices, restatements, samples),
)
METADATA = Base.metadata
