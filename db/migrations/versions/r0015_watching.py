"""What watches over unattended runs: what a run did and how it ended, told in its own row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

COLUMNS = (
    sa.Column("key", sa.Uuid()),
    sa.Column("version", sa.Text()),
    sa.Column("exit_code", sa.SmallInteger()),
    sa.Column("plants", sa.BigInteger()),
    sa.Column("retries", sa.Integer()),
    sa.Column("peak_memory_bytes", sa.BigInteger()),
    sa.Column("statuses", JSONB(none_as_null=True)),
    sa.Column("stages", JSONB(none_as_null=True)),
    sa.Column("problem", sa.Text()),
)
RULES = {
    "plants": "plants >= 0",
    "retries": "retries >= 0",
    "peak_memory_bytes": "peak_memory_bytes >= 0",
    "exit_code": "exit_code BETWEEN 0 AND 255",
    "statuses": "jsonb_typeof(statuses) = 'object'",
    "stages": "jsonb_typeof(stages) = 'object'",
}


def upgrade() -> None:
    for column in COLUMNS:
        op.add_column("runs", column)
    for name, rule in RULES.items():
        op.create_check_constraint(op.f(f"ck_runs_{name}"), "runs", rule)
    op.create_unique_constraint(op.f("uq_runs_key"), "runs", ["key"])


def downgrade() -> None:
    pass
