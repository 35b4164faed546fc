"""Write single settings into the settings file, and leave everything else as people wrote it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from demeter_cli.errors import SettingsError


def write_settings(path: Path, values: Mapping[str, str | int]) -> None:
    """Set these keys; the file is made if it is missing, and appears whole or not at all.

    A line that sets a key is replaced, else one is added at the end. Raises SettingsError.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for key, value in values.items():
            line = f"{key} = {json.dumps(value)}"
            sets_it = re.compile(rf"\s*{re.escape(key)}\s*=")
            at = [number for number, text in enumerate(lines) if sets_it.match(text)]
            if at:
                lines[at[0]] = line
            else:
                lines.append(line)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
        part.replace(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path} cannot be written: {error}") from error
