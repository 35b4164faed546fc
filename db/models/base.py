"""What every table shares: names of constraints, types of columns, and the words for the commonest ones."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Float,
    Identity,
    Integer,
    MetaData,
    Numeric,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, mapped_column


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    # Text and CHECK rather than varchar(n) and native enums: both are cheap to change later.
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: Text(),
        float: Float(53),
        dt.datetime: TIMESTAMP(timezone=True),
        dict[str, Any]: JSONB(none_as_null=True),
        list[Any]: JSONB(none_as_null=True),
    }


Id = Annotated[int, mapped_column(Integer, Identity(), primary_key=True)]
BigId = Annotated[int, mapped_column(BigInteger, Identity(), primary_key=True)]  # facts, not catalogues
PublicId = Annotated[uuid.UUID, mapped_column(unique=True, server_default=func.gen_random_uuid())]
Now = Annotated[dt.datetime, mapped_column(server_default=func.now())]
Touched = Annotated[dt.datetime | None, mapped_column()]  # kept by the trigger touch_updated_at
Flag = Annotated[bool, mapped_column(server_default=text("false"))]
Active = Annotated[bool, mapped_column(server_default=text("true"))]
Tally = Annotated[int, mapped_column(server_default=text("0"))]
Document = Annotated[dict[str, Any], mapped_column(server_default=text("'{}'"))]
Money = Annotated[Decimal, mapped_column(Numeric(12, 2))]
Share = Annotated[Decimal, mapped_column(Numeric(5, 4))]  # 0–1


def check(name: str, rule: str) -> CheckConstraint:
    return CheckConstraint(rule, name=name)


def one_of(column: str, words: Iterable[str]) -> CheckConstraint:
    return check(column, f"{column} IN ({', '.join(repr(str(word)) for word in words)})")


def matches(column: str, pattern: str) -> CheckConstraint:
    return check(column, f"{column} ~ '^{pattern}$'")


def at_least(lowest: int, *columns: str) -> tuple[CheckConstraint, ...]:
    return tuple(check(column, f"{column} >= {lowest}") for column in columns)


def above_zero(*columns: str) -> tuple[CheckConstraint, ...]:
    return tuple(check(column, f"{column} > 0") for column in columns)


def unique_with_nulls(name: str, *columns: str) -> UniqueConstraint:
    """One row per key, where NULL ("no pot", "any product") is a value like any other. PostgreSQL 15."""
    return UniqueConstraint(*columns, name=name, postgresql_nulls_not_distinct=True)


def natural_key(*columns: str, current: str | None = None) -> dict[str, dict[str, object]]:
    """What a person calls a row, for db/catalog.py and the seeds. Last of a table's arguments.

    With `current`, the key is unique only among the rows where that flag is set.
    """
    return {"info": {"natural_key": columns, "current": current}}
