"""Runs by themselves, as cron and systemd start them: locks, silence, what is told, rights and secrets."""

from __future__ import annotations

import json
import math
import os
import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from db.engine import connect
from db.errors import Busy
from db.runs import run_lock
from tests.acceptance.conftest import EXAMPLES, Site
from tests.acceptance.test_process import put
from tests.endpoints import http_endpoint

PASSWORD = "geheim-4711"


@pytest.fixture
def photo(site: Site) -> Path:
    return put(site, EXAMPLES / "N01-SUR-C05.jpg", "N01-SUR-C05.jpg")


def test_a_run_that_finds_another_at_work_says_who_that_is_and_ends_with_75(site: Site, photo: Path) -> None:
    with connect(site.settings["DEMETER_DATABASE_URL"]) as connection, run_lock(connection, "estimate"):
        done = site.run("process", photo)
        waited = site.run("process", photo, "--wait", "0.1", "--quiet")
    assert (done.code, done.out) == (75, "")
    assert len(done.err.splitlines()) == 1
    assert f"demeter estimate (process {os.getpid()} on " in done.err
    assert (waited.code, waited.out) == (75, "")
    assert "it still goes on after 0.1 seconds" in waited.err


def test_a_run_that_may_wait_goes_on_when_the_other_has_finished(site: Site, photo: Path) -> None:
    with connect(site.settings["DEMETER_DATABASE_URL"]) as connection:
        with run_lock(connection, "db maintain"):
            process = site.start("process", photo, "--wait", "forever", "-f", "json")
            said = process.stderr.readline()
        out, err = process.communicate(timeout=120)
    assert "demeter db maintain (process " in said
    assert "waiting for it" in said
    assert process.returncode == 0, err
    assert json.loads(out)["photos"][0]["status"] == "completed"


def test_the_lock_is_free_after_a_wait_that_was_in_vain(demo_url: str) -> None:
    with connect(demo_url) as first, connect(demo_url) as second:
        with run_lock(first), pytest.raises(Busy, match="demeter process"), run_lock(second, wait=0.3):
            raise AssertionError
        told: list[str] = []
        holding, go = threading.Event(), threading.Event()

        def hold() -> None:
            with run_lock(first):
                holding.set()
                go.wait(30)

        thread = threading.Thread(target=hold)
        thread.start()
        holding.wait(30)

        def release(word: str) -> None:
            told.append(word)
            go.set()

        with run_lock(second, "estimate", math.inf, release):
            thread.join()
        assert len(told) == 1


def test_a_night_is_silent_when_all_is_well_and_told_to_everybody_when_it_is_not(
    site: Site, photo: Path, tmp_path: Path
) -> None:
    log, metrics = tmp_path / "demeter.log", tmp_path / "demeter.prom"
    with http_endpoint() as watch:
        night = site.but(
            DEMETER_PING_URL=f"{watch.url}/uuid", DEMETER_METRICS_FILE=str(metrics),
            DEMETER_LOG_FILE=str(log), DEMETER_WEBHOOK_URL=f"{watch.url}/hook", DEMETER_LOG_STYLE="json",
        )  # fmt: skip
        good = night.run("process", ".", "--quiet")
        (site.folder / "broken.jpg").write_bytes(photo.read_bytes()[:5000])
        bad = night.run("process", ".", "--quiet")

    assert (good.code, good.out, good.err) == (0, "", "")
    assert bad.code == 8
    assert bad.out == "2 photos: 1 failed; `demeter photos list` shows what each waits for.\n"
    assert len(bad.err.splitlines()) == 1

    first, second = (line["run"] for line in read_starts(log))
    assert f"/uuid?rid={first}" in watch.paths
    assert f"/uuid/8?rid={second}" in watch.paths
    assert "broken.jpg" in watch.body_of("/uuid/8")
    assert json.loads(watch.body_of("/hook"))["failures"][0]["photo"] == "broken.jpg"
    assert 'demeter_last_run_exit_code{command="process"} 8.0' in metrics.read_text(encoding="utf-8")
    assert 'demeter_waiting_photos{status="failed"} 1.0' in metrics.read_text(encoding="utf-8")

    shown = site.run("runs", "show", second[:8], "-f", "json").json
    assert (shown["exit_code"], shown["failures"], shown["statuses"]) == (8, 1, {"completed": 1, "failed": 1})
    assert [one["photo"] for one in shown["failed"]] == ["broken.jpg"]
    assert site.run("runs", "show", first, "-f", "json").json["stages"].keys() >= {"decode", "detect", "save"}


