"""What the database may forget, what it has to keep yet, and which tables want looking after."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from psycopg import sql
from sqlalchemy import Connection, text

from db.partitions import PARTITIONED, Partition, list_partitions, midnight

_BIG_ENOUGH = 1000  # rows below which nobody needs to look after a table
_DEAD_SHARE = 0.2  # autovacuum's own scale factor
_CHANGED_SHARE = 0.1  # likewise, of its analyze
_DAYS_BETWEEN = 7  # of analysing a partitioned table, which autovacuum never does
_OLD_AGE = 1_000_000_000  # transactions; at 2.1 thousand million a server stops


@dataclass(frozen=True, slots=True)
class Witness:
    """A photo session with rows in a partition, and the file that shall say the same once they are gone."""

    session: int
    photo: str
    evidence_key: str | None
    evidence_sha256: str | None


@dataclass(frozen=True, slots=True)
class Health:
    """How a table, or the whole database as "database", stands. `ours`: whether we may ANALYZE it."""

    table: str
    rows: int
    dead: int
    is_stale: bool
    ours: bool

    @property
    def wants_vacuum(self) -> bool:
        return self.dead > max(_BIG_ENOUGH, _DEAD_SHARE * self.rows)


def outlived(connection: Connection, today: dt.date, keep_days: int) -> list[Partition]:
    """The partitions by day whose last row is older than `keep_days` days, oldest first.

    Those that somebody made for other spans, say for a month, are theirs.
    """
    first_kept = midnight(today - dt.timedelta(days=keep_days))
    found = [one for one in list_partitions(connection) if one.stop <= first_kept and is_a_day(one)]
    return sorted(found, key=lambda one: (one.start, one.table))


def is_a_day(partition: Partition) -> bool:
    return partition.name == f"{partition.table}_p{partition.start:%Y%m%d}"


def witnesses(connection: Connection, partition: Partition) -> list[Witness]:
    """The sessions with rows in a partition."""
    query = sql.SQL(
        """
        SELECT photo_sessions.id, original_name, evidence_key, evidence_sha256
        FROM photo_sessions JOIN images ON images.id = image_id
        WHERE EXISTS (SELECT FROM {parent} AS rows
            WHERE rows.session_id = photo_sessions.id AND rows.created_at >= :start AND rows.created_at <
            :stop)
        ORDER BY photo_sessions.id
        """
    ).format(parent=sql.Identifier(partition.table))
    span = {"start": partition.start, "stop": partition.stop}
    return [Witness(*row) for row in connection.execute(text(query.as_string()), span)]


def tables(connection: Connection) -> list[Health]:
    """All tables of ours, the partitioned ones by their names and not by each partition."""
    rows = connection.execute(
        _TABLES,
        {
            "partitioned": list(PARTITIONED),
            "share": _CHANGED_SHARE,
            "least": _BIG_ENOUGH,
            "days": _DAYS_BETWEEN,
        },
    )
    return [Health(*row) for row in rows]


def age(connection: Connection) -> int | None:
    """Transactions since the oldest row that no VACUUM has frozen, if they are so many that somebody must
    act."""
    old = connection.scalar(
        text("SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()")
    )
    return int(old) if old is not None and old > _OLD_AGE else None


def analyze(connection: Connection, table: str) -> None:
    """Runs in the caller's transaction."""
    connection.execute(text(sql.SQL("ANALYZE {}").format(sql.Identifier(table)).as_string()))


# A table without rows tells the planner nothing, whether it was analysed or not. Who may ANALYZE is asked by
# the owner's rights: MAINTAIN exists from PostgreSQL 17 on only, and its holder's hint does no harm.
_TABLES = text(
    """
    WITH figures AS (
        SELECT relid, pg_class.relname, pg_class.relowner,
            n_live_tup AS live, n_dead_tup AS dead, n_mod_since_analyze AS changed,
            greatest(last_analyze, last_autoanalyze) AS analysed,
            pg_class.relname = ANY (:partitioned) AS split,
            (SELECT coalesce(sum(part.n_live_tup), 0) FROM pg_inherits
                JOIN pg_stat_user_tables AS part ON part.relid = inhrelid WHERE inhparent = pg_class.oid) AS
                below,
            (SELECT coalesce(sum(part.n_dead_tup), 0) FROM pg_inherits
                JOIN pg_stat_user_tables AS part ON part.relid = inhrelid WHERE inhparent = pg_class.oid) AS
                rotten
        FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid
        WHERE relnamespace = current_schema()::regnamespace AND NOT relispartition AND relkind IN ('r', 'p')
    )
    SELECT relname, (live + below)::bigint, (dead + rotten)::bigint,
        live + below > 0 AND (
            analysed IS NULL
            OR split AND analysed < now() - make_interval(days => :days)
            OR NOT split AND changed > greatest(:least, :share * live)
        ),
        pg_has_role(relowner, 'USAGE')
    FROM figures
    ORDER BY relname
    """
)
