"""Why the database refuses a row, in the words of the rule that the row breaks."""

from __future__ import annotations

import re

from psycopg import Error as DriverError
from sqlalchemy import CheckConstraint, Constraint, UniqueConstraint
from sqlalchemy.exc import DBAPIError

from db.models.schema import METADATA

_PATTERN = re.compile(r"(\w+) ~ '\^(.*)\$'")
_WORDS = re.compile(r"(\w+) IN \((.*)\)")
_LIMIT = re.compile(r"(\w+) (>=|>) (-?\d+)")


def refusal(error: DBAPIError) -> str:
    """A phrase without a full stop."""
    diag = error.orig.diag if isinstance(error.orig, DriverError) else None
    table = None if diag is None else METADATA.tables.get(diag.table_name or "")
    if diag is not None and table is not None:
        if diag.sqlstate == "23502" and diag.column_name:
            return f"{diag.column_name} cannot be empty"
        rule = next((one for one in table.constraints if one.name == diag.constraint_name), None)
        told = None if rule is None else _rule(rule)
        if told is not None:
            return told
    words = [diag.message_primary, diag.message_detail] if diag else []
    said = [word.rstrip(".") for word in words if word] or [str(error.orig)]  # the driver itself may refuse
    return f"the database refuses it: {'; '.join(said)}"


def _rule(rule: Constraint) -> str | None:
    if isinstance(rule, UniqueConstraint):
        return f"another row has the same {' and '.join(column.name for column in rule.columns)}"
    if not isinstance(rule, CheckConstraint):
        return None
    text = str(rule.sqltext)
    if found := _PATTERN.fullmatch(text):
        return f"{found[1]} must look like {found[2]}"
    if found := _WORDS.fullmatch(text):
        return f"{found[1]} must be one of {found[2].replace(chr(39), '')}"
    if found := _LIMIT.fullmatch(text):
        return f"{found[1]} must be {'at least' if found[2] == '>=' else 'above'} {found[3]}"
    return f"it breaks the rule {text}"
