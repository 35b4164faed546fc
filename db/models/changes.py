"""Who changed what outside the ledger, and the few settings that belong to the nursery, not to a machine."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, BigId, Id, Now, Touched, check, matches, natural_key, one_of
from db.models.people import User
from db.models.vocabulary import ChangeAction


class Change(Base):
    """Written by the trigger `audit_change` only, and never changed: another trigger refuses it.

    Of an update only the columns that changed are kept. `user_id` is who told the transaction so
    (db/acting.py); NULL where somebody wrote by other means, and then `login` tells as whom.
    """

    __tablename__ = "audit_log"
    __table_args__ = (
        one_of("action", ChangeAction),
        check("before", "(before IS NULL) = (action IN ('insert', 'truncate'))"),
        check("after", "(after IS NULL) = (action IN ('delete', 'truncate'))"),
        check("row", "(row_id IS NULL) = (action = 'truncate')"),
        Index("ix_audit_log_table_name_row_id", "table_name", "row_id"),
        Index("ix_audit_log_user_id", "user_id"),
        Index("ix_audit_log_changed_at", text("changed_at DESC")),
    )

    id: Mapped[BigId]
    changed_at: Mapped[dt.datetime]
    user_id: Mapped[int | None] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"))
    login: Mapped[str]  # of the database
    action: Mapped[str]
    table_name: Mapped[str]
    row_id: Mapped[int | None] = mapped_column(BigInteger)
    row_key: Mapped[dict[str, Any] | None]  # the columns by which people name the row
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]


class SiteSetting(Base):
    """`db/site_settings.py` knows the keys and their defaults."""

    __tablename__ = "site_settings"
    __table_args__ = (matches("key", "[a-z][a-z_]{1,39}"), natural_key("key"))

    id: Mapped[Id]
    key: Mapped[str] = mapped_column(unique=True)
    value: Mapped[Any] = mapped_column(JSONB)
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]
