"""${message}

Rules for a safe migration:
- One transaction, seconds long. Waiting for a lock is cut off after 5 s (env.py): retry when it is quiet.
- The program before this one may still be running: add first, remove a release later.
- A new column is nullable or has a constant default. Fill it in batches, then SET NOT NULL through a
  CHECK ... NOT VALID that is validated in a transaction of its own.
- A foreign key or CHECK on a large table is added NOT VALID and validated later; an index is built
  CONCURRENTLY (`with op.get_context().autocommit_block():`), on partitions first.
- Autogenerate does not see CHECKs, triggers, functions and exclusions: write them here, and
  tests/db/test_migrations.py compares the result with the models.
- Stock movements and counts are history. No migration rewrites them.
- Never edit a migration that has been released. There are no downgrades: restore a backup, or go forward.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
