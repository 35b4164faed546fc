"""What watches over runs, as real servers on ports that the system chose: HTTP, and SMTP with STARTTLS."""

from __future__ import annotations

import datetime as dt
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Endpoint:
    """Keeps what it was sent. `code` is what it answers, `silent` makes it never answer."""

    code: int = 200
    silent: bool = False
    port: int = 0
    paths: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def body_of(self, start: str) -> str:
        """What was sent to the one path that begins like this."""
        (body,) = (body for path, body in zip(self.paths, self.bodies, strict=True) if path.startswith(start))
        return body.decode()


@contextmanager
def http_endpoint(**how: bool | int) -> Iterator[Endpoint]:
    endpoint = Endpoint(**how)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if endpoint.silent:
                endpoint.over.wait(60)
                return
            endpoint.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            endpoint.paths.append(self.path)
            self.send_response(endpoint.code)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mailbox:
    port: int = 0
    encrypted: list[bool] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)


@contextmanager
def smtp_endpoint(certificate: Path) -> Iterator[Mailbox]:
    """Takes every mail after STARTTLS and a login of the kind PLAIN; `certificate` holds its key too."""
    box = Mailbox()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def handle(self) -> None:
            encrypted = False
            self.say("220 here")
            while line := self.rfile.readline().decode().strip():
                match line.upper().split()[0]:
                    case "EHLO":
                        offers = "250 AUTH PLAIN" if encrypted else "250 STARTTLS"
                        self.wfile.write(f"250-here\r\n{offers}\r\n".encode())
                    case "STARTTLS":
                        self.say("220 go on")
                        self.connection = context.wrap_socket(self.connection, server_side=True)
                        self.rfile = self.connection.makefile("rb")
                        self.wfile = self.connection.makefile("wb", buffering=0)
                        encrypted = True
                    case "AUTH":
                        box.logins.append(line.split()[-1])
                        self.say("235 welcome")
                    case "DATA":
                        self.say("354 speak")
                        box.encrypted.append(encrypted)
                        box.mails.append("".join(iter(lambda: self.rfile.readline().decode(), ".\r\n")))
                        self.say("250 taken")
                    case "QUIT":
                        self.say("221 bye")
                        return
                    case _:
                        self.say("250 fine")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    box.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield box
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def own_certificate(folder: Path) -> Path:
    """For localhost, signed by itself, with its key in the same file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "localhost.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
