"""Secrets in files: DEMETER_SMTP_PASSWORD_FILE names one that holds the password and that few may read.

So systemd's credentials (`%d/name`), Docker's secrets (/run/secrets/name) and plain files of mode 0600 do.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from demeter_cli.errors import SettingsError

PREFIX = "DEMETER_"
LARGEST = 65536  # bytes; a secret is a line


def from_files(environment: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The secrets whose files the environment names. Raises SettingsError, without a word of the contents."""
    found = {}
    for name in sorted(names):
        variable = f"{PREFIX}{name.upper()}_FILE"
        if environment.get(variable):
            if environment.get(PREFIX + name.upper()):
                raise SettingsError(f"{PREFIX}{name.upper()} and {variable} are both set: unset one of them")
            found[name] = _content(variable, Path(environment[variable]).expanduser())
    return found


def told_to_everybody(path: Path, keys: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    """A settings file with a password in it that every user of the machine may read."""
    secrets = sorted(
        name for name in names if name in keys and (name != "database_url" or _has_password(str(keys[name])))
    )
    if secrets and stat.S_IMODE(path.stat().st_mode) & 0o007:
        yield (
            f"{path} holds {' and '.join(secrets)} and can be read by everybody on this machine: "
            f"`chmod 600 {path}`, or put the secret into a file of its own and name that by "
            f"{PREFIX}{secrets[0].upper()}_FILE"
        )


def shown(value: Any) -> str:
    """A setting's value as anybody may see it: of an address its user, host and name, of a secret nothing."""
    if value is None:
        return ""
    if not isinstance(value, SecretStr):
        return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    try:
        parts = urlsplit(value.get_secret_value())
        where = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return "***"
    if not parts.scheme.startswith("postgres"):
        return f"{parts.scheme}://{where}/***" if parts.scheme in ("http", "https") else "***"
    return f"{parts.scheme}://{f'{parts.username}@' if parts.username else ''}{where}{parts.path}"


def _content(variable: str, path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if stat.S_IMODE(mode) & 0o007 or stat.S_IMODE(mode) & 0o020:
            raise SettingsError(
                f"{path}, which {variable} names, can be read or changed by others: `chmod 600 {path}`"
            )
        with path.open("rb") as stream:
            text = stream.read(LARGEST).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise SettingsError(f"{path}, which {variable} names, is no text in UTF-8") from None
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise SettingsError(f"{path}, which {variable} names, cannot be read: {why}") from error
    if not text:
        raise SettingsError(f"{path}, which {variable} names, is empty")
    return text


def _has_password(url: str) -> bool:
    """Whether a database address holds one: after the user, or among its options."""
    _, _, rest = url.partition("://")
    login, at, _ = rest.rpartition("@")
    return bool(at and ":" in login) or "password=" in url
