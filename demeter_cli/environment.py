"""What the surroundings of a command say before its settings are read: folders, login, language.

Light, so that help, completion and the first line of an error need not wait for pydantic. Besides
`demeter_cli/settings.py` the only file that reads the environment.
"""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from pathlib import Path

from demeter_cli.errors import SettingsError

PREFIX = "DEMETER_"
FILE_NAME = "demeter.toml"


def find_config(explicit: Path | None) -> Path | None:
    """`--config`, `$DEMETER_CONFIG`, the working folder, then XDG; None if there is none."""
    named = explicit or (Path(os.environ[PREFIX + "CONFIG"]) if os.environ.get(PREFIX + "CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise SettingsError(f"the settings file {named} does not exist")
        return named
    folders = [Path.cwd()]
    with suppress(RuntimeError):  # nobody's home, as in a container that was started with a bare number
        folders.append(Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "demeter")
    for folder in folders:
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def language_wanted(config: Path | None) -> str:
    """ "es" or "en": the setting `language`, else Spanish where the locale is one of Spanish, else English.

    What cannot be read here is no error yet: `load_settings` tells of it.
    """
    return _setting("language", config) or language_of_locale()


def language_of_locale() -> str:
    """By the first of the variables that gettext, too, goes by."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "es" if value.partition("_")[0].partition(".")[0].lower() == "es" else "en"
    return "en"


def shows_utf8() -> bool:
    """Whether the locale is one of UTF-8. Without any locale a terminal of today is taken to show it."""
    for name in ("LC_ALL", "LANG"):  # LC_CTYPE is set by Python itself where LANG is C
        if value := os.environ.get(name):
            return "utf" in value.lower()
    return True


def data_dir_wanted(config: Path | None) -> Path:
    """The setting `data_dir`, without reading the others."""
    named = _setting("data_dir", config)
    with suppress(RuntimeError):  # `load_settings` tells of it
        return Path(named).expanduser().absolute() if named else default_data_dir()
    return default_data_dir()


def database_wanted() -> str:
    """Which database commands use: its address, or the folder of the embedded one."""
    return _setting("database_url", None) or str(data_dir_wanted(None))


def _setting(key: str, config: Path | None) -> str | None:
    """One text among the settings; None where it is unset or cannot be read."""
    if (value := os.environ.get(PREFIX + key.upper())) is not None:
        return value
    import tomllib

    try:
        path = find_config(config)
        found = tomllib.loads(path.read_text(encoding="utf-8")).get(key) if path else None
    except (SettingsError, OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RuntimeError):
        return None
    return found if isinstance(found, str) else None


def default_data_dir() -> Path:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/demeter")  # The embedded server runs as a user who cannot enter /root.
    return _xdg("XDG_DATA_HOME", "~/.local/share")


def cache_dir() -> Path:
    """Compiled networks, codes for completion; may be deleted at any time."""
    return _xdg("XDG_CACHE_HOME", "~/.cache")


def _xdg(variable: str, otherwise: str) -> Path:
    try:
        return Path(os.environ.get(variable) or otherwise).expanduser() / "demeter"
    except RuntimeError:  # No HOME, and the user has none in the system's list either.
        return Path("/var/tmp") / f"demeter-{os.getuid()}"  # noqa: S108  a last resort that survives a reboot


def os_login() -> str:
    """Who runs the program on this machine; empty where the system has no name for them."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container started with a bare number
        return ""
