"""A real S3 endpoint for tests (moto's server), and a proxy before it that misbehaves on demand."""

from __future__ import annotations

import http.client
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3

from pipeline.storage import S3Options

BUCKET = "nursery"
KEYS = {"access_key": "key", "secret_key": "secret"}
_SLOW_DOWN = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)


@contextmanager
def s3_server() -> Iterator[str]:
    """The URL of an endpoint with an empty bucket called BUCKET."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").disabled = True  # it would write to the stdout of a test that has ended
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    try:
        client(url).create_bucket(Bucket=BUCKET)
        yield url
    finally:
        server.stop()


def client(url: str) -> object:
    """boto3's own client, to look behind our back."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
    )


def options(url: str, **more: object) -> S3Options:
    return S3Options(**{"endpoint": url, **KEYS, "timeout": 2.0, "attempts": 2, **more})  # type: ignore[arg-type]


@dataclass
class Faults:
    """What the proxy does to the next requests: 500, 503, "hang", "cut" (half a body), "flip" (other bytes),
    "drop" (no answer); None passes one on. With `always`, all of them; with `method`, only those."""

    next: list[int | str | None] = field(default_factory=list)
    always: int | str | None = None
    method: str | None = None
    hang_seconds: float = 4.0
    seen: int = 0

    def of(self, method: str) -> int | str | None:
        if self.method is not None and method != self.method:
            return None
        self.seen += 1
        return self.next.pop(0) if self.next else self.always


@contextmanager
def fault_proxy(target: str) -> Iterator[tuple[str, Faults]]:
    """The URL of a proxy before an endpoint, and what it is to do wrong."""
    faults, (host, _, port) = Faults(), target.removeprefix("http://").partition(":")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = faults.of(self.command)
            self.close_connection = True
            match fault:
                case "drop":
                    return
                case "hang":
                    time.sleep(faults.hang_seconds)
                    return
                case int():
                    self.answer(fault, [("Content-Type", "application/xml")], _SLOW_DOWN)
                    return
            if fault == "flip" and body:
                middle = len(body) // 2
                body = body[:middle] + bytes((body[middle] ^ 1,)) + body[middle + 1 :]
            upstream = http.client.HTTPConnection(host, int(port))
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            content = answer.read()
            if fault == "flip" and content and self.command == "GET":
                content = content[:-1] + bytes((content[-1] ^ 1,))
            self.answer(answer.status, answer.getheaders(), content, cut=fault == "cut")
            upstream.close()

        def answer(
            self, status: int, headers: list[tuple[str, str]], content: bytes, *, cut: bool = False
        ) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            if not any(name.lower() == "content-length" for name, _ in headers):
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[: len(content) // 2] if cut else content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward  # noqa: N815  as http.server calls them

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", faults
    finally:
        server.shutdown()
        server.server_close()
