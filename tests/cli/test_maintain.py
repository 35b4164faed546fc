"""demeter db maintain: nothing is forgotten that is not kept elsewhere."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db.engine import connect
from db.partitions import ensure_partitions
from db.runs import run_lock
from db.sessions import save_evidence
from pipeline.folder_store import FolderStore
from pipeline.storage import evidence_key
from pipeline.types import ContainerKind
from tests.cli.shop import Shop, Told
from tests.db.counting import begin, count_photo
from tests.db.seen import a_photo, a_result

TODAY = dt.datetime.now(dt.UTC).date()
LONG_AGO, EARLIER = TODAY - dt.timedelta(days=200), TODAY - dt.timedelta(days=100)


@dataclass(frozen=True)
class Archive(Shop):
    """A nursery with photos that were counted long ago."""

    @property
    def data(self) -> Path:
        return Path(self.settings["DEMETER_DATA_DIR"])

    def photo(self, place: str, day: dt.date, *, evidence: bool = True) -> tuple[int, Path | None]:
        """A photo counted on a day; its session and evidence file."""
        with connect(self.url) as connection:
            result = a_result(a_photo(f"{place}.jpg"), {ContainerKind.SEGMENT: 30}, hidden=8)
            session = count_photo(connection, begin(connection), result, place).session_id
            with connection.begin():
                ensure_partitions(connection, day, 1)
                for table in ("detections", "estimations"):
                    connection.execute(
                        text(f"UPDATE {table} SET created_at = :day WHERE session_id = :session"),
                        {"day": dt.datetime.combine(day, dt.time(23, 59), dt.UTC), "session": session},
                    )
                if not evidence:
                    return session, None
                key = evidence_key(result.photo.sha256, session, day)
                sha256 = FolderStore(self.data / "photos").put_bytes(key, f"evidence of {place}".encode())
                save_evidence(connection, session, key, sha256)
        return session, self.data / "photos" / key

    def having(self, setting: str) -> Archive:
        """The same database, reached with a setting of the server's."""
        return Archive(f"{self.url}{'&' if '?' in self.url else '?'}options=-c%20{setting}", self.settings)

    def days(self) -> dict[str, int]:
        """The old partitions that there are, each with its rows."""
        with self.database() as connection:
            names = connection.scalars(
                text(
                    "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"
                    " AND right(relname, 8) < :today ORDER BY 1"
                ),
                {"today": f"{TODAY:%Y%m%d}"},
            ).all()
            return {name: connection.scalar(text(f"SELECT count(*) FROM {name}")) or 0 for name in names}


@pytest.fixture
def archive(demo_url: str, tmp_path: Path) -> Archive:
    (tmp_path / "data").mkdir()
    return Archive(demo_url, {"DEMETER_DATA_DIR": str(tmp_path / "data")})


def numbers(told: Told) -> dict[str, int]:
    return {row["task"]: row["number"] for row in told.json if row["state"] in ("done", "to do")}


def names(*days: dt.date) -> list[str]:
    return sorted(f"{table}_p{day:%Y%m%d}" for table in ("detections", "estimations") for day in days)


def test_days_are_dropped_once_the_evidence_of_all_their_photos_is_there(archive: Archive) -> None:
    archive.photo("N01-NORTE-C01", LONG_AGO)
    archive.photo("N01-NORTE-C02", EARLIER)
    recent = TODAY - dt.timedelta(days=90)  # its last row is not 90 days old yet
    archive.photo("N01-NORTE-C03", recent)

    tried = archive.run("db", "maintain", "--dry-run", "-f", "json")
    assert (tried.code, numbers(tried)["drop partitions"]) == (0, 4)
    assert list(archive.days()) == names(LONG_AGO, EARLIER, recent)

    told = archive.run("db", "maintain", "-f", "json")
    assert (told.code, numbers(told)["drop partitions"]) == (0, 4), told.err
    assert archive.days() == {f"detections_p{recent:%Y%m%d}": 30, f"estimations_p{recent:%Y%m%d}": 4}
    with archive.database() as connection:  # the figures by container stay
        assert connection.execute(text("SELECT sum(seen), sum(hidden) FROM session_containers")).one() == (
            90,
            24,
        )

    again = archive.run("db", "maintain", "-f", "json")
    assert (again.code, sum(numbers(again).values())) == (0, 0), again.out


