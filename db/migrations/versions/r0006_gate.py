"""What the gate found out about a photo."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE images ADD COLUMN phash BIGINT",
    r"""
    ALTER TABLE photo_sessions
        ADD COLUMN measures JSONB,
        ADD COLUMN unlikeness FLOAT(53),
        ADD CONSTRAINT ck_photo_sessions_measures CHECK (jsonb_typeof(measures) = 'object'),
        ADD CONSTRAINT ck_photo_sessions_unlikeness CHECK (unlikeness > 0),
        DROP CONSTRAINT ck_photo_sessions_status,
        ADD CONSTRAINT ck_photo_sessions_status
            CHECK (status
                IN ('pending', 'processing', 'needs_location', 'needs_config', 'needs_calibration',
                    'completed', 'warning', 'refused', 'failed'))
    """,
    r"""
    CREATE TABLE session_findings (
        session_id BIGINT NOT NULL,
        ordinal SMALLINT NOT NULL,
        check_name TEXT NOT NULL,
        severity TEXT NOT NULL,
        sentence TEXT NOT NULL,
        value FLOAT(53) NOT NULL,
        CONSTRAINT pk_session_findings PRIMARY KEY (session_id, ordinal),
        CONSTRAINT ck_session_findings_check_name
            CHECK (check_name
                IN ('unreadable', 'dark', 'bright', 'haze', 'motion', 'blur', 'small', 'angle', 'turned',
                    'floor', 'empty', 'loose', 'strange', 'repeat')),
        CONSTRAINT ck_session_findings_severity CHECK (severity IN ('note', 'warning', 'refusal')),
        CONSTRAINT ck_session_findings_ordinal CHECK (ordinal >= 0),
        CONSTRAINT fk_session_findings_session_id FOREIGN KEY(session_id)
            REFERENCES photo_sessions (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_session_findings_check_name ON session_findings (check_name)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
