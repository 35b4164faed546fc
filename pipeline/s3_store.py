"""Photos and their files in a bucket: AWS, MinIO, and whatever else speaks S3.

botocore retries with exponential backoff and full jitter (its mode "standard"); what still fails counts
against a circuit that all processes of the machine share. A store that answers "no" is not one that is away.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from pipeline.breaker import Breaker
from pipeline.errors import StorageError
from pipeline.storage import (
    CHUNK,
    LARGEST_STORED,
    S3Options,
    StoredFile,
    changed,
    chunks_of,
    missing,
    other_bytes,
    proper,
)

PART = 8 << 20  # files larger than this go up in parts of this size
IN_MEMORY = 16 << 20  # a copy that is being checked lies on the disk beyond this
CONNECT_SECONDS = 10.0
_ABSENT = {"404", "NoSuchKey", "NotFound"}
_REMEDIES = {
    "NoSuchBucket": "the bucket does not exist; create it, or correct the setting storage_url",
    "AccessDenied": "access is denied; give the key the rights of docs/storage.md",
    "403": "access is denied; give the key the rights of docs/storage.md",
    "InvalidAccessKeyId": "the access key is unknown; correct DEMETER_S3_ACCESS_KEY",
    "SignatureDoesNotMatch": "the secret key is wrong; correct DEMETER_S3_SECRET_KEY",
    "RequestTimeTooSkewed": "the clock of this machine is wrong; set it",
    "BadDigest": "the bytes were damaged on their way; run again",
    "XAmzContentChecksumMismatch": "the bytes were damaged on their way; run again",
}


@dataclass(frozen=True, slots=True, eq=False)
class S3Store:
    """`prefix/key` in the bucket. Each object remembers its sha256, and the bucket checks it on arrival."""

    client: Any  # boto3 makes the class at run time
    bucket: str
    prefix: str
    breaker: Breaker
    extra: Mapping[str, str]  # how the bucket is to encrypt

    @staticmethod
    def connect(bucket: str, prefix: str, options: S3Options, state: Path | None = None) -> S3Store:
        """Sends nothing yet."""
        keys = {"aws_access_key_id": options.access_key, "aws_secret_access_key": options.secret_key}
        try:
            client = boto3.session.Session().client(
                "s3",
                endpoint_url=options.endpoint,
                region_name=options.region or ("us-east-1" if options.endpoint else None),
                config=Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=options.timeout,
                    retries={"mode": "standard", "max_attempts": options.attempts},
                    # MinIO has no host name per bucket.
                    s3={"addressing_style": "path" if options.endpoint else "auto"},
                ),
                **keys,
            )
        except (BotoCoreError, ValueError) as error:
            raise StorageError(f"s3://{bucket} cannot be used: {error}") from error
        extra = {}
        if options.encryption:
            extra["ServerSideEncryption"] = options.encryption
            if options.kms_key:
                extra["SSEKMSKeyId"] = options.kms_key
        asked = hashlib.sha256(f"{options.endpoint}/{bucket}".encode()).hexdigest()[:16]
        return S3Store(client, bucket, prefix, Breaker(state and state / f"bucket-{asked}.json"), extra)

    @property
    def name(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def put_file(self, key: str, source: Path, sha256: str) -> bool:
        there = self.stat(key)
        if there is not None and there.sha256 == sha256 and there.size == _size_of(source):
            return False
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as copy:
            # A file may change while it goes up; what was checked is what is sent.
            digest = hashlib.sha256()
            for chunk in chunks_of(source):
                digest.update(chunk)
                copy.write(chunk)
            if digest.hexdigest() != sha256:
                raise changed(source)
            copy.seek(0)
            self._put(key, copy, sha256)
        return True

    def put_bytes(self, key: str, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as copy:
            copy.write(content)
            copy.seek(0)
            self._put(key, copy, sha256)
        return sha256

    def read_bytes(self, key: str, sha256: str | None = None) -> bytes:
        with self._asking(f"{key} cannot be read from", key):
            content: bytes = self._get(key).read(LARGEST_STORED + 1)
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise other_bytes(self, key)
        return content

    def fetch(self, key: str, target: Path) -> str:
        digest = hashlib.sha256()
        with self._asking(f"{key} cannot be read from", key), target.open("wb") as copy:
            body = self._get(key)
            while chunk := body.read(CHUNK):
                digest.update(chunk)
                copy.write(chunk)
        return digest.hexdigest()

    def stat(self, key: str) -> StoredFile | None:
        with self._asking(f"{key} cannot be looked for in"):
            try:
                found = self.client.head_object(Bucket=self.bucket, Key=self._key(key))
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                raise
        return StoredFile(key, found["ContentLength"], found["LastModified"], found["Metadata"].get("sha256"))

    def files(self, prefix: str) -> Iterator[StoredFile]:
        below = self._key(prefix) + "/"
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=below)
        with self._asking(f"{prefix} cannot be listed in"):
            for page in pages:
                for found in page.get("Contents", ()):
                    key = found["Key"][len(self.prefix) + 1 if self.prefix else 0 :]
                    yield StoredFile(key, found["Size"], found["LastModified"])

    def move(self, key: str, to: str) -> None:
        source = {"Bucket": self.bucket, "Key": self._key(key)}
        with self._asking(f"{key} cannot be moved in", key):
            self.client.copy(source, self.bucket, self._key(to), ExtraArgs=dict(self.extra))
            self.client.delete_object(**source)

    def delete(self, key: str) -> None:
        with self._asking(f"{key} cannot be removed from"):
            self.client.delete_object(Bucket=self.bucket, Key=self._key(key))

    def tidy(self, before: dt.datetime, *, dry_run: bool = False) -> list[StoredFile]:
        below = f"{self.prefix}/" if self.prefix else ""
        pages = self.client.get_paginator("list_multipart_uploads")
        gone = []
        with self._asking("uploads that were cut short cannot be removed from"):
            for page in pages.paginate(Bucket=self.bucket, Prefix=below):
                for found in page.get("Uploads", ()):
                    if found["Initiated"] >= before:
                        continue
                    gone.append(StoredFile(found["Key"][len(below) :], 0, found["Initiated"]))
                    if not dry_run:
                        which = {"Key": found["Key"], "UploadId": found["UploadId"]}
                        self.client.abort_multipart_upload(Bucket=self.bucket, **which)
        return gone

    def where(self, key: str) -> str:
        return f"{self.name}/{key}"

    def local(self, key: str) -> Path | None:  # noqa: ARG002  a folder has an answer
        return None

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{proper(key)}" if self.prefix else proper(key)

    def _put(self, key: str, content: IO[bytes], sha256: str) -> None:
        """boto3 sends a checksum with every part, which the bucket compares before it takes it."""
        extra = {**self.extra, "Metadata": {"sha256": sha256}, "ChecksumAlgorithm": "SHA256"}
        parts = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)
        tag = _entity_tag(content)
        with self._asking(f"{key} cannot be stored in"):
            self.client.upload_fileobj(content, self.bucket, self._key(key), ExtraArgs=extra, Config=parts)
            there = self.client.head_object(Bucket=self.bucket, Key=self._key(key))
        # Not every store that speaks S3 compares the checksum. Of what KMS encrypts the tag is no hash.
        if "kms" not in there.get("ServerSideEncryption", "") and there["ETag"].strip('"') != tag:
            self.delete(key)
            raise StorageError(f"{key} reached {self.name} with other bytes than were sent; run again")

    def _get(self, key: str) -> Any:
        return self.client.get_object(Bucket=self.bucket, Key=self._key(key), ChecksumMode="ENABLED")["Body"]

    @contextmanager
    def _asking(self, what: str, key: str = "") -> Iterator[None]:
        """Ask the bucket, unless nobody could for a while; what comes back becomes a sentence."""
        if (seconds := self.breaker.waits()) > 0:
            raise StorageError(
                f"{what} {self.name}: it failed again and again and is left alone for "
                f"{seconds:.0f} more seconds"
            )
        try:
            yield
        except StorageError:
            raise
        except (ClientError, BotoCoreError, Boto3Error, OSError) as error:
            root = _cause(error)
            code = _code(root)
            # What is answered with a reason is answered: only silence and its own troubles open the circuit.
            self.breaker.record(worked=isinstance(root, ClientError) and _status(root) < 500)
            if key and code in _ABSENT:
                raise missing(self, key) from error
            raise StorageError(f"{what} {self.name}: {_why(root, code)}") from error
        self.breaker.record(worked=True)


def _entity_tag(content: IO[bytes]) -> str:
    """What S3 calls the ETag: the MD5, or that of the parts' MD5s with their number."""
    digests = []
    while part := content.read(PART):
        digests.append(hashlib.md5(part, usedforsecurity=False).digest())
    size = content.tell()
    content.seek(0)
    if size < PART:  # as boto3 decides
        return (digests[0] if digests else hashlib.md5(b"", usedforsecurity=False).digest()).hex()
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def _size_of(source: Path) -> int | None:
    try:
        return os.stat(source).st_size  # noqa: PTH116  a photo that is gone is told of where it is read
    except OSError:
        return None


def _cause(error: BaseException) -> BaseException:
    """boto3 wraps what the bucket said."""
    while not isinstance(error, ClientError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _code(error: BaseException) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))


def _why(error: BaseException, code: str) -> str:
    if code in _REMEDIES:
        return _REMEDIES[code]
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return "there are no credentials; set DEMETER_S3_ACCESS_KEY and DEMETER_S3_SECRET_KEY"
    return " ".join(str(error).split())