def flip(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize(
    ("harm", "said"),
    [(Path.unlink, "lacks its evidence file evidence/"), (flip, "sha256 is another")],
)
def test_a_photo_whose_evidence_is_gone_or_damaged_keeps_its_days_and_no_others(
    archive: Archive, harm: object, said: str
) -> None:
    session, file = archive.photo("N01-NORTE-C01", LONG_AGO)
    archive.photo("N01-NORTE-C02", LONG_AGO)
    archive.photo("N01-NORTE-C03", EARLIER)
    content = file.read_bytes()
    harm(file)

    told = archive.run("db", "maintain", "-f", "json")

    kept = [row for row in told.json if row["state"] == "kept"]
    assert told.code == 9
    assert [row["number"] for row in kept] == [session] * 2
    assert all(
        said in row["about"] and f"session {session} (N01-NORTE-C01.jpg)" in row["about"] for row in kept
    )
    assert archive.days() == dict(zip(names(LONG_AGO), (60, 8), strict=True))

    file.write_bytes(content)  # as from a backup
    assert archive.run("db", "maintain").code == 0
    assert archive.days() == {}


def test_a_photo_that_never_had_evidence_keeps_its_day_whoever_asks(archive: Archive) -> None:
    session, _ = archive.photo("N01-NORTE-C01", LONG_AGO, evidence=False)
    told = archive.run("db", "maintain", "-f", "csv")
    assert told.code == 9
    assert f"session {session} (N01-NORTE-C01.jpg) has no evidence file" in told.out
    with (
        archive.database() as connection,
        pytest.raises(DBAPIError, match=f"nowhere else of photo session {session}"),
    ):
        connection.execute(text("SELECT drop_partition('detections', :day)"), {"day": LONG_AGO})


def test_an_operator_may_maintain_and_may_drop_nothing_else(archive: Archive) -> None:
    archive.photo("N01-NORTE-C01", LONG_AGO)
    own = dt.datetime.now(dt.UTC).date()
    with archive.database() as connection:
        connection.execute(text("SET LOCAL ROLE demeter_operator"))
        for refused in (f"drop_partition('detections', '{own}')", "drop_partition('products', '2020-01-01')"):
            with pytest.raises(DBAPIError, match=r"too young|has no partition"), connection.begin_nested():
                connection.execute(text(f"SELECT {refused}"))
        with pytest.raises(DBAPIError, match="must be owner"), connection.begin_nested():
            connection.execute(text(f"DROP TABLE {names(LONG_AGO)[0]}"))
    told = archive.having("role=demeter_operator").run("db", "maintain", "-f", "json")
    assert told.code == 0, told.err
    assert numbers(told)["drop partitions"] == 2
    assert any(row["state"] == "hint" and "as their owner: ANALYZE" in row["about"] for row in told.json)
    assert archive.days() == {}


def test_only_what_is_unfinished_and_old_is_removed(archive: Archive) -> None:
    old = dt.datetime.now().timestamp() - 25 * 3600
    years = old - 400 * 86400
    files = {
        "photos/original/2026/01/02/.abc.part": old,
        "photos/original/2026/01/02/.new.part": None,
        "photos/original/2026/01/02/photo.jpg": years,
        "photos/.marker": years,
        "staging/processed/2026-01-02/x.webp": old,
        "staging/processed/2026-01-03/y.webp": None,
        "reports/2024-01-02/r.json": years,
        "reports/2026-01-02/r.json": old,
    }
    for name, when in files.items():
        path = archive.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100_000)
        if when is not None:
            os.utime(path, (when, when))
    (archive.data / "staging" / "link").symlink_to(archive.data / "photos")

    told = archive.run("db", "maintain", "-f", "json")

    assert told.code == 0
    removed = {task: number for task, number in numbers(told).items() if task.startswith("remove")}
    assert removed == {"remove drafts": 1, "remove staging": 1, "remove reports": 1}
    left = {name for name in files if (archive.data / name).exists()}
    assert set(files) - left == {
        *("photos/original/2026/01/02/.abc.part", "staging/processed/2026-01-02/x.webp"),
        "reports/2024-01-02/r.json",
    }
    assert archive.run("db", "maintain", "--quiet").out == ""


def test_nothing_is_dropped_while_a_run_goes_on_or_somebody_reads(archive: Archive) -> None:
    archive.photo("N01-NORTE-C01", LONG_AGO)
    with connect(archive.url) as other:
        with run_lock(other):
            assert archive.run("db", "maintain").code == 75
        other.execute(text("SELECT count(*) FROM detections"))  # and goes on
        told = archive.having("lock_timeout=100ms").run("db", "maintain", "-f", "json")
    assert told.code == 0
    assert [row["about"] for row in told.json if row["task"] == "keep partition"] == [
        f"detections_p{LONG_AGO:%Y%m%d}: in use; the next round drops it"
    ]
    assert list(archive.days()) == names(LONG_AGO)[:1]
    assert archive.run("db", "maintain").code == 0
    assert archive.days() == {}


def test_tables_that_autovacuum_never_analyses_are(archive: Archive) -> None:
    archive.photo("N01-NORTE-C01", TODAY)
    told = archive.run("db", "maintain", "-f", "json")
    (done,) = [row for row in told.json if row["task"] == "analyze tables"]
    assert "detections" in done["about"]
    with archive.database() as connection:
        known = text("SELECT count(*) FROM pg_stats WHERE tablename = 'detections' AND inherited")
        assert connection.scalar(known)


def test_dead_rows_are_told(archive: Archive) -> None:
    with archive.database() as connection:
        connection.execute(text("CREATE TABLE worn (n integer) WITH (autovacuum_enabled = off)"))
        connection.execute(text("INSERT INTO worn SELECT generate_series(1, 3000)"))
    with archive.database() as connection:
        connection.execute(text("DELETE FROM worn WHERE n > 1000"))
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
    told = archive.run("db", "maintain", "-f", "json")
    hints = [row for row in told.json if row["task"] == "vacuum"]
    assert [(row["state"], row["number"]) for row in hints] == [("hint", 2000)]
    assert hints[0]["about"].startswith("2000 of 3000 rows are dead; VACUUM worn")
