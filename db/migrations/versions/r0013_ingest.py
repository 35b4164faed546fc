"""What is known of photos before they are counted, and the work list."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("photo_sessions", sa.Column("day_rule", sa.Text()))
    op.add_column("photo_sessions", sa.Column("day", sa.Date()))
    rules = "day_rule IN ('last', 'largest', 'sum', 'review')"
    op.create_check_constraint(op.f("ck_photo_sessions_day_rule"), "photo_sessions", rules)
    op.create_check_constraint(
        op.f("ck_photo_sessions_day_rule_of_day"), "photo_sessions", "(day_rule IS NULL) = (day IS NULL)"
    )


def downgrade() -> None:
    pass
