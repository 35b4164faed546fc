"""What holds of a folder and of a bucket alike, and what only a bucket can do wrong."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.breaker import FAILURES, PAUSE, PROBES, Breaker, Circuit
from pipeline.errors import PhotoError, StorageError
from pipeline.storage import S3Options, Store, as_file, open_store, proper
from tests.buckets import BUCKET, Faults, client, fault_proxy, options, s3_server

KEY = "original/2026/03/01/name.jpg"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture
def faulty(endpoint: str, tmp_path: Path) -> Iterator[tuple[Store, Faults]]:
    with fault_proxy(endpoint) as (url, faults):
        yield open_store(f"s3://{BUCKET}/{tmp_path.name}", tmp_path, options(url), tmp_path / "state"), faults


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, endpoint: str, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(None, tmp_path / "photos")
    return open_store(f"s3://{BUCKET}/some/{tmp_path.name}/", tmp_path, options(endpoint), tmp_path / "state")


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "IMG 1.jpg"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size", [0, 1, 100_000, 9 << 20])  # the last goes up in two parts
def test_a_file_comes_back_as_it_was_and_is_copied_once(store: Store, tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    source = saved(tmp_path, content)
    assert store.put_file(KEY, source, sha(content)) is True
    assert store.put_file(KEY, source, sha(content)) is False
    assert store.read_bytes(KEY, sha(content)) == content
    assert store.fetch(KEY, tmp_path / "copy") == sha(content)
    assert (tmp_path / "copy").read_bytes() == content
    found = store.stat(KEY)
    assert found is not None
    assert (found.key, found.size) == (KEY, size)
    with as_file(store, KEY, sha(content)) as path:
        assert path.read_bytes() == content


def test_what_stands_there_with_other_bytes_is_replaced(store: Store, tmp_path: Path) -> None:
    store.put_bytes(KEY, b"rotten")
    assert store.put_file(KEY, saved(tmp_path, b"photos"), sha(b"photos")) is True
    assert store.read_bytes(KEY) == b"photos"


def test_a_photo_that_changed_since_it_was_found_is_not_stored(store: Store, tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"IMG 1\.jpg changed while it was stored; run again"):
        store.put_file(KEY, saved(tmp_path, b"new"), sha(b"old"))
    assert store.stat(KEY) is None
    (tmp_path / "IMG 1.jpg").unlink()
    with pytest.raises(PhotoError, match=r"cannot be read any more: No such file"):
        store.put_file(KEY, tmp_path / "IMG 1.jpg", sha(b"old"))


def test_what_is_missing_or_another_is_told(store: Store, tmp_path: Path) -> None:
    assert store.stat(KEY) is None
    for read in (lambda: store.read_bytes(KEY), lambda: store.fetch(KEY, tmp_path / "copy")):
        with pytest.raises(StorageError, match=rf"the file {KEY} is missing under .*restore it"):
            read()
    store.put_bytes(KEY, b"one")
    with pytest.raises(StorageError, match="is not the one that was stored"):
        store.read_bytes(KEY, sha(b"another"))
    with (
        pytest.raises(StorageError, match="is not the one that was stored"),
        as_file(store, KEY, sha(b"two")),
    ):
        pass


def test_files_are_listed_moved_and_removed(store: Store) -> None:
    keys = [f"evidence/2026/03/{day:02}/{day}.npz" for day in range(1, 4)]
    for key in keys:
        store.put_bytes(key, key.encode())
    store.put_bytes("evidence2/x", b"of another tree")
    assert sorted((one.key, one.size) for one in store.files("evidence")) == [(key, len(key)) for key in keys]
    store.move(keys[0], f"lost+found/{keys[0]}")
    store.delete(keys[1])
    store.delete(keys[1])
    assert [one.key for one in store.files("evidence")] == keys[2:]
    assert store.read_bytes(f"lost+found/{keys[0]}") == keys[0].encode()
    assert list(store.files("processed")) == []


@given(st.text(max_size=40))
def test_no_key_leads_out_of_the_store(key: str) -> None:
    try:
        proper(key)
    except StorageError:
        return
    root = Path("/store")
    assert root in (root / key).resolve().parents or (root / key).resolve() == root / key


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a\\..\\x", "a\x00b", "k" * 513])
def test_keys_that_are_none_are_refused(store: Store, key: str) -> None:
    with pytest.raises(StorageError, match="is no key of a stored file"):
        store.read_bytes(key)


def test_uploads_that_were_cut_short_are_removed_once_they_are_old(endpoint: str) -> None:
    store = open_store(f"s3://{BUCKET}/cut", Path("unused"), options(endpoint))
    s3 = client(endpoint)
    for key in ("cut/original/a.jpg", "elsewhere/b.jpg"):
        s3.create_multipart_upload(Bucket=BUCKET, Key=key)
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)  # moto says of each that it is from 2010

    assert store.tidy(dt.datetime(2000, 1, 1, tzinfo=dt.UTC)) == []
    for dry_run in (True, False):
        assert [one.key for one in store.tidy(soon, dry_run=dry_run)] == ["original/a.jpg"]
    assert [one["Key"] for one in s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == ["elsewhere/b.jpg"]


def test_an_object_is_checked_encrypted_and_remembers_its_hash(endpoint: str, tmp_path: Path) -> None:
    store = open_store(f"s3://{BUCKET}", tmp_path, options(endpoint, encryption="AES256"))
    store.put_bytes(KEY, b"plants")
    behind = client(endpoint).head_object(Bucket=BUCKET, Key=KEY, ChecksumMode="ENABLED")  # type: ignore[attr-defined]
    assert behind["ServerSideEncryption"] == "AES256"
    assert behind["ChecksumSHA256"]
    assert behind["Metadata"] == {"sha256": sha(b"plants")}


@pytest.mark.parametrize("fault", [500, 503, "drop", "hang"])
def test_a_request_that_fails_once_is_asked_again(faulty: tuple[Store, Faults], fault: int | str) -> None:
    store, faults = faulty
    faults.next = [fault]
    assert store.put_bytes(KEY, b"plants") == sha(b"plants")
    faults.next = [fault]
    assert store.read_bytes(KEY, sha(b"plants")) == b"plants"


def test_bytes_that_are_damaged_on_their_way_are_not_taken(
    faulty: tuple[Store, Faults], tmp_path: Path
) -> None:
    store, faults = faulty
    faults.always, faults.method = "flip", "PUT"
    with pytest.raises(StorageError, match=rf"{KEY} reached s3://nursery/.* with other bytes"):
        store.put_bytes(KEY, b"plants" * 100)
    faults.always = None
    assert store.stat(KEY) is None
    store.put_bytes(KEY, b"plants" * 100)
    for fault in ("flip", "cut"):
        faults.always, faults.method = fault, "GET"
        with pytest.raises(StorageError):
            store.read_bytes(KEY, sha(b"plants" * 100))


def test_a_bucket_that_is_away_is_left_alone_by_every_process(
    faulty: tuple[Store, Faults], tmp_path: Path
) -> None:
    same, faults = faulty
    address = f"http://{_address(same)}"
    store, other = (
        open_store(same.name, tmp_path, options(address, attempts=1), tmp_path / "state") for _ in range(2)
    )
    faults.always = 503
    for _ in range(FAILURES):
        with pytest.raises(StorageError, match="cannot be stored in"):
            store.put_bytes(KEY, b"plants")
    asked, faults.always = faults.seen, None
    for one in (store, other):  # the other one as another process of the machine has it
        with pytest.raises(StorageError, match=r"left alone for \d+ more seconds"):
            one.put_bytes(KEY, b"plants")
    assert faults.seen == asked


def _address(store: Store) -> str:
    return store.client.meta.endpoint_url.removeprefix("http://")  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"bucket": "no-such-bucket"},
            "the bucket does not exist; create it, or correct",
        ),
        ({"endpoint": "http://127.0.0.1:9"}, "cannot be stored in s3://nursery: Could not connect"),
    ],
)
def test_a_store_that_cannot_be_used_says_what_to_do(
    endpoint: str, tmp_path: Path, change: dict[str, str], sentence: str
) -> None:
    bucket = change.pop("bucket", BUCKET)
    store = open_store(f"s3://{bucket}", tmp_path, options(**{"url": endpoint, **change}))
    with pytest.raises(StorageError, match=sentence):
        store.put_bytes(KEY, b"plants")


def test_missing_credentials_are_told(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    store = open_store(f"s3://{BUCKET}", tmp_path, S3Options(endpoint=endpoint))
    with pytest.raises(StorageError, match="there are no credentials; set DEMETER_S3_ACCESS_KEY"):
        store.put_bytes(KEY, b"plants")


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 200)), max_size=60))
def test_a_circuit_opens_after_failures_in_a_row_and_closes_after_probes(
    steps: list[tuple[bool, float]],
) -> None:
    circuit, now, row, probes = Circuit(), 1000.0, 0, 0
    for worked, later in steps:
        now += later
        if circuit.waits(now) > 0:
            assert circuit.opened is not None
            assert now < circuit.opened + PAUSE
            continue
        was_open = circuit.opened is not None
        circuit = circuit.after(worked, now)
        probes = probes + 1 if was_open and worked else 0
        row = 0 if worked else row + 1
        if not was_open:
            assert (circuit.opened is not None) == (row >= FAILURES)
        else:
            assert (circuit.opened is None) == (probes >= PROBES)
            row = 0 if circuit.opened is None else row


def test_a_clock_that_is_set_back_does_not_keep_the_circuit_open(tmp_path: Path) -> None:
    now = [10_000.0]
    breaker = Breaker(tmp_path / "state" / "bucket.json", lambda: now[0])
    for _ in range(FAILURES):
        breaker.record(worked=False)
    assert breaker.waits() == PAUSE
    now[0] = 500.0
    assert breaker.waits() == 0
    (tmp_path / "state" / "bucket.json").write_text("no circuit")
    assert breaker.waits() == 0
