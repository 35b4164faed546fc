"""Word of a run to the outside: a ping to a dead man's switch, a webhook, an e-mail.

Each gets a few seconds in a thread of its own; what does not answer is a warning in the log. Addresses may
hold secrets, so that nobody's words about an error are passed on, only their kind.
"""

from __future__ import annotations

import http.client
import json
import logging
import platform
import smtplib
import ssl
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import TYPE_CHECKING

from demeter_cli.errors import ExitCode

if TYPE_CHECKING:
    from demeter_cli.run_report import RunReport
    from demeter_cli.settings import Settings

log = logging.getLogger("demeter")

SECONDS = 5.0  # for an answer
MOST_SECONDS = 15.0  # for all of them together, names that must be looked up included
LARGEST_BODY = 90_000  # bytes; healthchecks.io keeps 100 kB
PORTS = {"starttls": 587, "tls": 465, "none": 25}
# Another run does the work, or will: nobody needs to come.
NO_ALARM = frozenset({ExitCode.OK, ExitCode.BUSY})

TROUBLES = (OSError, ValueError, smtplib.SMTPException, http.client.HTTPException)

Send = Callable[[], None]


def ping_start(settings: Settings, command: str, key: uuid.UUID) -> None:
    """Tell that the run has started; the work does not wait for the answer."""
    url = _ping_url(settings, command)
    if url is not None:
        _background("the ping", lambda: _post(f"{url}/start?rid={key}", b"", "text/plain"))


def tell(settings: Settings, report: RunReport, lines: Sequence[str]) -> None:
    """Tell how the run ended. Returns within MOST_SECONDS, whatever the others do."""
    threads = [_background(what, send) for what, send in _sendings(settings, report, lines)]
    deadline = time.monotonic() + MOST_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            log.warning("%s got no answer in time; going on without it", thread.name)


def _sendings(settings: Settings, report: RunReport, lines: Sequence[str]) -> list[tuple[str, Send]]:
    body = _body(report, lines)
    found: list[tuple[str, Send]] = []
    url = _ping_url(settings, report.command)
    if url is not None and report.exit_code != ExitCode.BUSY:
        end = f"/{report.exit_code}" if report.exit_code else ""
        found.append(("the ping", lambda: _post(f"{url}{end}?rid={report.key}", body, "text/plain")))
    if report.exit_code in NO_ALARM:
        return found
    if settings.webhook_url is not None:
        hook = settings.webhook_url.get_secret_value()
        content = json.dumps({"text": report.summary, **report.as_json()}).encode()
        found.append(("the webhook", lambda: _post(hook, content, "application/json")))
    if settings.mail_to is not None:
        message = _message(settings, report, body.decode("utf-8", "replace"))
        found.append(("the e-mail", lambda: _mail(settings, message)))
    return found


def try_out(settings: Settings) -> list[str]:
    """Send a trial to everybody who is told of runs. A sentence for each that did not take it."""
    text = f"Demeter on {platform.node() or 'localhost'} can reach you. This is a trial; nothing is wrong."
    trials: list[tuple[str, Send]] = []
    url = _ping_url(settings, "process")
    if url is not None:
        trials.append(("the ping", lambda: _post(f"{url}/log", text.encode(), "text/plain")))
    if settings.webhook_url is not None:
        hook, content = settings.webhook_url.get_secret_value(), json.dumps({"text": text}).encode()
        trials.append(("the webhook", lambda: _post(hook, content, "application/json")))
    if settings.mail_to is not None:
        message = _envelope(settings, "Demeter: a trial", text)
        trials.append(("the e-mail", lambda: _mail(settings, message)))
    refused = []
    for what, send in trials:
        try:
            send()
        except TROUBLES as error:
            refused.append(f"{what} was not delivered ({_kind(error)}); correct its settings")
    return refused


def _ping_url(settings: Settings, command: str) -> str | None:
    """Without a {command} in it, the address belongs to the nightly `process` alone."""
    if settings.ping_url is None:
        return None
    url = settings.ping_url.get_secret_value().rstrip("/")
    if "{command}" in url:
        return url.replace("{command}", command.replace(" ", "-"))
    return url if command == "process" else None


def _body(report: RunReport, lines: Sequence[str]) -> bytes:
    """The summary, and as many of the last lines as fit."""
    text = "\n".join([report.summary, "", *lines])
    content = text.encode("utf-8", "backslashreplace")
    if len(content) <= LARGEST_BODY:
        return content
    return content[: LARGEST_BODY // 10] + b"\n...\n" + content[-LARGEST_BODY * 8 // 10 :]


def _background(what: str, send: Send) -> threading.Thread:
    def attempt() -> None:
        try:
            send()
        except TROUBLES as error:
            log.warning("%s was not delivered (%s)", what, _kind(error))

    thread = threading.Thread(target=attempt, name=what, daemon=True)
    thread.start()
    return thread


def _kind(error: BaseException) -> str:
    """What went wrong, without the address, which may hold a secret."""
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server answered {error.smtp_code}"
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "its certificate is not trusted"
    return getattr(reason, "strerror", None) or type(reason).__name__


def _post(url: str, body: bytes, kind: str) -> None:
    headers = {"Content-Type": kind, "User-Agent": "demeter"}
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310  http(s) only
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        answer.read(1024)


def _message(settings: Settings, report: RunReport, text: str) -> EmailMessage:
    end = f"{report.command} ended with {report.exit_code} ({report.outcome})"
    return _envelope(settings, f"Demeter on {platform.node() or 'localhost'}: {end}", text)


def _envelope(settings: Settings, subject: str, text: str) -> EmailMessage:
    host = platform.node() or "localhost"
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = settings.mail_from or f"demeter@{host}"
    message["To"] = settings.mail_to
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=host)
    message["Auto-Submitted"] = "auto-generated"  # so that nobody's holiday answers it
    message.set_content(text)
    return message


def _mail(settings: Settings, message: EmailMessage) -> None:
    security, trusted = settings.smtp_security, ssl.create_default_context()
    port = settings.smtp_port or PORTS[security]
    connect: smtplib.SMTP
    if security == "tls":
        connect = smtplib.SMTP_SSL(settings.smtp_host, port, timeout=SECONDS, context=trusted)
    else:
        connect = smtplib.SMTP(settings.smtp_host, port, timeout=SECONDS)
    with connect as server:
        if security == "starttls":
            server.starttls(context=trusted)
        if settings.smtp_user and settings.smtp_password:
            server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
        server.send_message(message)
