"""Months that are closed, and what was in them when they were."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, BigId, Id, Now, at_least, check, one_of, unique_with_nulls
from db.models.people import User
from db.models.vocabulary import SealedKind


class Period(Base):
    """A closed month. Closing one closes everything before it, so `ends_at` of the last is where the books
    are open from. `hash` seals its entries and the period before; nothing here is ever changed."""

    __tablename__ = "periods"
    __table_args__ = (
        check("month", "extract(day FROM month) = 1"),
        check("span", "ends_at > starts_at"),
        check("hash", "octet_length(hash) = 32"),
        check("previous_hash", "octet_length(previous_hash) = 32"),
        check("signature", "octet_length(signature) = 32"),
        *at_least(0, "movements", "counts", "evidence"),
        # One chain: a period has one successor, and there is one first.
        unique_with_nulls("uq_periods_previous_id", "previous_id"),
        Index("ix_periods_closed_by_user_id", "closed_by_user_id"),
    )

    id: Mapped[Id]
    month: Mapped[dt.date] = mapped_column(unique=True)  # its first day
    timezone: Mapped[str]  # in which the month began and ended
    starts_at: Mapped[dt.datetime | None]  # NULL for the first: all that was before
    ends_at: Mapped[dt.datetime] = mapped_column(unique=True)
    previous_id: Mapped[int | None] = mapped_column(Integer, ForeignKey("periods.id", ondelete="RESTRICT"))
    previous_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    signature: Mapped[bytes | None] = mapped_column(LargeBinary)  # HMAC-SHA256 of `hash`, where a key is set
    movements: Mapped[int]
    counts: Mapped[int]
    evidence: Mapped[int]
    closed_by_user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"))
    closed_at: Mapped[Now]


class PeriodEntry(Base):
    """What a row said when its month was closed: the sha256 of the text that db/seals.py makes of it, so that
    `period verify` can name the row that was changed. It outlasts what it sealed and refers to nothing."""

    __tablename__ = "period_entries"
    __table_args__ = (
        UniqueConstraint("period_id", "kind", "row_id"),
        one_of("kind", SealedKind),
        check("sha256", "octet_length(sha256) = 32"),
    )

    id: Mapped[BigId]
    period_id: Mapped[int] = mapped_column(ForeignKey(Period.id, ondelete="RESTRICT"))
    kind: Mapped[str]
    row_id: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[bytes] = mapped_column(LargeBinary)


class StockCheck(Base):
    """The batches that a running transaction wrote to, each once, however many rows it wrote. At commit a
    trigger checks each and takes it off the list, which is empty between transactions, and so not logged."""

    __tablename__ = "stock_checks"
    __table_args__ = (UniqueConstraint("batch_id", "transaction_id"), {"prefixes": ["UNLOGGED"]})

    id: Mapped[BigId]
    batch_id: Mapped[int] = mapped_column(BigInteger)
    transaction_id: Mapped[int] = mapped_column(BigInteger)
