from __future__ import annotations

import datetime as dt

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Active, Base, Id, Now, Touched, check, matches, natural_key, one_of
from db.models.vocabulary import Role


class User(Base):
    """Nobody gets a default password: without a hash a user cannot log in."""

    __tablename__ = "users"
    __table_args__ = (
        matches("email", r"[^@\s]+@[^@\s]+\.[^@\s]+"),
        check("email_lower", "email = lower(email)"),
        check("password_hash", r"password_hash ~ '^\$2b\$\d\d\$.{53}$'"),
        one_of("role", Role),
        check("system_has_no_login", "role <> 'system' OR (password_hash IS NULL AND os_login IS NULL)"),
        matches("os_login", r"[^\s:]{1,64}"),
        Index("uq_users_one_system", "role", unique=True, postgresql_where=text("role = 'system'")),
        natural_key("email"),
    )

    id: Mapped[Id]
    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    first_name: Mapped[str]
    last_name: Mapped[str]
    role: Mapped[str] = mapped_column(server_default=Role.WORKER.value)
    os_login: Mapped[str | None] = mapped_column(unique=True)  # who this is on the machines of the site
    active: Mapped[Active]
    last_login: Mapped[dt.datetime | None]
    created_at: Mapped[Now]
    updated_at: Mapped[Touched]
