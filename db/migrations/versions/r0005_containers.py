"""What stands in a container: dead plants, empty pots, cells; and which bed is the photographed one."""

from __future__ import annotations

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