def read_starts(log: Path) -> Iterator[dict[str, str]]:
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert all(uuid.UUID(line["run"]) for line in lines)
    assert {line["level"] for line in lines} >= {"info", "error"}
    return (line for line in lines if line["message"].endswith("process starts"))


@pytest.fixture
def operator(site: Site) -> Iterator[str]:
    """The address of a login that may do what an operator may, and no more."""
    url = site.settings["DEMETER_DATABASE_URL"]
    name = f"demeter_test_night_{os.getpid()}"
    with connect(url) as connection, connection.begin():
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' IN ROLE demeter_operator"))
    yield make_url(url).set(username=name, password=PASSWORD).render_as_string(hide_password=False)
    with connect(url) as connection, connection.begin():
        connection.execute(text(f"DROP OWNED BY {name}"))
        connection.execute(text(f"DROP ROLE {name}"))


def test_the_batch_needs_no_more_than_the_operators_rights(site: Site, photo: Path, operator: str) -> None:
    black = site.folder / "N01-NORTE-C01.jpg"
    black.write_bytes(photo.read_bytes()[:5000])
    night = site.but(DEMETER_DATABASE_URL=operator)
    done = night.run("process", ".", "-f", "json")
    assert done.code == 8, done.err
    assert [row["status"] for row in done.json["photos"]] == ["failed", "completed"]
    assert done.json["photos"][1]["booked"] is not None
    assert night.run("estimate", "--method", "perspective").code == 0
    checks = {row["check"]: row for row in night.run("doctor", "--quick", "-f", "json").json}
    assert checks["database role"]["state"] == "ok", checks
    assert checks["rules"]["state"] == "ok", checks


def test_a_password_shows_nowhere(site: Site, photo: Path, tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text(
        make_url(site.settings["DEMETER_DATABASE_URL"]).set(password=PASSWORD).render_as_string(False) + "\n"
    )
    secret.chmod(0o600)
    log = tmp_path / "demeter.log"
    settings = {k: v for k, v in site.settings.items() if k != "DEMETER_DATABASE_URL"}
    by_file = Site(site.folder, settings | {
        "DEMETER_DATABASE_URL_FILE": str(secret), "DEMETER_LOG_FILE": str(log), "DEMETER_LOG_LEVEL": "debug",
        "DEMETER_SMTP_PASSWORD": PASSWORD, "DEMETER_PING_URL": f"http://127.0.0.1:1/{PASSWORD}",
    })  # fmt: skip
    process = by_file.start("-vv", "process", photo, "--workers", "1")
    titles = []
    while process.poll() is None:
        titles.append(
            subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        )
        try:
            process.wait(0.3)
        except subprocess.TimeoutExpired:
            continue
    out, err = process.communicate()
    assert process.returncode == 0, err
    told = [out, err, log.read_text(encoding="utf-8"), *titles]
    wrong = by_file.but(
        DEMETER_DATABASE_URL_FILE="", DEMETER_DATABASE_URL=f"postgresql://u:{PASSWORD}@127.0.0.1:1/x"
    )
    for command in (
        ["-vv", "process", "."],
        ["doctor", "--settings"],
        ["doctor", "--quick"],
        ["-vv", "runs", "list"],
    ):
        done = wrong.run(*command)
        told += [done.out, done.err]
    told += [path.read_text(encoding="utf-8") for path in (tmp_path / "data" / "reports").rglob("*.json")]
    assert [words for words in told if PASSWORD in words] == []
    assert any("postgresql://u@127.0.0.1:1/x" in words for words in told)

    secret.chmod(0o644)
    refused = by_file.run("runs", "list")
    assert refused.code == 3
    assert f"chmod 600 {secret}" in refused.err


def test_a_photo_that_ends_its_worker_each_time_fails_alone_and_the_code_says_so(
    site: Site, photo: Path
) -> None:
    put(site, photo, "poison.jpg").write_bytes(photo.read_bytes() + b"\0")
    inject = EXAMPLES.parent / "tools/faults/inject"
    path = os.pathsep.join([str(inject), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = site.but(PYTHONPATH=path, FAULTS_POISON="poison.jpg").run(
        "process", ".", "-f", "json", "--workers", "1"
    )
    assert done.code == 7, done.err
    assert sorted(row["status"] for row in done.json["photos"]) == ["completed", "failed"]
    shown = site.run("runs", "list", "-f", "json").json[0]
    assert (shown["exit_code"], shown["retries"]) == (7, 1)
