"""Which corrections are part of what is booked."""

from __future__ import annotations

from sqlalchemy import exists

from db.models.audits import SessionCorrection
from db.models.restatements import Restatement

# Of a row of `session_corrections`: no count that was restated since holds it.
HOLDS = ~exists().where(Restatement.session_id == SessionCorrection.session_id)
