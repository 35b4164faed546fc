"""Load rows by COPY in PostgreSQL's binary format, built from arrays without a loop over the rows.

The format: a signature, then per row the number of fields and each field as length and big-endian value,
then a trailer (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format"). Every field that
we load has one width for all rows, so a block of rows is one structured array.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import sql
from sqlalchemy import Connection

Column = NDArray[Any] | int | float | bool | str | dt.datetime

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


def copy_columns(connection: Connection, table: str, columns: Mapping[str, Column], rows: int) -> None:
    """Append `rows` rows to `table` inside the connection's transaction.

    Arrays hold one value per row, scalars one for all. The array types decide: int64 is bigint, int32
    integer, int16 smallint, float32 real, float64 double precision; `str` is text, `datetime` timestamptz.
    """
    if not rows:
        return
    values = {name: _wire(column) for name, column in columns.items()}
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for name, value in values.items():
        layout += [(f"{name} length", ">i4"), (name, value.dtype.str)]
    block = np.zeros(rows, np.dtype(layout))
    block["fields"] = len(values)
    for name, value in values.items():
        block[f"{name} length"] = value.dtype.itemsize
        block[name] = value
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(_SIGNATURE + block.tobytes() + _TRAILER)


def _wire(column: Column) -> NDArray[Any]:
    """The column as PostgreSQL's bytes: big-endian numbers, microseconds since 2000, UTF-8."""
    match column:
        case dt.datetime():
            return np.array((column - _EPOCH) // dt.timedelta(microseconds=1), ">i8")
        case str():
            text = column.encode("utf-8")
            return np.frombuffer(text, f"S{len(text)}")[0:1]
        case bool():
            return np.array(column, "?")
        case int():
            return np.array(column, ">i8")
        case float():
            return np.array(column, ">f8")
        case _:
            return column.astype(column.dtype.newbyteorder(">"))
