"""What stands in a container: dead plants, empty pots, cells; and which bed is the photographed one."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CONTAINERS = r"""
    ALTER TABLE session_containers
        ADD COLUMN dead INTEGER DEFAULT 0 NOT NULL,
        ADD COLUMN empty_pots INTEGER DEFAULT 0 NOT NULL,
        ADD COLUMN cells INTEGER,
        ADD COLUMN empty_cells INTEGER,
        ADD CONSTRAINT ck_session_containers_dead CHECK (dead >= 0),
        ADD CONSTRAINT ck_session_containers_empty_pots CHECK (empty_pots >= 0),
        ADD CONSTRAINT ck_session_containers_cells CHECK (cells > 0),
        ADD CONSTRAINT ck_session_containers_empty_cells CHECK (empty_cells >= 0),
        ADD CONSTRAINT ck_session_containers_empty_cells_of CHECK (empty_cells <= cells),
        ADD CONSTRAINT ck_session_containers_empty_cells_known
            CHECK (empty_cells IS NULL OR cells IS NOT NULL)
    """

SESSIONS = r"""
    ALTER TABLE photo_sessions
        ADD COLUMN main_seen INTEGER DEFAULT 0 NOT NULL,
        ADD COLUMN main_hidden INTEGER DEFAULT 0 NOT NULL,
        ADD COLUMN main_low INTEGER,
        ADD COLUMN main_high INTEGER
    """

# Until now every container was taken for the photographed bed's, and all of them were booked. Nobody edits
# these rows here, so `updated_at` stays.
BACKFILL = (
    "ALTER TABLE photo_sessions DISABLE TRIGGER touch_updated_at",
    """
    UPDATE photo_sessions
    SET main_seen = total_detected, main_hidden = total_estimated, main_low = low, main_high = high
    """,
    "ALTER TABLE photo_sessions ENABLE TRIGGER touch_updated_at",
)

RULES = r"""
    ALTER TABLE photo_sessions
        ADD CONSTRAINT ck_photo_sessions_main_seen CHECK (main_seen >= 0),
        ADD CONSTRAINT ck_photo_sessions_main_hidden CHECK (main_hidden >= 0),
        ADD CONSTRAINT ck_photo_sessions_main_low CHECK (main_low >= 0),
        ADD CONSTRAINT ck_photo_sessions_main_part
            CHECK (main_seen <= total_detected AND main_hidden <= total_estimated),
        ADD CONSTRAINT ck_photo_sessions_main_interval
            CHECK (main_seen + main_hidden BETWEEN main_low AND main_high),
        ADD CONSTRAINT ck_photo_sessions_main_interval_both CHECK ((main_low IS NULL) = (main_high IS NULL)),
        ADD CONSTRAINT ck_photo_sessions_main_counted CHECK ((main_low IS NULL) = (low IS NULL))
    """


def upgrade() -> None:
    for statement in (CONTAINERS, SESSIONS, *BACKFILL, RULES):
        op.execute(statement)
