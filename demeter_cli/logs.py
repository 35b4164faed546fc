"""Logs go to stderr; stdout is for results."""

from __future__ import annotations

import json
import logging
import sys
from copy import copy
from datetime import UTC, datetime

from demeter_cli.language import N_, _, told, why


def configure(verbose: int, as_json: bool) -> None:
    """`verbose` 0 shows what went wrong, 1 what happens, 2 everything."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if as_json else _PlainFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel({0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG))
    if verbose < 2:
        for chatty in ("PIL", "alembic", "botocore", "sahi", "sqlalchemy"):
            logging.getLogger(chatty).setLevel(logging.WARNING)


_LEVELS = {"WARNING": N_("warning"), "ERROR": N_("error"), "CRITICAL": N_("error")}


class _PlainFormatter(logging.Formatter):
    """Like a command's own messages: `warning: …`, in the language of whoever sits at the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        said = record.args[0] if isinstance(record.args, tuple) and record.args else None
        if record.msg == "%s" and isinstance(said, str | BaseException):
            record = copy(record)  # other handlers write English
            record.args = (why(said) if isinstance(said, BaseException) else told(said),)
        text = super().format(record)
        if record.levelno < logging.WARNING:
            return text
        return f"{_(_LEVELS.get(record.levelname, record.levelname.lower()))}: {text}"


class _JsonFormatter(logging.Formatter):
    """One object a line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)
