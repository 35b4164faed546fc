"""The one table that turns an error into an exit code. The codes are public: scripts rely on them."""

from __future__ import annotations

from enum import IntEnum

from db import errors as db
from pipeline import errors as pipeline


class ExitCode(IntEnum):
    """What a finished command tells its caller; docs/exit-codes.md says the same."""

    OK = 0
    BUG = 1
    USAGE = 2  # an argument that cannot be used: a path, a place code, an option
    CONFIG = 3  # a setting, or something the machine lacks
    DATABASE = 4
    STORAGE = 5
    MODEL = 6
    CRASH = 7  # a worker process died; the rest is saved
    PARTIAL = 8  # some photos failed; the rest is saved
    MISMATCH = 9  # a check found differences
    BUSY = 75  # another run is going on; try again later
    INTERRUPTED = 130  # run again to finish the rest


class SettingsError(Exception):
    """A setting is unknown, contradicts another, or cannot be used on this machine."""


EXIT_CODES: dict[type[BaseException], ExitCode] = {
    SettingsError: ExitCode.CONFIG,
    ImportError: ExitCode.CONFIG,
    pipeline.NoPhotos: ExitCode.USAGE,
    pipeline.TruthError: ExitCode.USAGE,
    pipeline.PhotoError: ExitCode.PARTIAL,
    pipeline.StorageError: ExitCode.STORAGE,
    pipeline.ModelError: ExitCode.MODEL,
    pipeline.WorkerCrash: ExitCode.CRASH,
    db.NotFound: ExitCode.USAGE,
    db.Unclear: ExitCode.USAGE,
    db.UnreadableFile: ExitCode.USAGE,
    db.SeedError: ExitCode.MISMATCH,
    db.AuditRefused: ExitCode.MISMATCH,
    db.Forbidden: ExitCode.USAGE,
    db.Refused: ExitCode.MISMATCH,
    db.LedgerRefused: ExitCode.MISMATCH,
    db.Busy: ExitCode.BUSY,
    db.DatabaseError: ExitCode.DATABASE,
}


def exit_code(error: BaseException) -> ExitCode | None:
    """The code of the most specific known class; None for an error nobody foresaw."""
    for kind in type(error).__mro__:
        if kind in EXIT_CODES:
            return EXIT_CODES[kind]
    return None


def code_of(error: BaseException | None) -> ExitCode | int:
    """The exit code of a command that ended with `error`, or well with None, as main.py gives it."""
    if error is None or isinstance(error, BrokenPipeError):
        return ExitCode.OK
    if while_interrupted(error):
        return ExitCode.INTERRUPTED
    asked = getattr(error, "exit_code", None)  # of typer.Exit and of its usage errors
    if isinstance(asked, int):
        return asked
    return exit_code(error) or ExitCode.BUG


def while_interrupted(error: BaseException | None) -> bool:
    """Whether this broke while Ctrl-C or a signal was unwinding the command, such as a query cut short."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def problem_of(error: BaseException | None) -> str | None:
    """The sentence of what ended a command; None where it came to its end, whatever its code."""
    if error is None or (
        isinstance(getattr(error, "exit_code", None), int) and not hasattr(error, "message")
    ):
        return None
    return str(getattr(error, "message", error)) or None
