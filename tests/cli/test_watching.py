"""What becomes of a run that is watched: report, metrics, pings, webhook, mail, traces. Real endpoints."""

from __future__ import annotations

import base64
import email
import email.policy
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from db.errors import Busy, DatabaseUnavailable
from demeter_cli import logs
from demeter_cli.settings import Settings, load_settings
from demeter_cli.watching import PhotoEvent, watching
from tests.endpoints import Endpoint, http_endpoint, own_certificate, smtp_endpoint

COUNTED = PhotoEvent(
    "beds/a.jpg", "completed", 1.5, {"decode": 0.2, "containers": 0.4, "detect": 1.1, "save": 0.1}, plants=131
)
FAILED = PhotoEvent("beds/b.jpg", "failed", tries=2, reason="beds/b.jpg ends in the middle")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Settings]]:
    """Settings by variables, a data folder that is there, and logs as a command has them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEMETER_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()

    def load(**values: object) -> Settings:
        for name, value in values.items():
            monkeypatch.setenv(f"DEMETER_{name.upper()}", str(value))
        logs.configure(0, as_json=False)
        return load_settings()

    level = logging.getLogger().level
    yield load
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(level)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with http_endpoint() as found:
        yield found


def run(settings: Settings, error: BaseException | None = None) -> None:
    """A run of two photos, one of which failed, that ends with an error or without."""
    with watching(settings, "process") as watch:
        watch.begun()
        watch.photo(COUNTED)
        watch.photo(FAILED)
        watch.counted(["completed", "failed"], None)
        if error is not None:
            raise error


def failing(settings: Settings, error: BaseException) -> None:
    with pytest.raises(type(error)):
        run(settings, error)


def report(settings: Settings) -> dict[str, object]:
    (path,) = settings.report_dir.glob("*/*.json")
    assert path.stat().st_mode & 0o007 == 0
    return json.loads(path.read_text(encoding="utf-8"))


def samples(path: Path) -> dict[tuple[str, str], float]:
    """By name and the last label's value."""
    return {
        (sample.name, list(sample.labels.values())[-1] if sample.labels else ""): sample.value
        for family in text_string_to_metric_families(path.read_text(encoding="utf-8"))
        for sample in family.samples
    }


def test_a_report_tells_what_the_run_did(settings: Callable[..., Settings]) -> None:
    run(settings())
    found = report(settings())
    assert (found["exit_code"], found["outcome"], found["problem"]) == (0, "OK", None)
    assert found["photos"] == {"completed": 1, "failed": 1}
    assert (found["counted"], found["plants"], found["retries"]) == (1, 131, 1)
    assert found["stages"] == {"decode": 0.2, "containers": 0.4, "detect": 1.1, "save": 0.1}
    assert found["failures"] == [{"photo": "beds/b.jpg", "reason": "beds/b.jpg ends in the middle"}]
    assert found["peak_memory"]["parent"] > 10_000_000
    assert found["key"] in next(settings().report_dir.glob("*/*.json")).name


def test_a_report_tells_what_ended_the_run(settings: Callable[..., Settings]) -> None:
    failing(settings(), DatabaseUnavailable("the database went away"))
    assert report(settings())["problem"] == "the database went away"
    assert report(settings())["outcome"] == "DATABASE"


