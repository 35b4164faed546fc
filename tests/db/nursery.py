"""The smallest nursery that a movement can be written in, for tests of the database's own rules."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, text

from db.models.schema import METADATA

TABLES = METADATA.tables
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def add(connection: Connection, table: str, **values: Any) -> int:
    return int(
        connection.execute(insert(TABLES[table]).values(values).returning(TABLES[table].c.id)).scalar_one()
    )


@dataclass(frozen=True)
class Nursery:
    """One place, one bin, one batch without plants, and who counts them."""

    connection: Connection
    user: int
    product: int
    state: int
    location: int
    bin_type: int
    bin: int
    batch: int

    def move(self, movement_type: str, quantity: int, **values: Any) -> int:
        """Write a movement and what it does to the batch."""
        bin_column = "destination_bin_id" if quantity > 0 else "source_bin_id"
        defaults = {
            "batch_id": self.batch,
            bin_column: self.bin,
            "user_id": self.user,
            "source_type": "manual",
            "occurred_at": NOON,
        }
        values = defaults | {"movement_type": movement_type, "quantity": quantity} | values
        self.connection.execute(
            text("UPDATE stock_batches SET quantity_current = quantity_current + :q WHERE id = :id"),
            {"q": quantity, "id": values["batch_id"]},
        )
        return add(self.connection, "stock_movements", **values)

    def count(self, quantity: int, **values: Any) -> int:
        defaults = {"location_id": self.location, "batch_id": self.batch, "user_id": self.user}
        return add(
            self.connection,
            "counts",
            **defaults | {"source": "manual", "counted_at": NOON, "quantity": quantity} | values,
        )


def build_nursery(connection: Connection) -> Nursery:
    user = add(connection, "users", email="ana@vivero.ar", first_name="Ana", last_name="Paz")
    category = add(connection, "product_categories", code="CACTUS", name="Cactus")
    family = add(connection, "product_families", category_id=category, name="Mammillaria")
    product = add(connection, "products", family_id=family, sku="MAM-BOC-001", common_name="bocasana")
    state = add(connection, "product_states", code="ADULT", name="Adult", is_sellable=True)
    bay = add(connection, "warehouses", code="N01", name="Nave 1", type="greenhouse")
    bed = add(connection, "storage_areas", warehouse_id=bay, code="N01-NORTE", name="Norte")
    location = add(connection, "storage_locations", storage_area_id=bed, code="N01-NORTE-C07", name="Claro 7")
    bin_type = add(
        connection,
        "storage_bin_types",
        code="SEGMENT_STANDARD",
        name="Segment",
        category="segment",
        sellable=True,
    )
    storage_bin = add(
        connection,
        "storage_bins",
        storage_location_id=location,
        storage_bin_type_id=bin_type,
        category="segment",
        product_id=product,
        code="N01-NORTE-C07-SEGMENT",
    )
    batch = add(
        connection,
        "stock_batches",
        batch_code="LOC1-PROD1-20260301-001",
        current_storage_bin_id=storage_bin,
        product_id=product,
        product_state_id=state,
    )
    connection.commit()
    return Nursery(connection, user, product, state, location, bin_type, storage_bin, batch)


def session_of(nursery: Nursery) -> int:
    sha = uuid.uuid4().hex * 2
    image = uuid.uuid5(uuid.NAMESPACE_OID, sha)
    connection = nursery.connection
    connection.execute(
        insert(TABLES["images"]).values(id=image, sha256=sha, original_name="a.jpg", file_size_bytes=1)
    )
    run = add(connection, "runs", command="process", model="plant", config_hash="c")
    return add(
        connection,
        "photo_sessions",
        image_id=image,
        run_id=run,
        model="plant",
        model_sha256="0" * 64,
        config_hash="c",
    )
