"""Years of a nursery in a database: places, counts, movements and the plants of every photo.

Made inside PostgreSQL, or loaded by COPY straight into the partitions, with the triggers of the ledger off:
they would check every row of what is known to be right. `demeter stock verify` may be asked afterwards.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from db.copy import copy_columns
from db.partitions import ensure_partitions

PLACES, PRODUCTS, MONTHS = 1290, 2, 60
MOVEMENTS, DETECTIONS = 10_000_000, 100_000_000
AT_ONCE = 500_000  # rows of a COPY
EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Size:
    """How much to make. A batch is one product at one place; each is counted once a month."""

    per_month: int  # movements of a batch
    per_photo: int  # plants seen in a photo

    @staticmethod
    def scaled(scale: float, plants: float) -> Size:
        return Size(
            max(1, round(scale * MOVEMENTS / (PLACES * PRODUCTS * MONTHS)) - 1),
            max(1, round(plants * DETECTIONS / (PLACES * MONTHS))),
        )


def fill(connection: Connection, size: Size, last: dt.date) -> None:
    """Five years of months that end with the month before `last`."""
    first = dt.date(last.year - MONTHS // 12, last.month, 1)
    values = {"first": first, "months": MONTHS, "places": PLACES, "per_month": size.per_month}
    connection.execute(text("SET session_replication_role = replica"))
    for statement in _STATEMENTS:
        names = [name for name in values if f":{name}" in statement]
        connection.execute(text(statement), {name: values[name] for name in names})
    connection.commit()
    _detections(connection, size)
    connection.execute(text("SET session_replication_role = DEFAULT"))
    connection.commit()
    driver: Any = connection.connection.driver_connection
    driver.autocommit = True
    driver.execute("VACUUM ANALYZE")
    driver.autocommit = False


def _detections(connection: Connection, size: Size) -> None:
    """The plants of every photo, in the partition of the day on which it was counted."""
    sessions = connection.execute(
        text(
            "SELECT s.id, c.id AS container, s.finished_at FROM photo_sessions AS s"
            " JOIN session_containers AS c ON c.session_id = s.id ORDER BY s.finished_at, s.id"
        )
    ).all()
    for day in sorted({row.finished_at.date() for row in sessions}):
        ensure_partitions(connection, day, 1)
        connection.commit()
    random = np.random.default_rng(0)
    step = max(1, AT_ONCE // size.per_photo)
    for start in range(0, len(sessions), step):
        some = sessions[start : start + step]
        rows = len(some) * size.per_photo
        at = random.uniform(0, 3000, (rows, 2)).astype(np.float32)
        micro = np.array(
            [(row.finished_at - EPOCH) // dt.timedelta(microseconds=1) for row in some], np.int64
        )
        columns = {
            "session_id": np.repeat(np.array([row.id for row in some], np.int64), size.per_photo),
            "session_container_id": np.repeat(
                np.array([row.container for row in some], np.int64), size.per_photo
            ),
            "center_x_px": np.ascontiguousarray(at[:, 0]),
            "center_y_px": np.ascontiguousarray(at[:, 1]),
            "width_px": np.full(rows, 40, np.float32),
            "height_px": np.full(rows, 40, np.float32),
            "score": np.full(rows, 0.8, np.float32),
            # On the wire a timestamp is microseconds since 2000, as 64 bits.
            "created_at": np.repeat(micro, size.per_photo),
        }
        with connection.begin():  # COPY alone begins no transaction that SQLAlchemy would know of
            copy_columns(connection, "detections", columns, rows)


_STATEMENTS = (
    # 28 bays of two beds each; the places are spread over the beds.
    """
    INSERT INTO warehouses (code, name, type)
    SELECT 'Y' || to_char(n, 'FM00'), 'Nave ' || n, 'greenhouse' FROM generate_series(1, 28) AS n
    """,
    """
    INSERT INTO storage_areas (warehouse_id, code, name)
    SELECT id, code || '-' || bed, bed FROM warehouses, unnest(ARRAY['NORTE', 'SUR']) AS bed WHERE code ~ '^Y'
    """,
    """
    INSERT INTO storage_locations (storage_area_id, code, name)
    SELECT bed.id, bed.code || '-C' || to_char(n / 56 + 1, 'FM00'), 'Claro ' || n / 56 + 1
    FROM generate_series(0, :places - 1) AS n
    JOIN (SELECT id, code, row_number() OVER (ORDER BY code) - 1 AS number FROM storage_areas
          WHERE code ~ '^Y') AS bed ON bed.number = n % 56
    """,
    """
    INSERT INTO storage_bins (storage_location_id, storage_bin_type_id, category, code, product_id,
        packaging_catalog_id)
    SELECT place.id, (SELECT id FROM storage_bin_types WHERE category = 'segment' AND is_default), 'segment',
        place.code || '-' || product.number, product.id, (SELECT min(id) FROM packaging_catalog)
    FROM storage_locations AS place,
        (SELECT id, row_number() OVER (ORDER BY id) AS number FROM products ORDER BY id LIMIT 2) AS product
    WHERE place.code ~ '^Y'
    """,
    """
    INSERT INTO stock_batches (batch_code, current_storage_bin_id, product_id, product_state_id,
        packaging_catalog_id, quantity_initial, quantity_current)
    SELECT 'YEARS-' || bin.id, bin.id, bin.product_id, (SELECT min(id) FROM product_states),
        bin.packaging_catalog_id, 0, 0
    FROM storage_bins AS bin JOIN storage_locations AS place ON place.id = bin.storage_location_id
    WHERE place.code ~ '^Y'
    """,
    """
    INSERT INTO storage_location_config (storage_location_id, product_id, expected_product_state_id,
        valid_from)
    SELECT id, (SELECT min(id) FROM products), (SELECT min(id) FROM product_states),
        CAST(:first AS date) - 40
    FROM storage_locations WHERE code ~ '^Y'
    """,
    # A photo of every place in the last days of each month.
    """
    INSERT INTO runs (command, model, config_hash) VALUES ('years', 'years', '0000000000000000')
    """,
    """
    CREATE TEMPORARY TABLE photo AS
    SELECT gen_random_uuid() AS image, place.id AS place, month,
        CAST(:first AS date) + make_interval(months => month) - interval '2 days'
            + make_interval(secs => place.id % 20000) AS taken
    FROM storage_locations AS place, generate_series(1, :months) AS month WHERE place.code ~ '^Y'
    """,
    """
    INSERT INTO images (id, sha256, original_name, file_size_bytes, captured_at)
    SELECT image, encode(sha256(image::text::bytea), 'hex'), 'years.jpg', 1, taken FROM photo
    """,
    """
    INSERT INTO photo_sessions (image_id, run_id, storage_location_id, model, model_sha256, config_hash,
        status, low, high, main_low, main_high, finished_at)
    SELECT image, (SELECT max(id) FROM runs), place, 'years', repeat('0', 64), '0000000000000000',
        'completed', 0, 0, 0, 0, taken FROM photo
    """,
    """
    INSERT INTO session_containers (session_id, ordinal, kind, polygon, score, seen, hidden, low, high)
    SELECT id, 0, 'segment', '[[0, 0], [9, 0], [9, 9]]', 0.9, 0, 0, 0, 0 FROM photo_sessions
    WHERE model = 'years'
    """,
    # What moves in a month: a planting, deaths and sales. Numbers count from each count on.
    """
    INSERT INTO stock_movements (batch_id, movement_type, destination_bin_id, source_bin_id, quantity,
        user_id, source_type, occurred_at)
    SELECT batch.id, kind.name, CASE WHEN kind.sign > 0 THEN batch.current_storage_bin_id END,
        CASE WHEN kind.sign < 0 THEN batch.current_storage_bin_id END, kind.sign * (1 + (n + batch.id) % 3),
        (SELECT min(id) FROM users), 'manual',
        CAST(:first AS date) + make_interval(months => month - 1, hours => 1)
            + n * (interval '27 days' / :per_month)
    FROM stock_batches AS batch, generate_series(1, :months) AS month,
        generate_series(0, :per_month - 1) AS n,
        LATERAL (SELECT (ARRAY['plantar', 'muerte', 'ventas'])[n % 3 + 1] AS name,
            (ARRAY[1, -1, -1])[n % 3 + 1] AS sign) AS kind
    WHERE batch.batch_code ~ '^YEARS-'
    """,
    # What each photo says: a thousand plants and a bit, never the same; so stock never runs out.
    """
    INSERT INTO counts (location_id, batch_id, session_id, source, status, counted_at, quantity, low, high,
        user_id)
    SELECT photo.place, batch.id, session.id, 'foto', 'accepted', photo.taken, 1000 + said.more,
        980 + said.more, 1020 + said.more, (SELECT min(id) FROM users)
    FROM photo JOIN photo_sessions AS session ON session.image_id = photo.image
    JOIN storage_bins AS bin ON bin.storage_location_id = photo.place
    JOIN stock_batches AS batch ON batch.current_storage_bin_id = bin.id,
        LATERAL (SELECT (photo.month * 37 + batch.id::int * 11) % 200 AS more) AS said
    """,
    """
    INSERT INTO stock_movements (batch_id, movement_type, destination_bin_id, source_bin_id, quantity,
        user_id, source_type, session_id, count_id, occurred_at)
    SELECT batch, 'foto', CASE WHEN difference > 0 THEN bin END, CASE WHEN difference < 0 THEN bin END,
        difference, user_id, 'ia', session_id, id, counted_at
    FROM (
        SELECT count.*, batch.id AS batch, batch.current_storage_bin_id AS bin,
            count.quantity - coalesce(lag(count.quantity) OVER same, 0) - coalesce((
                SELECT sum(moved.quantity) FROM stock_movements AS moved WHERE moved.batch_id = batch.id
                AND moved.occurred_at <= count.counted_at
                AND moved.occurred_at > count.counted_at - interval '1 month 10 days'
                AND moved.movement_type <> 'foto'
                AND moved.occurred_at > coalesce((SELECT max(earlier.counted_at) FROM counts AS earlier
                    WHERE earlier.batch_id = batch.id AND earlier.status = 'accepted'
                    AND earlier.counted_at < count.counted_at), '-infinity')), 0) AS difference
        FROM counts AS count JOIN stock_batches AS batch ON batch.id = count.batch_id
        WHERE batch.batch_code ~ '^YEARS-'
        WINDOW same AS (PARTITION BY count.batch_id ORDER BY count.counted_at)
    ) AS due WHERE difference <> 0
    """,
    """
    UPDATE stock_batches SET quantity_current = held.plants, quantity_initial = 1000
    FROM (SELECT batch_id, sum(quantity) AS plants FROM stock_movements GROUP BY 1) AS held
    WHERE held.batch_id = stock_batches.id AND batch_code ~ '^YEARS-'
    """,
)