def test_no_report_is_written_where_there_is_no_data_folder_yet(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    run(settings(data_dir=tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_pings_tell_start_and_end_and_carry_the_log_when_it_failed(
    settings: Callable[..., Settings], endpoint: Endpoint
) -> None:
    chosen = settings(ping_url=f"{endpoint.url}/secret-uuid")
    run(chosen)
    failing(chosen, DatabaseUnavailable("the database went away"))
    starts = [path for path in endpoint.paths if path.startswith("/secret-uuid/start?rid=")]
    ends = [path for path in endpoint.paths if path not in starts]
    assert len(starts) == 2
    assert ends[0].startswith("/secret-uuid?rid=")
    assert ends[1].startswith("/secret-uuid/4?rid=")
    assert {path.partition("rid=")[2] for path in starts} == {path.partition("rid=")[2] for path in ends}
    body = endpoint.body_of("/secret-uuid/4")
    assert "the database went away" in body
    assert "beds/a.jpg: completed" in body


def test_a_run_that_another_kept_from_starting_alarms_nobody(
    settings: Callable[..., Settings], endpoint: Endpoint
) -> None:
    chosen = settings(ping_url=endpoint.url, webhook_url=endpoint.url)
    with pytest.raises(Busy), watching(chosen, "process"):
        raise Busy("another run is at work")
    assert endpoint.paths == []


def test_commands_other_than_process_ping_only_an_address_of_their_own(
    settings: Callable[..., Settings], endpoint: Endpoint
) -> None:
    with watching(settings(ping_url=f"{endpoint.url}/one"), "db backup"):
        pass
    assert endpoint.paths == []
    with watching(settings(ping_url=f"{endpoint.url}/key/demeter-{{command}}"), "db backup"):
        pass
    assert [path.partition("?")[0] for path in endpoint.paths] == ["/key/demeter-db-backup"]


def test_what_does_not_answer_or_refuses_fails_nothing_and_shows_no_address(
    settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    with http_endpoint(silent=True) as silent, http_endpoint(code=500) as broken:
        chosen = settings(
            ping_url=f"{silent.url}/hush", webhook_url=f"{broken.url}/geheim", mail_to="ana@vivero.ar",
            smtp_port=1,
        )  # fmt: skip
        failing(chosen, DatabaseUnavailable("gone"))
    logs_shown = capsys.readouterr().err
    assert "the webhook was not delivered (it answered 500)" in logs_shown
    assert "the e-mail was not delivered" in logs_shown
    assert "the ping was not delivered" in logs_shown
    assert "hush" not in logs_shown
    assert "geheim" not in logs_shown


def test_a_webhook_gets_the_report_of_a_run_that_failed_and_of_no_other(
    settings: Callable[..., Settings], endpoint: Endpoint
) -> None:
    chosen = settings(webhook_url=f"{endpoint.url}/hook")
    run(chosen)
    assert endpoint.paths == []
    failing(chosen, DatabaseUnavailable("gone"))
    sent = json.loads(endpoint.body_of("/hook"))
    assert sent["text"].startswith("demeter process ended with 4 (DATABASE)")
    assert sent["photos"] == {"completed": 1, "failed": 1}


def test_a_mail_goes_out_encrypted_and_with_a_login(
    settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = own_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with smtp_endpoint(certificate) as box:
        chosen = settings(
            mail_to="ana@vivero.ar, beto@vivero.ar", smtp_port=box.port, smtp_user="demeter",
            smtp_password="geheim",
        )  # fmt: skip
        failing(chosen, DatabaseUnavailable("the database went away"))
    assert box.encrypted == [True]
    assert base64.b64decode(box.logins[0]) == b"\0demeter\0geheim"
    mail = email.message_from_string(box.mails[0], policy=email.policy.default)
    assert mail["To"] == "ana@vivero.ar, beto@vivero.ar"
    assert "process ended with 4 (DATABASE)" in mail["Subject"]
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "the database went away" in mail.get_content()


def test_a_mail_server_without_encryption_gets_neither_mail_nor_password(
    settings: Callable[..., Settings], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate = own_certificate(tmp_path)  # which nothing here trusts
    with smtp_endpoint(certificate) as box:
        chosen = settings(mail_to="ana@vivero.ar", smtp_port=box.port, smtp_user="d", smtp_password="geheim")
        failing(chosen, DatabaseUnavailable("gone"))
    assert box.mails == box.logins == []
    assert "its certificate is not trusted" in capsys.readouterr().err


def test_metrics_tell_of_success_and_failure_and_remember_the_last_success(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    path = tmp_path / "demeter.prom"
    chosen = settings(metrics_file=path)
    run(chosen)
    first = samples(path)
    assert path.stat().st_mode & 0o777 == 0o644
    assert first["demeter_last_success_timestamp_seconds", "process"] > 1e9
    assert first["demeter_last_run_photos", "failed"] == 1
    assert first["demeter_last_run_stage_seconds", "detect"] == 1.1
    assert first["demeter_disk_free_bytes", ""] > 0

    failing(chosen, DatabaseUnavailable("gone"))
    second = samples(path)
    name = ("demeter_last_success_timestamp_seconds", "process")
    assert second[name] == first[name]
    assert second["demeter_last_run_exit_code", "process"] == 4
    assert second["demeter_database_up", ""] == 0

    with watching(chosen, "db backup"):
        pass
    third = samples(path)
    assert third["demeter_last_run_exit_code", "db backup"] == 0
    assert third["demeter_last_run_exit_code", "process"] == 4
    assert [path for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_metrics_that_cannot_be_written_fail_nothing(
    settings: Callable[..., Settings], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(settings(metrics_file=tmp_path / "not there" / "demeter.prom"))
    assert "metrics" in capsys.readouterr().err


def test_spans_of_photos_and_stages_arrive_at_a_collector(
    settings: Callable[..., Settings], endpoint: Endpoint
) -> None:
    trace = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    import gzip

    run(settings(otel_endpoint=f"{endpoint.url}/v1/traces"))
    spans = []
    for body in endpoint.bodies:
        request = trace.ExportTraceServiceRequest()
        request.ParseFromString(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        spans += [span for one in request.resource_spans for part in one.scope_spans for span in part.spans]
    by_name = {span.name: span for span in spans}
    names = [span.name for span in spans]
    assert sorted(names) == sorted(["demeter process", "photo", "photo", *COUNTED.stages])
    assert by_name["detect"].end_time_unix_nano - by_name["detect"].start_time_unix_nano == 1_100_000_000
    assert by_name["containers"].start_time_unix_nano == by_name["decode"].end_time_unix_nano
    parents = {span.span_id: span.name for span in spans}
    assert parents[by_name["detect"].parent_span_id] == "photo"
    assert parents[by_name["photo"].parent_span_id] == "demeter process"


def test_a_collector_that_is_gone_holds_nobody_up(
    settings: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("opentelemetry")
    run(settings(otel_endpoint="http://127.0.0.1:1/v1/traces"))
    assert report(settings())["outcome"] == "OK"
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
