"""Partitions that are dropped, and what is kept of them."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Whoever maintains the database by night does not own its tables. What the owner lends is narrow: a whole
# day, over a week old, of which every photo has its evidence in the store.
DROP_PARTITION = """
    CREATE FUNCTION drop_partition(parent regclass, day date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
    DECLARE
        home text;
        child regclass;
        unkept bigint;
    BEGIN
        SELECT above.relnamespace::regnamespace::text, below.oid INTO home, child
            FROM pg_class AS above
            JOIN pg_inherits ON inhparent = above.oid
            JOIN pg_class AS below ON below.oid = inhrelid
            WHERE above.oid = parent AND above.relname IN ('detections', 'estimations')
                AND above.relkind = 'p' AND below.relname = above.relname || '_p' || to_char(day, 'YYYYMMDD');
        IF child IS NULL THEN
            RAISE EXCEPTION '% has no partition for %', parent, day;
        END IF;
        IF day > (now() AT TIME ZONE 'UTC')::date - 7 THEN
            RAISE EXCEPTION '% is too young to be dropped', child;
        END IF;
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', child);
        EXECUTE format(
            'SELECT id FROM %s.photo_sessions WHERE evidence_key IS NULL'
            ' AND EXISTS (SELECT FROM %s WHERE session_id = photo_sessions.id) LIMIT 1', home, child)
        INTO unkept;
        IF unkept IS NOT NULL THEN
            RAISE EXCEPTION '% holds what is kept nowhere else of photo session %', child, unkept;
        END IF;
        EXECUTE format('DROP TABLE %s', child);
    END
    $$
"""


def upgrade() -> None:
    op.execute(DROP_PARTITION)
    op.execute("REVOKE ALL ON FUNCTION drop_partition FROM PUBLIC")


def downgrade() -> None:
    op.execute("DROP FUNCTION drop_partition")
