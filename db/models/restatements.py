"""What photos came to before they were estimated again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, BigId, Now, at_least, check
from db.models.people import User
from db.models.photos import PhotoSession, Run


class Restatement(Base):
    """The figures of one session's bed, worked out again from its evidence by `demeter estimate`.

    What is replaced in `estimations` is kept here, so that an earlier figure can still be explained:
    `estimates_before` has a list per band, whose order db/restate.py tells (`Estimated`). Append-only.
    """

    __tablename__ = "restatements"
    __table_args__ = (
        check("interval_before", "seen_before + hidden_before BETWEEN low_before AND high_before"),
        check("interval", "seen + hidden BETWEEN low AND high"),
        *at_least(0, "seen_before", "hidden_before", "low_before", "seen", "hidden", "low"),
        check("estimates_before", "jsonb_typeof(estimates_before) = 'array'"),
        Index("ix_restatements_session_id", "session_id"),
        Index("ix_restatements_run_id", "run_id"),
        Index("ix_restatements_user_id", "user_id"),
    )

    id: Mapped[BigId]
    session_id: Mapped[int] = mapped_column(ForeignKey(PhotoSession.id, ondelete="RESTRICT"))
    run_id: Mapped[int] = mapped_column(ForeignKey(Run.id, ondelete="RESTRICT"))
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="RESTRICT"))
    restated_at: Mapped[Now]
    method_before: Mapped[str | None]  # this and the version are NULL where nothing was estimated
    version_before: Mapped[str | None]
    seen_before: Mapped[int]
    hidden_before: Mapped[int]
    low_before: Mapped[int]
    high_before: Mapped[int]
    estimates_before: Mapped[list[Any]]
    method: Mapped[str | None]
    version: Mapped[str | None]
    seen: Mapped[int]
    hidden: Mapped[int]
    low: Mapped[int]
    high: Mapped[int]
    posted: Mapped[int | None]  # plants that the books gained or lost by it; NULL where none were booked
