"""What one watching from outside is told of the database."""

from __future__ import annotations

import datetime as dt
import math
import uuid

import pytest
from sqlalchemy import Connection, text

from db.engine import connect
from db.errors import Busy, NotFound
from db.models.vocabulary import RunStatus
from db.roles import OPERATOR, ROLES
from db.runs import Account, RunInfo, finish_run, lock_holder, run_lock, sign_run, start_run
from db.watch import figures, find_run, last_run, login, recent_runs, server_clock, unfinished_claims

KEY = uuid.UUID("1f0c2d3e-0000-4000-8000-000000000001")


def run(connection: Connection) -> RunInfo:
    user = connection.execute(text("SELECT id FROM users ORDER BY id LIMIT 1")).scalar_one()
    connection.rollback()
    return start_run(connection, "process", ("m", "0" * 64), "c" * 16, user)


def test_a_run_is_found_by_number_and_by_the_beginning_of_its_key(demo: Connection) -> None:
    started = run(demo)
    sign_run(demo, started, KEY, "1.2.3")
    finish_run(
        demo, started, RunStatus.FINISHED, 3, 1,
        Account(8, 452, 1, 461_000_000, {"completed": 2, "failed": 1}, {"decode": 0.5}, None),
    )  # fmt: skip
    found = find_run(demo, "1f0c")
    assert found == find_run(demo, str(started.id)) == last_run(demo) == recent_runs(demo, 5)[0]
    assert (found.exit_code, found.plants, found.retries, found.version) == (8, 452, 1, "1.2.3")
    assert found.statuses == {"completed": 2, "failed": 1}
    assert found.stages == {"decode": 0.5}
    for name in ("1f0", "ffff", "999999", "'; DROP TABLE runs"):
        with pytest.raises(NotFound):
            find_run(demo, name)


def test_the_last_success_is_that_of_a_run_without_failures(demo: Connection) -> None:
    assert figures(demo).last_success is None
    demo.rollback()
    for failures, code in ((0, 0), (2, 8)):
        started = run(demo)
        finish_run(demo, started, RunStatus.FINISHED, 3, failures, Account(code, 0, 0, 0, {}, {}))
        if not code:
            good = find_run(demo, str(started.id)).finished_at
            demo.rollback()
    now = figures(demo)
    assert now.last_success == good
    assert now.database_bytes > 1_000_000


def test_of_a_photo_in_several_counts_the_newest_tells_whether_it_waits(demo: Connection) -> None:
    first, second = run(demo), run(demo)
    with demo.begin():
        for number, statuses in enumerate((("failed", "completed"), ("completed", "needs_location"), ())):
            image = f"00000000-0000-0000-0000-00000000000{number}"
            demo.execute(
                text(
                    "INSERT INTO images (id, sha256, original_name, file_size_bytes)"
                    " VALUES (CAST(:id AS uuid), :sha, 'a.jpg', 1)"
                ),
                {"id": image, "sha": f"{number}" * 64},
            )
            for started, status in zip((first, second), statuses, strict=False):
                demo.execute(
                    text(
                        "INSERT INTO photo_sessions"
                        " (image_id, run_id, model, model_sha256, config_hash, status)"
                        " VALUES (CAST(:id AS uuid), :run, 'm', :sha, :config, :status)"
                    ),
                    {
                        "id": image,
                        "run": started.id,
                        "sha": "0" * 64,
                        "config": str(started.id),
                        "status": status,
                    },
                )
    now = figures(demo)
    assert {status: number for status, number in now.waiting.items() if number} == {"needs_location": 1}
    assert now.uncounted == 1
    assert now.oldest_waiting is not None


def test_photos_of_a_dead_run_are_told_of_unless_a_run_is_at_work(demo: Connection, demo_url: str) -> None:
    started = run(demo)
    with demo.begin():
        demo.execute(
            text(
                "INSERT INTO images (id, sha256, original_name, file_size_bytes)"
                " VALUES (gen_random_uuid(), repeat('a', 64), 'a.jpg', 1)"
            )
        )
        demo.execute(
            text(
                "INSERT INTO photo_sessions (image_id, run_id, model, model_sha256, config_hash, status)"
                " SELECT id, :run, 'm', repeat('0', 64), 'c', 'processing' FROM images"
            ),
            {"run": started.id},
        )
    assert unfinished_claims(demo) == 1
    demo.rollback()
    with connect(demo_url) as other, run_lock(other):
        assert unfinished_claims(demo) == 0


def test_who_holds_the_lock_is_told_also_to_a_login_with_few_rights(demo: Connection, demo_url: str) -> None:
    with connect(demo_url) as other, run_lock(other, "db maintain"):
        with demo.begin():
            demo.execute(text(f"SET LOCAL ROLE {OPERATOR}"))
            assert lock_holder(demo).startswith("demeter db maintain (process ")
        with (
            pytest.raises(Busy, match=r"demeter db maintain \(process \d+ on .+, since \d{4}-"),
            run_lock(demo),
        ):
            raise AssertionError
    assert demo.scalar(text("SHOW application_name")) == "demeter"
    demo.rollback()
    with run_lock(demo, "process", math.inf):
        assert lock_holder(demo).startswith("demeter process (process ")


def test_the_server_tells_its_time_and_whom_it_takes_us_for(demo: Connection) -> None:
    assert abs((server_clock(demo) - dt.datetime.now(dt.UTC)).total_seconds()) < 60
    assert login(demo, ROLES).superuser
    demo.execute(text(f"SET LOCAL ROLE {OPERATOR}"))
    mine = login(demo, ROLES)
    assert (mine.superuser, mine.owner, mine.roles) == (False, False, (OPERATOR,))
