"""Prices, database roles, and who changed what."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


PEOPLE = (
    "ALTER TABLE users ADD COLUMN os_login TEXT",
    "ALTER TABLE users ADD CONSTRAINT uq_users_os_login UNIQUE (os_login)",
    r"ALTER TABLE users ADD CONSTRAINT ck_users_os_login CHECK (os_login ~ '^[^\s:]{1,64}$')",
    "ALTER TABLE users DROP CONSTRAINT ck_users_system_has_no_login",
    """
    ALTER TABLE users ADD CONSTRAINT ck_users_system_has_no_login
        CHECK (role <> 'system' OR (password_hash IS NULL AND os_login IS NULL))
    """,
)


def upgrade() -> None:
    for statement in PEOPLE:
        op.execute(statement)
