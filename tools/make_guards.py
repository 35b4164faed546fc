"""Write db/guards.py, the triggers and functions of a database at head; `--check` only says if it is right.

Needs nothing but this checkout: it migrates an embedded server of its own.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from sqlalchemy import Connection, text

FILE = Path(__file__).parents[1] / "db" / "guards.py"
HEAD = '''"""The triggers and functions of a database at head. Written by tools/make_guards.py."""

from __future__ import annotations

'''
STANDING = text(
    """
    SELECT relname || '.' || tgname, proname, prosrc
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE relnamespace = current_schema()::regnamespace AND NOT tgisinternal AND NOT relispartition
    """
)
FUNCTIONS = text(
    "SELECT proname, md5(prosrc) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
)


def page(connection: Connection) -> str:
    """The file for the schema that the connection is to."""
    triggers = {row[0]: row[1] for row in connection.execute(STANDING)}
    functions = {row[0]: row[1] for row in connection.execute(FUNCTIONS)}
    told = (
        ("TRIGGERS", "table.trigger, and the function it calls", triggers),
        ("FUNCTIONS", "name, and the md5 of its source", functions),
    )
    parts = [f"# {what}\n{name} = {_literal(values)}\n" for name, what, values in told]
    return HEAD + "\n".join(parts)


def _literal(values: dict[str, str]) -> str:
    lines = "".join(f'    "{key}": "{value}",\n' for key, value in sorted(values.items()))
    return f"{{\n{lines}}}"


def main() -> int:
    from db.embedded import embedded_server
    from db.engine import connect
    from db.migrate import upgrade

    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        with embedded_server(folder / "demeter", fsync=False) as server:
            upgrade(server.url)
            with connect(server.url) as connection:
                made = page(connection)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if "--check" in sys.argv:
        return 0 if FILE.exists() and FILE.read_text(encoding="utf-8") == made else 1
    FILE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
