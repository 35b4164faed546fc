"""Logs go to stderr, and to a file where one is named; stdout is for results."""

from __future__ import annotations

import json
import logging
import sys
from collections import deque
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from demeter_cli.language import N_, _, told, why
from pipeline.printable import harmless, one_line

CHATTY = ("PIL", "alembic", "botocore", "boto3", "opentelemetry", "sahi", "sqlalchemy", "urllib3")
FILE_MODE = 0o640

log = logging.getLogger("demeter")


@dataclass(frozen=True, slots=True)
class LogFile:
    """Rotated when it would exceed `max_bytes`; `keep` old ones stay beside it, numbered from 1."""

    path: Path
    style: Literal["plain", "json"] = "plain"
    level: str = "info"
    max_bytes: int = 10_000_000
    keep: int = 5


def configure(verbose: int, as_json: bool) -> None:
    """`verbose` 0 shows what went wrong, 1 what happens, 2 everything."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if as_json else _PlainFormatter())
    handler.setLevel({0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG))
    handler.addFilter(_Stamp())
    root = logging.getLogger()
    for old in root.handlers:
        if hasattr(old, "baseFilename"):
            old.close()
    root.handlers = [handler]
    _listen(handler.level, chatty=verbose > 1)


def to_file(wanted: LogFile) -> None:
    """Write logs into a file as well. If it cannot be written, that is told and the work goes on."""
    try:
        handler = _file_handler(wanted)
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        log.warning("the log file %s cannot be written: %s; going on without it", wanted.path, reason)
        return
    handler.setFormatter(_JsonFormatter() if wanted.style == "json" else _FileFormatter())
    handler.setLevel(wanted.level.upper())
    handler.addFilter(_Stamp())
    root = logging.getLogger()
    root.addHandler(handler)
    _listen(min(root.level, handler.level), chatty=handler.level <= logging.DEBUG)


def has_file() -> bool:
    return any(hasattr(handler, "baseFilename") for handler in logging.getLogger().handlers)


def name_run(key: str) -> None:
    """From now on every line says which run it belongs to; an empty key ends that."""
    _Stamp.run = key


class _Stamp(logging.Filter):
    run = ""

    def filter(self, record: logging.LogRecord) -> bool:
        record.run = self.run
        return True


def _listen(level: int, *, chatty: bool) -> None:
    logging.getLogger().setLevel(level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET if chatty else logging.WARNING)


class Recent(logging.Handler):
    """The last lines, for whoever is told how the run went."""

    def __init__(self, lines: int = 200) -> None:
        super().__init__(logging.INFO)
        self.lines: deque[str] = deque(maxlen=lines)
        self.setFormatter(_FileFormatter())
        self.addFilter(_Stamp())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def remember(recent: Recent) -> None:
    """Keep the last lines from now on, as a file would have them."""
    logging.getLogger().addHandler(recent)
    _listen(min(logging.getLogger().level, recent.level), chatty=logging.getLogger().level <= logging.DEBUG)


def forget(recent: Recent) -> None:
    logging.getLogger().removeHandler(recent)


def _file_handler(wanted: LogFile) -> logging.Handler:
    """Several processes may write into one file: each locks it for a line, and for rotating it.

    Raises OSError.
    """
    from concurrent_log_handler import ConcurrentRotatingFileHandler

    class _SafeFile(ConcurrentRotatingFileHandler):
        """A log that cannot be written, because the disk is full, must not end the work."""

        told = False

        def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  logging's name
            if not self.told:
                self.told = True
                reason = getattr(sys.exception(), "strerror", None) or type(sys.exception()).__name__
                sys.stderr.write(f"warning: the log file {wanted.path} cannot be written: {reason.lower()}\n")

        def close(self) -> None:
            for _again in range(2):  # what cannot be written must not keep its lock from being given back
                with suppress(OSError):
                    super().close()

        def _console_log(self, msg: str, stack: bool = False) -> None:
            """Its own words about a rotation that failed; the line itself is written all the same."""

    if not wanted.path.parent.is_dir():
        wanted.path.parent.mkdir(parents=True, mode=0o750)
    with wanted.path.open("ab"):
        pass
    return _SafeFile(
        str(wanted.path),
        maxBytes=wanted.max_bytes,
        backupCount=wanted.keep,
        encoding="utf-8",
        chmod=FILE_MODE,
        unicode_error_policy="replace",
    )


_LEVELS = {"WARNING": N_("warning"), "ERROR": N_("error"), "CRITICAL": N_("error")}


class _PlainFormatter(logging.Formatter):
    """Like a command's own messages: `warning: …`, in the language of whoever sits at the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        said = record.args[0] if isinstance(record.args, tuple) and record.args else None
        if record.msg == "%s" and isinstance(said, str | BaseException):
            record = copy(record)  # other handlers write English
            record.args = (why(said) if isinstance(said, BaseException) else told(said),)
        text = harmless(super().format(record))
        if record.levelno < logging.WARNING:
            return text
        return f"{_(_LEVELS.get(record.levelname, record.levelname.lower()))}: {text}"


class _FileFormatter(logging.Formatter):
    """Time, level, process and run before the message, all on one line; a traceback follows indented."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        run = getattr(record, "run", "")[:8] or "-"
        head = f"{moment} {record.levelname:<7} {record.process} {run} {record.name}"
        text = f"{head}: {one_line(record.getMessage())}"
        if record.exc_info:
            trace = harmless(self.formatException(record.exc_info))
            text += "".join(f"\n    {line}" for line in trace.splitlines())
        return text


class _JsonFormatter(logging.Formatter):
    """One object a line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": harmless(record.getMessage()),
            "pid": record.process,
        }
        if run := getattr(record, "run", ""):
            entry["run"] = run
        if record.exc_info:
            entry["traceback"] = harmless(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)
