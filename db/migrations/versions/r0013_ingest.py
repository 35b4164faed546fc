"""What is known of photos before they are counted: where they were taken and who says so; and what was
discarded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SOURCES = "('given', 'code', 'sidecar', 'name', 'assigned', 'walk')"
STATUSES = (
    "('pending', 'processing', 'needs_location', 'needs_config', 'needs_calibration', 'completed', 'warning',"
    " 'refused', 'failed'{})"
)


def upgrade() -> None:
    op.add_column("photo_sessions", sa.Column("day_rule", sa.Text()))
    op.add_column("photo_sessions", sa.Column("day", sa.Date()))
    rules = "day_rule IN ('last', 'largest', 'sum', 'review')"
    op.create_check_constraint(op.f("ck_photo_sessions_day_rule"), "photo_sessions", rules)
    op.create_check_constraint(
        op.f("ck_photo_sessions_day_rule_of_day"), "photo_sessions", "(day_rule IS NULL) = (day IS NULL)"
    )
    op.add_column("images", sa.Column("storage_location_id", sa.Integer()))
    op.create_foreign_key(
        op.f("fk_images_storage_location_id"),
        *("images", "storage_locations", ["storage_location_id"], ["id"]),
        ondelete="RESTRICT",
    )
    op.create_index(op.f("ix_images_storage_location_id"), "images", ["storage_location_id"])
    for table in ("images", "photo_sessions"):
        op.add_column(table, sa.Column("located_by", sa.Text()))
        op.create_check_constraint(op.f(f"ck_{table}_located_by"), table, f"located_by IN {SOURCES}")
    op.create_check_constraint(
        op.f("ck_images_located"), "images", "(storage_location_id IS NULL) = (located_by IS NULL)"
    )
    op.add_column("photo_sessions", sa.Column("discarded_from", sa.Text()))
    op.add_column("photo_sessions", sa.Column("discard_reason", sa.Text()))
    _statuses(", 'discarded'")
    op.create_check_constraint(
        op.f("ck_photo_sessions_discarded"),
        "photo_sessions",
        "(status = 'discarded') = (discarded_from IS NOT NULL)"
        " AND (discarded_from IS NULL) = (discard_reason IS NULL)",
    )


def downgrade() -> None:
    op.execute("UPDATE photo_sessions SET status = discarded_from WHERE status = 'discarded'")
    op.drop_constraint(op.f("ck_photo_sessions_discarded"), "photo_sessions")
    _statuses("")
    op.drop_column("photo_sessions", "discard_reason")
    op.drop_column("photo_sessions", "discarded_from")
    op.drop_column("photo_sessions", "located_by")
    op.drop_column("images", "located_by")
    op.drop_column("images", "storage_location_id")


def _statuses(more: str) -> None:
    name = op.f("ck_photo_sessions_status")
    op.drop_constraint(name, "photo_sessions")
    op.create_check_constraint(name, "photo_sessions", f"status IN {STATUSES.format(more)}")
