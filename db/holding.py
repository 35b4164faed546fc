"""Which corrections are part of what is booked, and whether there are any. Loads no arithmetic."""

from __future__ import annotations

from sqlalchemy import Connection, exists, select

from db.models.audits import Correction, SessionCorrection
from db.models.restatements import Restatement

# Of a row of `session_corrections`: no count that was restated since holds it.
HOLDS = ~exists().where(Restatement.session_id == SessionCorrection.session_id)


def has_corrections(connection: Connection) -> bool:
    return bool(connection.scalar(select(exists(select(Correction.id)))))
